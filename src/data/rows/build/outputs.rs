//! What `select` reads of one table: expressions with their names in the answer.
use super::scope::Scope;
use super::spelling;
use super::text::Sql;
use crate::data::rows::RowsError;
use crate::data::rows::dialect::ast::{
    Aggregate, Cast, Field, JsonPlace, SelectItem, SelectedColumn,
};
use std::collections::HashSet;

/// What is read of one table.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub(super) items: Vec<Output>,
    /// Whether rows are gathered into groups.
    pub(super) is_grouped: bool,
}

/// One part of what is read.
#[derive(Debug)]
pub(super) enum Output {
    /// Every column.
    All,
    /// One value.
    One(OutputValue),
}

/// A value of the answer.
#[derive(Debug)]
pub(super) struct OutputValue {
    /// Its name.
    pub(super) key: String,
    pub(super) sql: Sql,
    /// Whether it is JSON, of which the answer consists.
    pub(super) is_json: bool,
    pub(super) is_aggregate: bool,
}

impl Outputs {
    /// What `select` means of a table.
    pub(super) fn of(scope: Scope<'_>, select: &[SelectItem]) -> Result<Self, RowsError> {
        let mut outputs = Self::default();
        for item in select {
            match item {
                SelectItem::All => outputs.items.push(Output::All),
                SelectItem::Count { alias, cast } => {
                    let key = alias.clone().unwrap_or_else(|| "count".to_owned());
                    let counted = made(Sql::of("count(*)"), *cast, scope);
                    outputs.add_aggregate(key, counted, *cast);
                }
                SelectItem::Column(column) if is_bare_count(scope, column) => {
                    let key = column.alias.clone().unwrap_or_else(|| "count".to_owned());
                    outputs.add_aggregate(key, Sql::of("count(*)"), None);
                }
                SelectItem::Column(column) => outputs.add_column(scope, column)?,
                SelectItem::Embed(embed) if embed.is_spread => {
                    let spread = scope.spread(embed)?;
                    outputs.items.extend(spread.into_iter().map(Output::One));
                }
                SelectItem::Embed(embed) if embed.level.select.is_empty() => {
                    // It only filters; that it can be reached is looked at all the same.
                    super::relations::relation(scope, &embed.target, embed.hint.as_deref())?;
                }
                SelectItem::Embed(embed) => outputs.items.push(Output::One(OutputValue {
                    key: embed.name().to_owned(),
                    sql: scope.embedded(embed)?,
                    is_json: true,
                    is_aggregate: false,
                })),
            }
        }
        outputs.check()?;
        Ok(outputs)
    }

    fn add_aggregate(&mut self, key: String, sql: Sql, cast: Option<Cast>) {
        self.is_grouped = true;
        self.items.push(Output::One(OutputValue {
            key,
            sql,
            is_json: cast == Some(Cast::Json),
            is_aggregate: true,
        }));
    }

    fn add_column(&mut self, scope: Scope<'_>, column: &SelectedColumn) -> Result<(), RowsError> {
        let mut sql = Sql::default();
        scope.write_field(&mut sql, &column.field)?;
        let sql = made(sql, column.cast, scope);
        let Some((aggregate, cast)) = column.aggregate else {
            // `->` gives JSON, `->>` a value.
            let last = column.field.path.last();
            let is_json = match column.cast {
                None => last.is_some_and(|step| !step.as_text),
                Some(cast) => cast == Cast::Json,
            };
            self.items.push(Output::One(OutputValue {
                key: (column.alias.clone()).unwrap_or_else(|| name_of(&column.field)),
                sql,
                is_json,
                is_aggregate: false,
            }));
            return Ok(());
        };
        let (words, name) = match aggregate {
            Aggregate::Count => ("count(", "count"),
            Aggregate::Sum => ("sum(", "sum"),
            Aggregate::Avg => ("avg(", "avg"),
            Aggregate::Min => ("min(", "min"),
            Aggregate::Max => ("max(", "max"),
        };
        let mut computed = Sql::of(words);
        computed.part(sql).words(")");
        let key = column.alias.clone().unwrap_or_else(|| name.to_owned());
        self.add_aggregate(key, made(computed, cast, scope), cast);
        Ok(())
    }

    fn check(&self) -> Result<(), RowsError> {
        if self.is_grouped && self.items.iter().any(|item| matches!(item, Output::All)) {
            return Err(RowsError::with_hint(
                "`*` cannot stand beside an aggregate",
                "name the columns that make a group",
            ));
        }
        Ok(())
    }

    /// Its values, with `*` written out.
    pub(super) fn written_out(self, scope: Scope<'_>) -> Result<Vec<OutputValue>, RowsError> {
        let mut values = Vec::with_capacity(self.items.len());
        for item in self.items {
            match item {
                Output::One(value) => values.push(value),
                Output::All => {
                    let columns = scope.table.columns.iter();
                    for column in columns.filter(|column| !column.is_hidden) {
                        let mut sql = Sql::default();
                        scope.write_name(&mut sql, &column.name);
                        values.push(OutputValue {
                            key: column.name.clone(),
                            sql,
                            is_json: false,
                            is_aggregate: false,
                        });
                    }
                }
            }
        }
        let mut keys = HashSet::with_capacity(values.len());
        match values.iter().find(|value| !keys.insert(&value.key)) {
            None => Ok(values),
            Some(twice) => Err(RowsError::with_hint(
                format!("two parts of `select` are named `{}`", twice.key),
                "give one of them another name: `name:column`",
            )),
        }
    }
}

/// `count` without brackets, where no column has that name.
fn is_bare_count(scope: Scope<'_>, column: &SelectedColumn) -> bool {
    let field = &column.field;
    field.column == "count"
        && field.path.is_empty()
        && column.aggregate.is_none()
        && column.cast.is_none()
        && scope.find("count").is_none()
}

/// What a column is called where nothing else is said: the last member of its path.
fn name_of(field: &Field) -> String {
    let members = field.path.iter().rev().find_map(|step| match &step.to {
        JsonPlace::Member(name) => Some(name.clone()),
        JsonPlace::Place(_) => None,
    });
    members.unwrap_or_else(|| field.column.clone())
}

/// A value, made what was asked for.
pub(super) fn made(value: Sql, cast: Option<Cast>, scope: Scope<'_>) -> Sql {
    let spelled = spelling::of(scope.schema.dialect);
    let (before, behind) = match cast {
        None => return value,
        Some(Cast::Text) => ("CAST(", " AS TEXT)"),
        Some(Cast::Integer) => ("CAST(", spelled.as_integer),
        Some(Cast::Real) => ("CAST(", spelled.as_real),
        Some(Cast::Numeric) => ("CAST(", " AS NUMERIC)"),
        Some(Cast::Json) => (spelled.as_json[0], spelled.as_json[1]),
    };
    let mut sql = Sql::of(before);
    sql.part(value).words(behind);
    sql
}
