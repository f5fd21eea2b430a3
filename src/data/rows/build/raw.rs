//! Statements about one value.
use super::identity::Identity;
use super::scope::Scope;
use super::text::Sql;
use crate::data::Param;
use crate::data::rows::RowsError;
use crate::engine::sql::schema::{Schema, Table, TableKind};

/// One value, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(in crate::data::rows) struct ValueOf<'v> {
    pub(in crate::data::rows) table: &'v str,
    pub(in crate::data::rows) key: &'v str,
    pub(in crate::data::rows) column: &'v str,
}

impl<'v> ValueOf<'v> {
    fn scope<'s>(&self, schema: &'s Schema) -> Result<(Scope<'s>, &'s str), RowsError> {
        let scope = Scope::new(schema, self.table)?;
        let column = scope
            .find(self.column)
            .ok_or_else(|| scope.no_column(self.column))?;
        Ok((scope, &column.name))
    }

    fn write_where(&self, sql: &mut Sql, scope: Scope<'_>) -> Result<(), RowsError> {
        let identity = Identity::required(scope.table)?;
        sql.words(" WHERE ")
            .part(identity.condition(scope, self.key)?);
        Ok(())
    }

    /// Its kind, its bytes, its row's number, and the hash of what it holds, where it has no more
    /// than `most_hashed` bytes.
    pub(in crate::data::rows) fn facts(
        &self,
        schema: &Schema,
        most_hashed: u64,
    ) -> Result<Sql, RowsError> {
        let (scope, column) = self.scope(schema)?;
        let mut sql = Sql::of("SELECT typeof(");
        sql.name(column)
            .words("), octet_length(")
            .name(column)
            .words("), ");
        match &scope.table.rowid {
            Some(rowid) => sql.name(rowid),
            None => sql.words("NULL"),
        };
        sql.words(", CASE WHEN octet_length(")
            .name(column)
            .words(") <= ");
        let most = i64::try_from(most_hashed).unwrap_or(i64::MAX);
        sql.value(Param::Integer(most)).words(" THEN dbforge_hash(");
        sql.name(column)
            .words(") END FROM ")
            .name(&scope.table.name);
        self.write_where(&mut sql, scope)?;
        sql.words(" LIMIT 1");
        Ok(sql)
    }

    /// Some of its bytes.
    pub(in crate::data::rows) fn bytes(
        &self,
        schema: &Schema,
        first: u64,
        count: u64,
    ) -> Result<Sql, RowsError> {
        let (scope, column) = self.scope(schema)?;
        let number = |number: u64| Param::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let mut sql = Sql::of("SELECT substr(CAST(");
        sql.name(column).words(" AS BLOB), ");
        sql.values([number(first + 1), number(count)]);
        sql.words(") FROM ").name(&scope.table.name);
        self.write_where(&mut sql, scope)?;
        sql.words(" LIMIT 1");
        Ok(sql)
    }

    /// Gives it a value, or room for one of so many bytes.
    pub(in crate::data::rows) fn set(
        &self,
        schema: &Schema,
        value: NewValue,
        marks: &[i64],
    ) -> Result<Sql, RowsError> {
        let (scope, column) = self.scope(schema)?;
        writable(scope.table, column)?;
        let mut sql = Sql::of("UPDATE ");
        sql.name(&scope.table.name)
            .words(" SET ")
            .name(column)
            .words(" = ");
        match value {
            NewValue::Whole(value) => {
                sql.value(value);
            }
            NewValue::Room(bytes) => {
                let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
                sql.words("zeroblob(")
                    .value(Param::Integer(bytes))
                    .words(")");
            }
        }
        self.write_where(&mut sql, scope)?;
        if !marks.is_empty() {
            sql.words(" AND dbforge_hash(").name(column).words(") IN (");
            sql.values(marks.iter().map(|mark| Param::Integer(*mark)));
            sql.words(")");
        }
        Ok(sql)
    }
}

/// What a value becomes.
#[derive(Debug, Clone)]
pub(in crate::data::rows) enum NewValue {
    Whole(Param),
    Room(u64),
}

fn writable(table: &Table, column: &str) -> Result<(), RowsError> {
    if table.kind == TableKind::Shadow {
        return Err(RowsError::invalid(format!(
            "`{}` is a virtual table's own data",
            table.name
        )));
    }
    let is_generated = table
        .column(column)
        .is_some_and(|column| column.generated.is_some());
    if is_generated {
        return Err(RowsError::invalid(format!(
            "`{column}` of `{}` is a generated column, which takes no values",
            table.name
        )));
    }
    Ok(())
}

/// Why a value of a column cannot be written in parts: something follows from what is in it.
pub(in crate::data::rows) fn why_not_in_parts(table: &Table, name: &str) -> Option<&'static str> {
    let is = |other: &String| other.eq_ignore_ascii_case(name);
    let in_index = table.indexes.iter().any(|index| {
        let mut columns = index.columns.iter();
        columns.any(|column| column.name.as_ref().is_none_or(is)) || index.partial.is_some()
    });
    if table.kind != TableKind::Table || table.rowid.is_none() {
        Some("its table has no rowids")
    } else if in_index {
        Some("an index has it")
    } else if table.primary_key.iter().any(is)
        || table
            .foreign_keys
            .iter()
            .any(|key| key.columns.iter().any(is))
    {
        Some("a key has it")
    } else if table
        .columns
        .iter()
        .any(|column| column.generated.is_some())
    {
        Some("its table has generated columns")
    } else if !table.checks.is_empty() {
        Some("its table has CHECK conditions")
    } else if !table.triggers.is_empty() {
        Some("its table has triggers")
    } else {
        None
    }
}
