//! Rows of other tables inside of each row: a subquery that writes them as JSON.
//!
//! Values go into that JSON by a function of our own, `dbforge_object`, which writes each as the
//! answer itself would: an integer of 64 bits, a BLOB or text that is no UTF-8 stays what it is.
use super::outputs::{OutputValue, Outputs};
use super::relations::{Link, Relation, relation};
use super::scope::Scope;
use super::spelling;
use super::text::Sql;
use crate::data::Param;
use crate::data::rows::RowsError;
use crate::data::rows::dialect::ast::{Embed, Field};
use crate::engine::sql::object_template;
use crate::engine::sql::schema::SqlDialect;

/// Values of one call of a function: SQLite may be built for 127 arguments.
const VALUES_OF_A_CALL: usize = 120;

/// Names and values of one call in PostgreSQL, which takes 100 arguments.
const PAIRS_OF_A_CALL: usize = 50;

/// What of a relation a part of a statement reads: the target, under a name of its own.
struct Inside<'s> {
    relation: Relation<'s>,
    alias: String,
}

impl<'s> Inside<'s> {
    fn of(scope: Scope<'s>, embed: &Embed) -> Result<Self, RowsError> {
        Ok(Self {
            relation: relation(scope, &embed.target, embed.hint.as_deref())?,
            alias: alias("e", scope),
        })
    }

    fn scope<'a>(&'a self, around: Scope<'a>) -> Scope<'a>
    where
        's: 'a,
    {
        Scope {
            schema: around.schema,
            table: self.relation.target,
            alias: Some(&self.alias),
            depth: around.depth + 1,
        }
    }

    /// Adds ` FROM … WHERE …` for the rows that belong to the row around.
    fn write_source(
        &self,
        sql: &mut Sql,
        around: Scope<'_>,
        embed: &Embed,
    ) -> Result<(), RowsError> {
        let scope = self.scope(around);
        sql.words(" FROM ").name(&scope.table.name).words(" AS ");
        sql.name(&self.alias);
        let mut link = Sql::default();
        match &self.relation.by {
            Link::Columns(pairs) => {
                for (place, (here, there)) in pairs.iter().enumerate() {
                    if place > 0 {
                        link.words(" AND ");
                    }
                    scope.write_name(&mut link, there);
                    link.words(" = ");
                    around.write_name(&mut link, here);
                }
            }
            Link::Through {
                between,
                here,
                there,
            } => {
                let name = alias("j", around);
                sql.words(" JOIN ")
                    .name(&between.name)
                    .words(" AS ")
                    .name(&name);
                sql.words(" ON ");
                let side = |to: Scope<'_>, sql: &mut Sql, (column, other): &(&str, &str)| {
                    sql.name(&name).words(".").name(column).words(" = ");
                    to.write_name(sql, other);
                };
                for (place, pair) in there.iter().enumerate() {
                    if place > 0 {
                        sql.words(" AND ");
                    }
                    side(scope, sql, pair);
                }
                for (place, pair) in here.iter().enumerate() {
                    if place > 0 {
                        link.words(" AND ");
                    }
                    side(around, &mut link, pair);
                }
            }
        }
        scope.write_where(sql, &embed.level, vec![link])
    }
}

/// A name for a table of this depth that no table of the schema has.
fn alias(letter: &str, scope: Scope<'_>) -> String {
    let mut alias = format!("{letter}{}", scope.depth);
    while scope.schema.find(&alias).is_some() {
        alias.push('_');
    }
    alias
}

impl Scope<'_> {
    /// Adds `EXISTS (…)`: whether something is embedded.
    pub(super) fn write_exists(self, sql: &mut Sql, embed: &Embed) -> Result<(), RowsError> {
        let inside = Inside::of(self, embed)?;
        sql.words("EXISTS (SELECT 1");
        inside.write_source(sql, self, embed)?;
        sql.words(")");
        Ok(())
    }

    /// Adds a field of the one row that is embedded.
    pub(super) fn write_value(
        self,
        sql: &mut Sql,
        embed: &Embed,
        field: &Field,
    ) -> Result<(), RowsError> {
        let inside = Inside::of(self, embed)?;
        sql.words("(SELECT ");
        inside.scope(self).write_field(sql, field)?;
        inside.write_source(sql, self, embed)?;
        sql.words(" LIMIT 1)");
        Ok(())
    }

    /// What is embedded, as JSON: an object or null, or an array.
    pub(super) fn embedded(self, embed: &Embed) -> Result<Sql, RowsError> {
        let inside = Inside::of(self, embed)?;
        let here = inside.scope(self);
        let outputs = Outputs::of(here, &embed.level.select)?;
        let is_grouped = outputs.is_grouped;
        let values = outputs.written_out(here)?;
        let dialect = self.schema.dialect;
        let [begin, end] = spelling::of(dialect).array;
        let mut sql = Sql::default();
        if inside.relation.is_to_one && !is_grouped {
            sql.words("(SELECT ").part(object(values, dialect));
            inside.write_source(&mut sql, self, embed)?;
            sql.words(" LIMIT 1)");
            return Ok(sql);
        }
        sql.words(begin);
        if is_grouped {
            write_groups(&mut sql, &inside, self, embed, values)?;
        } else {
            sql.part(object(values, dialect)).words(" AS o");
            inside.write_source(&mut sql, self, embed)?;
            here.write_order(&mut sql, &embed.level)?;
        }
        // With a limit, SQLite keeps the order of what is gathered.
        let none = spelling::no_limit(dialect);
        sql.limit(embed.level.limit, embed.level.offset, none);
        sql.words(end);
        Ok(sql)
    }

    /// The columns of what is embedded, as columns of the row around.
    pub(super) fn spread(self, embed: &Embed) -> Result<Vec<OutputValue>, RowsError> {
        let inside = Inside::of(self, embed)?;
        let here = inside.scope(self);
        let outputs = Outputs::of(here, &embed.level.select)?;
        if outputs.is_grouped {
            return Err(RowsError::with_hint(
                format!("`...{}` cannot spread an aggregate", embed.target),
                format!("embed it: `{}(count())`", embed.target),
            ));
        }
        let is_to_one = inside.relation.is_to_one;
        let dialect = self.schema.dialect;
        let [begin, end] = spelling::of(dialect).array;
        let values = outputs.written_out(here)?.into_iter();
        let spread = values.map(|value| {
            let mut sql = Sql::default();
            if is_to_one {
                sql.words("(SELECT ").part(value.sql);
                inside.write_source(&mut sql, self, embed)?;
                sql.words(" LIMIT 1)");
                return Ok(OutputValue { sql, ..value });
            }
            let item = array_item(value.sql, value.is_json, dialect);
            sql.words(begin).part(item);
            sql.words(" AS o");
            inside.write_source(&mut sql, self, embed)?;
            here.write_order(&mut sql, &embed.level)?;
            let none = spelling::no_limit(dialect);
            sql.limit(embed.level.limit, embed.level.offset, none);
            sql.words(end);
            Ok(OutputValue {
                sql,
                is_json: true,
                ..value
            })
        });
        spread.collect()
    }
}

