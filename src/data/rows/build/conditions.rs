//! Conditions: values are compared with the affinity of their column.
use super::scope::Scope;
use super::spelling;
use super::text::Sql;
use crate::data::Param;
use crate::data::rows::RowsError;
use crate::data::rows::dialect::ast::{
    Embed, Field, IsWord, Level, Operator, RowCondition, SelectItem, Test,
};
use crate::engine::sql::schema::{Affinity, SqlDialect};

impl Scope<'_> {
    /// Adds ` WHERE …` with the conditions of a level and what `more` adds; nothing where there are
    /// none.
    pub(super) fn write_where(
        self,
        sql: &mut Sql,
        level: &Level,
        more: Vec<Sql>,
    ) -> Result<(), RowsError> {
        let mut is_first = true;
        let mut begin = |sql: &mut Sql| {
            sql.words(if std::mem::take(&mut is_first) {
                " WHERE "
            } else {
                " AND "
            });
        };
        for condition in &level.conditions {
            begin(sql);
            write(sql, self, level, condition)?;
        }
        for item in &level.select {
            if let SelectItem::Embed(embed) = item
                && embed.is_inner
            {
                begin(sql);
                self.write_exists(sql, embed)?;
            }
        }
        for part in more {
            begin(sql);
            sql.part(part);
        }
        Ok(())
    }
}

/// Adds one condition, in brackets where it needs them.
fn write(
    sql: &mut Sql,
    scope: Scope<'_>,
    level: &Level,
    condition: &RowCondition,
) -> Result<(), RowsError> {
    match condition {
        RowCondition::All(parts) => write_joined(sql, scope, level, parts, " AND "),
        RowCondition::Any(parts) => write_joined(sql, scope, level, parts, " OR "),
        RowCondition::Not(inner) => {
            sql.words("NOT (");
            write(sql, scope, level, inner)?;
            sql.words(")");
            Ok(())
        }
        RowCondition::Compare { field, test } => match embed_that_is_meant(scope, level, field) {
            Some(embed) => write_presence(sql, scope, embed, test),
            None => write_test(sql, scope, field, test),
        },
    }
}

fn write_joined(
    sql: &mut Sql,
    scope: Scope<'_>,
    level: &Level,
    parts: &[RowCondition],
    between: &'static str,
) -> Result<(), RowsError> {
    sql.words("(");
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            sql.words(between);
        }
        write(sql, scope, level, part)?;
    }
    sql.words(")");
    Ok(())
}

/// What is embedded under the name of a field that is no column.
fn embed_that_is_meant<'l>(scope: Scope<'_>, level: &'l Level, field: &Field) -> Option<&'l Embed> {
    if scope.find(&field.column).is_some() || !field.path.is_empty() {
        return None;
    }
    level.select.iter().find_map(|item| match item {
        SelectItem::Embed(embed) if embed.name() == field.column => Some(embed),
        _ => None,
    })
}

/// `orders=is.null`: whether something is embedded.
fn write_presence(
    sql: &mut Sql,
    scope: Scope<'_>,
    embed: &Embed,
    test: &Test,
) -> Result<(), RowsError> {
    match test {
        Test::Is(IsWord::Null) => sql.words("NOT "),
        Test::Is(IsWord::NotNull) => sql,
        _ => {
            let name = embed.name();
            return Err(RowsError::with_hint(
                format!("`{name}` is a table, which can only be null or not"),
                format!(
                    "`{name}=is.null`, `{name}=not.is.null`, or a column of it: \
                     `{name}.column=eq.value`"
                ),
            ));
        }
    };
    scope.write_exists(sql, embed)
}

