//! By what one row is known: its key in a path, and the mark of what is in it.
use super::conditions::{refuse_cut_number, write_equal};
use super::scope::Scope;
use super::text::Sql;
use crate::data::Param;
use crate::data::rows::RowsError;
use crate::data::rows::dialect::ast::SelectItem;
use crate::engine::sql::schema::{Affinity, Schema, SqlDialect, Table, TableKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Values of one call of a function: SQLite may be built for 127 arguments.
const VALUES_OF_A_CALL: usize = 120;

/// Characters of a key that stand in a path as they are.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The columns by which paths name a row: the primary key, or the row's own number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity<'s> {
    pub(in crate::data::rows) columns: Vec<&'s str>,
}

impl<'s> Identity<'s> {
    /// That of a table, if its rows have one.
    pub(in crate::data::rows) fn of(table: &'s Table) -> Option<Self> {
        if table.kind == TableKind::View {
            return None;
        }
        let columns: Vec<&str> = table.primary_key.iter().map(String::as_str).collect();
        if !columns.is_empty() {
            return Some(Self { columns });
        }
        let rowid = table.rowid.as_deref()?;
        Some(Self {
            columns: vec![rowid],
        })
    }

    /// The same, which a path needs.
    pub(in crate::data::rows) fn required(table: &'s Table) -> Result<Self, RowsError> {
        Self::of(table).ok_or_else(|| {
            RowsError::with_hint(
                format!("`{}` has no key by which a path can name a row", table.name),
                "filter its rows instead: `…/rows?column=eq.value`",
            )
        })
    }

    /// The condition of the row that a part of a path names.
    pub(super) fn condition(&self, scope: Scope<'_>, key: &str) -> Result<Sql, RowsError> {
        let decoded = |part: &str| {
            let text = percent_decode_str(part).decode_utf8();
            text.map(std::borrow::Cow::into_owned)
                .map_err(|_| RowsError::invalid(format!("`{part}` in the path is not valid UTF-8")))
        };
        let values: Vec<String> = match self.columns.len() {
            1 => vec![decoded(key)?],
            _ => key.split(',').map(decoded).collect::<Result<_, _>>()?,
        };
        if values.len() != self.columns.len() {
            let columns = self.columns.join(",");
            return Err(RowsError::with_hint(
                format!(
                    "the key of `{}` has {} columns, but `{key}` has {} values",
                    scope.table.name,
                    self.columns.len(),
                    values.len()
                ),
                format!("send the values of {columns} with commas between them"),
            ));
        }
        let mut sql = Sql::default();
        for (place, (column, value)) in self.columns.iter().zip(&values).enumerate() {
            if place > 0 {
                sql.words(" AND ");
            }
            let mut name = Sql::default();
            let affinity = scope.write_column(&mut name, column)?.affinity;
            refuse_cut_number(affinity, value)?;
            write_equal(&mut sql, name, affinity, value, [" = ", " IN ("]);
        }
        Ok(sql)
    }

    /// Adds its columns, with commas between them.
    pub(super) fn write_columns(&self, sql: &mut Sql, scope: Scope<'_>) {
        for (place, column) in self.columns.iter().enumerate() {
            if place > 0 {
                sql.words(", ");
            }
            scope.write_name(sql, column);
        }
    }

    /// A key as it stands in a path.
    pub(in crate::data::rows) fn in_path(values: &[Param]) -> String {
        let parts = values.iter().map(|value| {
            let text = match value {
                Param::Null => String::new(),
                Param::Integer(number) => number.to_string(),
                Param::Real(number) => number.to_string(),
                Param::Text(text) => text.clone(),
                Param::TextBytes(bytes) | Param::Blob(bytes) => {
                    format!("\\x{}", hex::encode(bytes))
                }
            };
            utf8_percent_encode(&text, IN_A_PATH).to_string()
        });
        parts.collect::<Vec<_>>().join(",")
    }
}

/// The key of a row to be inserted, where it is known without asking for it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::rows) enum NewKey {
    /// The row holds it.
    Given(Vec<Param>),
    /// The number that the row is given.
    Number,
}

impl NewKey {
    /// That of a row with these values.
    pub(in crate::data::rows) fn of(
        schema: &Schema,
        table: &str,
        columns: &[String],
        values: &[Param],
    ) -> Option<Self> {
        let table = schema.find(table)?;
        if table.kind != TableKind::Table {
            return None;
        }
        let identity = Identity::of(table)?;
        let given = |name: &str| {
            let place = columns.iter().position(|it| it.eq_ignore_ascii_case(name));
            place.and_then(|place| values.get(place))
        };
        if let [name] = identity.columns[..]
            && table.rowid.as_deref() == Some(name)
        {
            // It has other names than this one.
            let names = [name, "rowid", "_rowid_", "oid"];
            let named = names.into_iter().filter_map(given);
            let mut named = named.filter(|value| **value != Param::Null);
            return match (named.next(), given(name)) {
                (None, _) => Some(Self::Number),
                (_, Some(Param::Integer(number))) => {
                    Some(Self::Given(vec![Param::Integer(*number)]))
                }
                _ => None,
            };
        }
        // As they are kept only where no affinity changes them.
        let kept = identity.columns.iter().map(|name| {
            let affinity = table.column(name)?.affinity;
            let value = given(name)?;
            let stays = match value {
                Param::Integer(_) => matches!(affinity, Affinity::Integer | Affinity::Numeric),
                Param::Text(_) => affinity == Affinity::Text,
                _ => false,
            };
            stays.then(|| value.clone())
        });
        kept.collect::<Option<_>>().map(Self::Given)
    }

