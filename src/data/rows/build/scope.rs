//! What names mean in a part of a statement.
use super::text::Sql;
use crate::data::rows::RowsError;
use crate::data::rows::dialect::ast::{Field, JsonPlace, JsonStep};
use crate::data::{Param, QueryError};
use crate::engine::sql::schema::{Affinity, Column, Schema, SqlDialect, Table};

/// A table whose rows are read, and the name by which this part of the statement calls it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'s> {
    pub(super) schema: &'s Schema,
    pub(super) table: &'s Table,
    /// Where several tables are in one statement.
    pub(super) alias: Option<&'s str>,
    /// How many tables are around.
    pub(super) depth: usize,
}

/// What is known of a value that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) affinity: Affinity,
    pub(super) may_be_null: bool,
}

impl<'s> Scope<'s> {
    /// The table of a request.
    pub(super) fn new(schema: &'s Schema, name: &str) -> Result<Self, RowsError> {
        let table = schema.find(name).ok_or_else(|| RowsError::NoTable {
            name: name.to_owned(),
            nearest: schema.nearest(name).map(str::to_owned),
        })?;
        if let Some(trouble) = &table.trouble {
            return Err(QueryError::Sql {
                message: format!("the columns of {} cannot be told: {trouble}", table.name),
                hint: None,
            }
            .into());
        }
        Ok(Self {
            schema,
            table,
            alias: None,
            depth: 0,
        })
    }

    /// The same, with its columns called by the table's own name.
    pub(super) fn qualified(self) -> Self {
        Self {
            alias: Some(&self.table.name),
            ..self
        }
    }

    /// The column of this name; one that is spelled so counts before one in other letters.
    pub(super) fn find(&self, name: &str) -> Option<&'s Column> {
        let columns = &self.table.columns;
        let exact = columns.iter().find(|column| column.name == name);
        exact.or_else(|| self.table.column(name))
    }

    /// Whether a name means the row's own number, without being a column's.
    fn is_row_number(&self, name: &str) -> bool {
        let rowid = self.table.rowid.as_deref();
        rowid.is_some_and(|rowid| {
            rowid.eq_ignore_ascii_case(name) || name.eq_ignore_ascii_case("rowid")
        })
    }

    /// The name by which a row's own number is written, if that is what a name means.
    pub(super) fn row_number(&self, name: &str) -> Option<&'s str> {
        let rowid = self.table.rowid.as_deref();
        rowid.filter(|_| self.is_row_number(name))
    }

    pub(super) fn no_column(&self, name: &str) -> RowsError {
        RowsError::NoColumn {
            table: self.table.name.clone(),
            column: name.to_owned(),
            nearest: self.table.nearest_column(name).map(str::to_owned),
        }
    }

    /// Adds a column that is known to be there.
    pub(super) fn write_name(&self, sql: &mut Sql, name: &str) {
        if let Some(alias) = self.alias {
            sql.name(alias).words(".");
        }
        sql.name(name);
    }

    /// Adds a column.
    pub(super) fn write_column(&self, sql: &mut Sql, name: &str) -> Result<Known, RowsError> {
        let (name, known) = match self.find(name) {
            Some(column) => (column.name.as_str(), self.known(column)),
            None => {
                let rowid = self.row_number(name).ok_or_else(|| self.no_column(name))?;
                let known = Known {
                    affinity: Affinity::Integer,
                    may_be_null: false,
                };
                (rowid, known)
            }
        };
        self.write_name(sql, name);
        Ok(known)
    }

    /// What makes a value that is compared with a column what the column holds: SQLite's columns by
    /// their affinity; PostgreSQL reads the text of a value by the column's type.
    fn compared(&self, affinity: Affinity) -> Affinity {
        match self.schema.dialect {
            SqlDialect::Sqlite => affinity,
            SqlDialect::Postgres => Affinity::Text,
        }
    }

    fn known(&self, column: &Column) -> Known {
        let is_number = self.table.rowid.as_ref() == Some(&column.name);
        let is_key = column.key_place.is_some() && self.table.is_without_rowid;
        Known {
            affinity: self.compared(column.affinity),
            may_be_null: !(column.not_null || is_number || is_key),
        }
    }

    /// Adds a column, or a value inside of its JSON.
    pub(super) fn write_field(&self, sql: &mut Sql, field: &Field) -> Result<Known, RowsError> {
        self.write_path(sql, field, |step| step.as_text)
    }

    /// The same as it is compared and sorted: a number in JSON as a number, a text as a text.
    pub(super) fn write_comparable(
        &self,
        sql: &mut Sql,
        field: &Field,
    ) -> Result<Known, RowsError> {
        // PostgreSQL compares JSON itself.
        let last = (field.path.last()).filter(|_| self.schema.dialect == SqlDialect::Sqlite);
        self.write_path(sql, field, |step| {
            step.as_text || last.is_some_and(|last| std::ptr::eq(last, step))
        })
    }

    fn write_path(
        &self,
        sql: &mut Sql,
        field: &Field,
        is_value: impl Fn(&JsonStep) -> bool,
    ) -> Result<Known, RowsError> {
        if field.path.is_empty() {
            return self.write_column(sql, &field.column);
        }
        sql.words("(");
        self.write_column(sql, &field.column)?;
        for step in &field.path {
            sql.words(if is_value(step) { " ->> " } else { " -> " });
            let (value, of_type) = match &step.to {
                JsonPlace::Member(name) => (Param::Text(name.clone()), "::text"),
                JsonPlace::Place(place) => (Param::Integer(*place), "::int"),
            };
            sql.value(value);
            if self.schema.dialect == SqlDialect::Postgres {
                sql.words(of_type);
            }
        }
        sql.words(")");
        Ok(Known {
            affinity: self.compared(Affinity::Blob),
            may_be_null: true,
        })
    }
}