fn write_test(
    sql: &mut Sql,
    scope: Scope<'_>,
    field: &Field,
    test: &Test,
) -> Result<(), RowsError> {
    let mut column = Sql::default();
    let affinity = match test {
        // JSON's own null is there.
        Test::Is(_) => scope.write_field(&mut column, field)?.affinity,
        _ => scope.write_comparable(&mut column, field)?.affinity,
    };
    let values = match test {
        Test::One(_, value) => std::slice::from_ref(value),
        Test::Several { values, .. } | Test::In(values) => values,
        Test::Is(_) => &[],
    };
    for value in values {
        refuse_cut_number(affinity, value)?;
    }
    let dialect = scope.schema.dialect;
    let spelled = spelling::of(dialect);
    match test {
        Test::One(operator, value) => {
            write_comparison(sql, dialect, (column, affinity), *operator, value);
        }
        Test::Several {
            operator,
            values,
            all,
        } => {
            if values.is_empty() {
                sql.words(if *all {
                    spelled.truth
                } else {
                    spelled.falsehood
                });
                return Ok(());
            }
            sql.words("(");
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    sql.words(if *all { " AND " } else { " OR " });
                }
                let column = (column.clone(), affinity);
                write_comparison(sql, dialect, column, *operator, value);
            }
            sql.words(")");
        }
        Test::In(values) => {
            sql.part(column).words(" IN (");
            sql.values(values.iter().flat_map(|value| equals(affinity, value)));
            sql.words(")");
        }
        Test::Is(word) => {
            sql.part(column).words(match word {
                IsWord::Null => " IS NULL",
                IsWord::NotNull => " IS NOT NULL",
                IsWord::True => " IS TRUE",
                IsWord::False => " IS FALSE",
            });
        }
    }
    Ok(())
}

fn write_comparison(
    sql: &mut Sql,
    dialect: SqlDialect,
    (column, affinity): (Sql, Affinity),
    operator: Operator,
    value: &str,
) {
    let is_sqlite = dialect == SqlDialect::Sqlite;
    let (words, value) = match operator {
        Operator::Eq => return write_equal(sql, column, affinity, value, [" = ", " IN ("]),
        Operator::Neq => return write_equal(sql, column, affinity, value, [" <> ", " NOT IN ("]),
        Operator::IsDistinct => {
            for (place, value) in equals(affinity, value).into_iter().enumerate() {
                if place > 0 {
                    sql.words(" AND ");
                }
                let not_same = spelling::of(dialect).not_same;
                sql.part(column.clone()).words(not_same).value(value);
            }
            return;
        }
        Operator::Gt => (" > ", ordered(affinity, value)),
        Operator::Gte => (" >= ", ordered(affinity, value)),
        Operator::Lt => (" < ", ordered(affinity, value)),
        Operator::Lte => (" <= ", ordered(affinity, value)),
        Operator::Like if is_sqlite => (" GLOB ", Param::Text(glob(value))),
        Operator::Like => (" LIKE ", Param::Text(value.replace('*', "%"))),
        Operator::Ilike => {
            let pattern = Param::Text(value.replace('*', "%"));
            let words = if is_sqlite { " LIKE " } else { " ILIKE " };
            sql.part(column).words(words).value(pattern);
            sql.words(" ESCAPE '\\'");
            return;
        }
        Operator::Match if !is_sqlite => (" ~ ", Param::Text(value.to_owned())),
        Operator::Imatch if !is_sqlite => (" ~* ", Param::Text(value.to_owned())),
        Operator::Match => (" REGEXP ", Param::Text(value.to_owned())),
        Operator::Imatch => (" REGEXP ", Param::Text(format!("(?i){value}"))),
    };
    sql.part(column).words(words).value(value);
}