    /// Its values, of the row that was given this number.
    pub(in crate::data::rows) fn values(self, number: i64) -> Vec<Param> {
        match self {
            Self::Given(values) => values,
            Self::Number => vec![Param::Integer(number)],
        }
    }
}

/// The columns of a row that an `ETag` speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColumnSet {
    /// All of them.
    All,
    /// Those at these places.
    Some(Vec<usize>),
}

impl ColumnSet {
    /// The columns that `select` reads.
    pub(in crate::data::rows) fn of(table: &Table, select: &[SelectItem]) -> Self {
        let mut places = Vec::new();
        for item in select {
            match item {
                SelectItem::Column(column) => {
                    let mut columns = table.columns.iter();
                    let name = &column.field.column;
                    let place = columns.position(|it| it.name.eq_ignore_ascii_case(name));
                    places.extend(place);
                }
                SelectItem::All => return Self::All,
                SelectItem::Count { .. } | SelectItem::Embed(_) => {}
            }
        }
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            Self::All
        } else {
            Self::Some(places)
        }
    }

    /// The mark of a row, of what its columns hold together.
    pub(in crate::data::rows) fn mark(&self, hash: i64) -> String {
        match self {
            Self::All => format!("\"r{hash:016x}\""),
            Self::Some(places) => {
                let places = places.iter().map(usize::to_string);
                let places = places.collect::<Vec<_>>().join(".");
                format!("\"r{hash:016x}-{places}\"")
            }
        }
    }

    /// What a mark says: its columns and what they hold together. `None` for what is no mark.
    pub(in crate::data::rows) fn read(mark: &str) -> Option<(Self, i64)> {
        let mark = mark.strip_prefix("\"r")?.strip_suffix('"')?;
        let (hash, columns) = match mark.split_once('-') {
            None => (mark, Self::All),
            Some((hash, places)) => {
                let places = places.split('.').map(str::parse);
                (hash, Self::Some(places.collect::<Result<_, _>>().ok()?))
            }
        };
        let hash = u64::from_str_radix(hash, 16).ok()?;
        Some((columns, hash.cast_signed()))
    }

    /// The expression of what the columns hold together. `None` where a column is gone.
    pub(super) fn hash(&self, scope: Scope<'_>) -> Option<Sql> {
        let columns = &scope.table.columns;
        let names: Vec<&str> = match self {
            Self::All => {
                let shown = columns.iter().filter(|column| !column.is_hidden);
                shown.map(|column| column.name.as_str()).collect()
            }
            Self::Some(places) => {
                let names = places
                    .iter()
                    .map(|place| Some(columns.get(*place)?.name.as_str()));
                names.collect::<Option<_>>()?
            }
        };
        let mut sql = Sql::default();
        if scope.schema.dialect == SqlDialect::Postgres {
            sql.words("hashtextextended(CAST(ROW(");
            for (place, name) in names.iter().enumerate() {
                if place > 0 {
                    sql.words(", ");
                }
                scope.write_name(&mut sql, name);
            }
            sql.words(") AS text), 0)");
            return Some(sql);
        }
        for (index, call) in names.chunks(VALUES_OF_A_CALL).enumerate() {
            let before = std::mem::take(&mut sql);
            sql.words("dbforge_hash(");
            if index > 0 {
                sql.part(before).words(", ");
            }
            for (place, name) in call.iter().enumerate() {
                if place > 0 {
                    sql.words(", ");
                }
                scope.write_name(&mut sql, name);
            }
            sql.words(")");
        }
        Some(sql)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_which_columns_it_speaks_of() {
        for (columns, hash) in [(ColumnSet::All, -1), (ColumnSet::Some(vec![0, 12]), 7)] {
            let mark = columns.mark(hash);
            assert_eq!(ColumnSet::read(&mark), Some((columns, hash)), "{mark}");
        }
        for wrong in ["", "*", "\"e5\"", "\"r\"", "\"rx\"", "W/\"r1\"", "\"r1-\""] {
            assert_eq!(ColumnSet::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_in_a_path_is_escaped_value_by_value() {
        let values = [
            Param::Text("a,b/ü".into()),
            Param::Integer(-7),
            Param::Blob(vec![0, 255]),
        ];
        assert_eq!(Identity::in_path(&values), "a%2Cb%2F%C3%BC,-7,%5Cx00ff");
    }
}
