//! Pages by key: a cursor has the values that the last row was sorted by, and the next page begins
//! behind them, whatever was changed in between.
use super::Term;
use crate::data::Param;
use crate::data::rows::RowsError;
use crate::data::rows::build::spelling;
use crate::data::rows::build::text::Sql;
use crate::engine::sql::schema::SqlDialect;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A longer cursor does not fit the address of a request beside others, which may have 64 KiB.
const MAX_CURSOR_BYTES: usize = 32 << 10;

/// Where the page behind a row begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPage {
    /// There is none, or rows cannot be told apart.
    None,
    /// Behind this cursor.
    Cursor(String),
    /// The last row is sorted by values that no cursor has room for.
    TooLong,
}

/// The page behind a row with these values.
pub(in crate::data::rows) fn next_page(order: u32, values: &[Param]) -> NextPage {
    let long = values.iter().any(|value| match value {
        Param::Text(text) => text.len() > MAX_CURSOR_BYTES,
        Param::TextBytes(bytes) | Param::Blob(bytes) => bytes.len() > MAX_CURSOR_BYTES,
        _ => false,
    });
    if long {
        return NextPage::TooLong;
    }
    let values = values.iter().map(as_json);
    let whole: Vec<Value> = std::iter::once(json!(order)).chain(values).collect();
    let cursor = URL_SAFE_NO_PAD.encode(json!(whole).to_string());
    match cursor.len() <= MAX_CURSOR_BYTES {
        true => NextPage::Cursor(cursor),
        false => NextPage::TooLong,
    }
}

fn as_json(value: &Param) -> Value {
    match value {
        Param::Null => Value::Null,
        Param::Integer(number) => json!(number),
        Param::Real(number) if number.is_finite() => json!(number),
        Param::Real(number) if *number > 0.0 => json!({"$real": "Infinity"}),
        Param::Real(_) => json!({"$real": "-Infinity"}),
        Param::Text(text) => json!(text),
        Param::TextBytes(bytes) => json!({"$text_base64": STANDARD.encode(bytes)}),
        Param::Blob(bytes) => json!({"$base64": STANDARD.encode(bytes)}),
    }
}

/// What tells one order from another.
pub(in crate::data::rows::build) fn fingerprint(table: &str, terms: &[Term]) -> u32 {
    let mut print = crc32c::crc32c(table.as_bytes());
    for term in terms {
        print = crc32c::crc32c_append(print, term.sql.text.as_bytes());
        for value in &term.sql.values {
            print = crc32c::crc32c_append(print, as_json(value).to_string().as_bytes());
        }
        print = crc32c::crc32c_append(print, &[term.descending.into(), term.nulls_first.into()]);
    }
    print
}

/// The condition of rows behind a cursor.
pub(in crate::data::rows::build) fn behind(
    cursor: &str,
    (table, dialect): (&str, SqlDialect),
    terms: &[Term],
) -> Result<Sql, RowsError> {
    let refused = || {
        RowsError::with_hint(
            "the cursor does not belong to this table and order",
            "send `next_cursor` of the page before, with the same `order`",
        )
    };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
    let (print, values): (u32, Vec<Param>) = split(&bytes).ok_or_else(refused)?;
    if print != fingerprint(table, terms) || values.len() != terms.len() {
        return Err(refused());
    }
    let mut sql = Sql::default();
    if is_plain(terms, &values) {
        write_row_value(&mut sql, terms, values);
    } else {
        write_behind(&mut sql, dialect, terms, &values);
    }
    Ok(sql)
}

fn split(bytes: &[u8]) -> Option<(u32, Vec<Param>)> {
    let mut parts: Vec<Value> = serde_json::from_slice(bytes).ok()?;
    if parts.is_empty() {
        return None;
    }
    let print = u32::try_from(parts.remove(0).as_u64()?).ok()?;
    let values = parts.into_iter().map(serde_json::from_value);
    Some((print, values.collect::<Result<_, _>>().ok()?))
}

/// Whether the terms can be compared as one, for which SQLite uses an index.
fn is_plain(terms: &[Term], values: &[Param]) -> bool {
    let direction = terms.first().is_some_and(|term| term.descending);
    terms
        .iter()
        .all(|term| term.descending == direction && !term.may_be_null)
        && values.iter().all(|value| *value != Param::Null)
}

/// `(a, b) > (?, ?)`.
fn write_row_value(sql: &mut Sql, terms: &[Term], values: Vec<Param>) {
    let descending = terms.first().is_some_and(|term| term.descending);
    let is_one = terms.len() == 1;
    if !is_one {
        sql.words("(");
    }
    for (place, term) in terms.iter().enumerate() {
        if place > 0 {
            sql.words(", ");
        }
        sql.part(term.sql.clone());
    }
    sql.words(match (is_one, descending) {
        (true, false) => " > ",
        (true, true) => " < ",
        (false, false) => ") > (",
        (false, true) => ") < (",
    });
    sql.values(values);
    if !is_one {
        sql.words(")");
    }
}

/// `a > ? OR a IS ? AND (b > ? …)`, with NULL where it is sorted.
fn write_behind(sql: &mut Sql, dialect: SqlDialect, terms: &[Term], values: &[Param]) {
    let spelled = spelling::of(dialect);
    let (Some((term, terms)), Some((value, values))) = (terms.split_first(), values.split_first())
    else {
        sql.words(spelled.falsehood);
        return;
    };
    sql.words("(");
    match value {
        Param::Null if term.nulls_first => {
            sql.part(term.sql.clone()).words(" IS NOT NULL");
        }
        Param::Null => {
            sql.words(spelled.falsehood);
        }
        value => {
            sql.part(term.sql.clone());
            sql.words(if term.descending { " < " } else { " > " });
            sql.value(value.clone());
            if term.may_be_null && !term.nulls_first {
                sql.words(" OR ").part(term.sql.clone()).words(" IS NULL");
            }
        }
    }
    if !terms.is_empty() {
        sql.words(" OR ").part(term.sql.clone()).words(spelled.same);
        sql.value(value.clone()).words(" AND ");
        write_behind(sql, dialect, terms, values);
    }
    sql.words(")");
}