pub(super) fn write_equal(
    sql: &mut Sql,
    column: Sql,
    affinity: Affinity,
    value: &str,
    [one, several]: [&'static str; 2],
) {
    let mut values = equals(affinity, value);
    sql.part(column);
    if values.len() == 1 {
        sql.words(one).values(values.pop());
    } else {
        sql.words(several).values(values).words(")");
    }
}

/// Refuses what SQLite would take for another number: it stops at a NUL.
///
/// # Errors
/// When a value for a column of numbers has one.
pub(super) fn refuse_cut_number(affinity: Affinity, value: &str) -> Result<(), RowsError> {
    let of_numbers = matches!(
        affinity,
        Affinity::Integer | Affinity::Real | Affinity::Numeric
    );
    if of_numbers && value.contains('\0') {
        return Err(RowsError::invalid(
            "a value for a column of numbers has a NUL byte",
        ));
    }
    Ok(())
}

/// What a value in a parameter is in a column of this affinity, where it is compared for equality.
/// Without an affinity, or where true and false are meant, text may be a number as well.
pub(super) fn equals(affinity: Affinity, value: &str) -> Vec<Param> {
    let text = || Param::Text(value.to_owned());
    let truth = match value {
        "true" => Some(Param::Integer(1)),
        "false" => Some(Param::Integer(0)),
        _ => None,
    };
    match affinity {
        Affinity::Text => vec![text()],
        Affinity::Integer | Affinity::Real | Affinity::Numeric => match (number(value), truth) {
            (Some(number), _) => vec![number],
            (None, Some(truth)) => vec![text(), truth],
            (None, None) => vec![text()],
        },
        Affinity::Blob => match (bytes(value), number(value)) {
            (Some(bytes), _) => vec![text(), bytes],
            (None, Some(number)) => vec![text(), number],
            (None, None) => std::iter::once(text()).chain(truth).collect(),
        },
    }
}

/// The same where it is compared for order.
fn ordered(affinity: Affinity, value: &str) -> Param {
    let mut values = equals(affinity, value);
    values.pop().expect("there is always one")
}

/// A value that is a number, and no other text is.
fn number(value: &str) -> Option<Param> {
    match value {
        "Infinity" => return Some(Param::Real(f64::INFINITY)),
        "-Infinity" => return Some(Param::Real(f64::NEG_INFINITY)),
        _ => {}
    }
    let digits = value.strip_prefix('-').unwrap_or(value);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if let Ok(whole) = value.parse() {
        return Some(Param::Integer(whole));
    }
    let is_plain = digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let real = value.parse().ok().filter(|_| is_plain)?;
    Some(Param::Real(real))
}

/// `\x00ff`, as PostgreSQL writes bytes.
fn bytes(value: &str) -> Option<Param> {
    let digits = value.strip_prefix("\\x")?;
    hex::decode(digits).ok().map(Param::Blob)
}

/// A pattern of LIKE, with `*` for `%`, as one of GLOB, which minds case.
fn glob(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' | '*' => glob.push('*'),
            '_' => glob.push('?'),
            '\\' => write_literal(&mut glob, characters.next().unwrap_or('\\')),
            other => write_literal(&mut glob, other),
        }
    }
    glob
}

fn write_literal(glob: &mut String, character: char) {
    if matches!(character, '*' | '?' | '[') {
        glob.push('[');
        glob.push(character);
        glob.push(']');
    } else {
        glob.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_minds_case_is_one_of_glob() {
        for (pattern, expected) in [
            ("*ann*", "*ann*"),
            ("%a_b", "*a?b"),
            (r"50\%", "50%"),
            (r"a\_b\\", r"a_b\"),
            ("[x]?", "[[]x][?]"),
            (r"\*", "[*]"),
            (r"end\", r"end\"),
        ] {
            assert_eq!(glob(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn a_value_is_what_its_column_makes_of_it() {
        let text = |value: &str| Param::Text(value.into());
        let integer = Param::Integer;
        for (affinity, value, expected) in [
            (Affinity::Integer, "5", vec![integer(5)]),
            (Affinity::Integer, "x", vec![text("x")]),
            (Affinity::Numeric, "true", vec![text("true"), integer(1)]),
            (Affinity::Real, "Infinity", vec![Param::Real(f64::INFINITY)]),
            (Affinity::Numeric, "1.5", vec![Param::Real(1.5)]),
            (Affinity::Numeric, "1_0", vec![text("1_0")]),
            (Affinity::Numeric, "inf", vec![text("inf")]),
            (Affinity::Text, "5", vec![text("5")]),
            (Affinity::Text, "true", vec![text("true")]),
            (Affinity::Blob, "5", vec![text("5"), integer(5)]),
            (
                Affinity::Blob,
                r"\x00ff",
                vec![text(r"\x00ff"), Param::Blob(vec![0, 255])],
            ),
            (Affinity::Blob, "x", vec![text("x")]),
        ] {
            assert_eq!(equals(affinity, value), expected, "{affinity:?} {value}");
        }
    }
}