/// Adds the objects of groups: the groups are made inside, and written around.
fn write_groups(
    sql: &mut Sql,
    inside: &Inside<'_>,
    around: Scope<'_>,
    embed: &Embed,
    values: Vec<OutputValue>,
) -> Result<(), RowsError> {
    if !embed.level.order.is_empty() {
        return Err(RowsError::invalid(format!(
            "the groups of `{}` cannot be sorted",
            embed.name()
        )));
    }
    let mut outside = Vec::with_capacity(values.len());
    let mut groups = Sql::default();
    let mut places = Vec::new();
    for (place, value) in values.into_iter().enumerate() {
        if place > 0 {
            groups.words(", ");
        }
        if !value.is_aggregate {
            places.push(place + 1);
        }
        groups.part(value.sql).words(" AS c").number(place);
        let mut name = Sql::of("c");
        name.number(place);
        outside.push(OutputValue { sql: name, ..value });
    }
    let dialect = around.schema.dialect;
    sql.part(object(outside, dialect))
        .words(" AS o FROM (SELECT ")
        .part(groups);
    inside.write_source(sql, around, embed)?;
    sql.group_by(&places);
    sql.words(spelling::of(dialect).end_of_source);
    Ok(())
}

fn array_item(value: Sql, is_json: bool, dialect: SqlDialect) -> Sql {
    if dialect == SqlDialect::Postgres {
        return value;
    }
    let mut sql = Sql::of("dbforge_object(");
    sql.value(Param::Text(object_template([(None, is_json)], false)));
    sql.words(", ").part(value).words(")");
    sql
}

/// `{"id":…,"name":…}`, written by as many calls as its values need.
fn object(values: Vec<OutputValue>, dialect: SqlDialect) -> Sql {
    if dialect == SqlDialect::Postgres {
        return postgres_object(values);
    }
    let mut sql = Sql::default();
    let is_one = values.len() <= VALUES_OF_A_CALL;
    if !is_one {
        sql.words("'{'");
    }
    let mut values = values.into_iter().peekable();
    let mut is_first = true;
    while values.peek().is_some() || is_first {
        let call: Vec<OutputValue> = values.by_ref().take(VALUES_OF_A_CALL).collect();
        match (is_one, is_first) {
            (true, _) => {}
            (false, true) => {
                sql.words(" || ");
            }
            (false, false) => {
                sql.words(" || ',' || ");
            }
        }
        is_first = false;
        let fields = call
            .iter()
            .map(|value| (Some(value.key.as_str()), value.is_json));
        sql.words("dbforge_object(");
        sql.value(Param::Text(object_template(fields, is_one)));
        for value in call {
            sql.words(", ").part(value.sql);
        }
        sql.words(")");
    }
    if !is_one {
        sql.words(" || '}'");
    }
    sql
}

/// The same by PostgreSQL's own functions.
fn postgres_object(values: Vec<OutputValue>) -> Sql {
    let mut sql = Sql::default();
    let is_one = values.len() <= PAIRS_OF_A_CALL;
    let begin = match is_one {
        true => "json_build_object(",
        false => "jsonb_build_object(",
    };
    sql.words(begin);
    for (place, value) in values.into_iter().enumerate() {
        match place {
            0 => {}
            place if place % PAIRS_OF_A_CALL == 0 => {
                sql.words(") || jsonb_build_object(");
            }
            _ => {
                sql.words(", ");
            }
        }
        sql.value(Param::Text(value.key)).words("::text, ");
        sql.part(value.sql);
    }
    sql.words(")");
    sql
}
