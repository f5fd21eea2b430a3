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

    /// Gives it a value, or room for one. The first parameter is the value, or its size.
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
        let is_room = matches!(value, NewValue::Room);
        match value {
            NewValue::Whole(value) => sql.value(value),
            NewValue::Room => sql.words("zeroblob(").value(Param::Null).words(")"),
        };
        self.write_where(&mut sql, scope)?;
        if !marks.is_empty() {
            sql.words(" AND dbforge_hash(").name(column).words(") IN (");
            sql.values(marks.iter().map(|mark| Param::Integer(*mark)));
            sql.words(")");
        }
        if let (true, Some(rowid)) = (is_room, &scope.table.rowid) {
            sql.words(" RETURNING ").name(rowid);
        }
        Ok(sql)
    }

    /// The column as the table calls it, if room for bytes can be made in it: nothing follows from
    /// what is in it, no index, key, CHECK, trigger or generated column.
    pub(in crate::data::rows) fn column_with_room<'s>(
        &self,
        schema: &'s Schema,
    ) -> Result<Option<&'s str>, RowsError> {
        let (scope, column) = self.scope(schema)?;
        Ok((!has_dependents(scope.table, column)).then_some(column))
    }
}

/// What a value becomes.
#[derive(Debug, Clone)]
pub(in crate::data::rows) enum NewValue {
    Whole(Param),
    Room,
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

/// Whether something follows from what is in a column.
fn has_dependents(table: &Table, name: &str) -> bool {
    let is = |other: &String| other.eq_ignore_ascii_case(name);
    let in_index = table.indexes.iter().any(|index| {
        let mut columns = index.columns.iter();
        columns.any(|column| column.name.as_ref().is_none_or(is)) || index.partial.is_some()
    });
    let mut keys = table.foreign_keys.iter();
    let in_key = table.primary_key.iter().any(is) || keys.any(|key| key.columns.iter().any(is));
    let mut columns = table.columns.iter();
    in_index
        || in_key
        || table.kind != TableKind::Table
        || table.rowid.is_none()
        || columns.any(|column| column.generated.is_some())
        || !table.checks.is_empty()
        || !table.triggers.is_empty()
}
