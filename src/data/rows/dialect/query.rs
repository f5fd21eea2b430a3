//! The parameters of a request, gathered.
use super::ast::{Embed, Field, Level, RowCondition, RowsQuery, SelectItem};
use super::scan::Scanner;
use super::{filters, order, select};
use crate::data::rows::RowsError;
use crate::data::rows::body::MAX_ROW_COLUMNS;

/// Names that mean something else than a column; a column of such a name is put into quotes.
const RESERVED: &[&str] = &[
    "select",
    "order",
    "limit",
    "offset",
    "cursor",
    "columns",
    "on_conflict",
    "all",
    "and",
    "or",
];

/// Most parameters of one request.
const MAX_ROWS_PARAMETERS: usize = 200;

impl RowsQuery {
    /// Reads the parameters of a request, by name and value, without their `%` escapes.
    ///
    /// # Errors
    /// With the first that breaks a rule, and what to send instead.
    pub fn parse<'p>(
        parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<Self, RowsError> {
        let mut reading = Reading::default();
        for (place, (name, value)) in parameters.into_iter().enumerate() {
            if place == MAX_ROWS_PARAMETERS {
                return Err(RowsError::with_hint(
                    format!("there are more than {MAX_ROWS_PARAMETERS} parameters"),
                    "gather conditions in `and=(…)`, or values in `in.(…)`",
                ));
            }
            reading.parameter(name, value).map_err(|error| {
                let is_filter = filters::looks_like_a_filter(value);
                match error {
                    RowsError::Invalid { message, .. } if is_filter && RESERVED.contains(&name) => {
                        RowsError::with_hint(
                            message,
                            format!("for a column of that name: `\"{name}\"={value}`"),
                        )
                    }
                    other => other,
                }
            })?;
        }
        reading.finish()
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    query: RowsQuery,
    seen: Vec<&'static str>,
    /// Parameters that belong to something embedded, by its place.
    inside: Vec<Inside>,
}

/// A parameter whose name has dots.
struct Inside {
    /// As it was sent, which may be a column's name.
    name: String,
    path: Vec<String>,
    says: Says,
}

enum Says {
    RowCondition(RowCondition),
    /// One of `order`, `limit` and `offset`, with its value.
    Part(&'static str, String),
}

impl Reading {
    fn parameter(&mut self, name: &str, value: &str) -> Result<(), RowsError> {
        if let Some(reserved) = RESERVED.iter().find(|reserved| **reserved == name) {
            return self.reserved(reserved, value);
        }
        let (path, last) = path_of(name)?;
        if let Some((is_any, is_negated)) = last.tree() {
            let condition = negated(is_negated, filters::tree(is_any, value)?);
            self.add(name, path, Says::RowCondition(condition));
            return Ok(());
        }
        if let (false, Some(part)) = (path.is_empty(), last.part()) {
            self.add(name, path, Says::Part(part, value.to_owned()));
            return Ok(());
        }
        let condition = filters::filter(last.field, value)?;
        self.add(name, path, Says::RowCondition(condition));
        Ok(())
    }

    fn add(&mut self, name: &str, path: Vec<String>, says: Says) {
        match says {
            Says::RowCondition(condition) if path.is_empty() => {
                self.query.level.conditions.push(condition);
            }
            says => self.inside.push(Inside {
                name: name.to_owned(),
                path,
                says,
            }),
        }
    }

    fn reserved(&mut self, name: &'static str, value: &str) -> Result<(), RowsError> {
        if !matches!(name, "and" | "or") {
            if self.seen.contains(&name) {
                return Err(RowsError::invalid(format!("`{name}` was sent twice")));
            }
            self.seen.push(name);
        }
        let query = &mut self.query;
        match name {
            "select" => query.level.select = select::select(value)?,
            "cursor" => query.cursor = Some(value.to_owned()),
            "columns" => query.columns = Some(names(value)?),
            "on_conflict" => query.on_conflict = Some(names(value)?),
            "all" => {
                query.all = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(RowsError::invalid("`all` is `true` or `false`")),
                }
            }
            "and" | "or" => {
                let condition = filters::tree(name == "or", value)?;
                query.level.conditions.push(condition);
            }
            part => query.level.set(part, value)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<RowsQuery, RowsError> {
        let Self {
            mut query, inside, ..
        } = self;
        for Inside { name, path, says } in inside {
            match query.level.embedded(&path) {
                Some(embed) => match says {
                    Says::RowCondition(condition) => embed.level.conditions.push(condition),
                    Says::Part(part, value) => embed.level.set(part, &value)?,
                },
                // No such table is embedded: it may be a column whose name has a dot.
                None => match says {
                    Says::RowCondition(RowCondition::Compare { field, test })
                        if field.path.is_empty() && !name.contains('"') =>
                    {
                        let field = Field {
                            column: name,
                            path: Vec::new(),
                        };
                        let condition = RowCondition::Compare { field, test };
                        query.level.conditions.push(condition);
                    }
                    Says::RowCondition(RowCondition::Not(inner))
                        if matches!(&*inner, RowCondition::Compare { field, .. }
                            if field.path.is_empty()) =>
                    {
                        let RowCondition::Compare { test, .. } = *inner else {
                            continue;
                        };
                        let field = Field {
                            column: name,
                            path: Vec::new(),
                        };
                        let condition = RowCondition::Compare { field, test };
                        let negated = RowCondition::Not(Box::new(condition));
                        query.level.conditions.push(negated);
                    }
                    _ => return Err(not_embedded(&name, &path)),
                },
            }
        }
        Ok(query)
    }
}

fn not_embedded(name: &str, path: &[String]) -> RowsError {
    let table = path.join(".");
    RowsError::with_hint(
        format!("`{name}` is about `{table}`, which is not in `select`"),
        format!("embed it: `select=*,{table}(*)`"),
    )
}

impl Level {
    /// Sets `order`, `limit` or `offset`.
    fn set(&mut self, part: &str, value: &str) -> Result<(), RowsError> {
        match part {
            "order" => self.order = order::order(value)?,
            "limit" => self.limit = Some(number("limit", value)?),
            _ => self.offset = Some(number("offset", value)?),
        }
        Ok(())
    }

    /// What is embedded under these names, one inside of the other.
    fn embedded(&mut self, path: &[String]) -> Option<&mut Embed> {
        let (first, rest) = path.split_first()?;
        let found = self.select.iter_mut().find_map(|item| match item {
            SelectItem::Embed(embed) if embed.name() == first => Some(embed),
            _ => None,
        })?;
        if rest.is_empty() {
            Some(found)
        } else {
            found.level.embedded(rest)
        }
    }
}

/// The last part of a parameter's name.
struct Last {
    field: Field,
    is_quoted: bool,
    is_negated: bool,
}

impl Last {
    /// Whether it is `or` and not `and`, and whether `not` stands in front.
    fn tree(&self) -> Option<(bool, bool)> {
        match self.plain()? {
            "and" => Some((false, self.is_negated)),
            "or" => Some((true, self.is_negated)),
            _ => None,
        }
    }

    fn part(&self) -> Option<&'static str> {
        let parts = ["order", "limit", "offset"];
        let plain = self.plain()?;
        parts.into_iter().find(|part| *part == plain)
    }

    fn plain(&self) -> Option<&str> {
        (!self.is_quoted && self.field.path.is_empty()).then_some(self.field.column.as_str())
    }
}

/// A parameter's name: what it is inside of, and the last part.
fn path_of(name: &str) -> Result<(Vec<String>, Last), RowsError> {
    let mut scanner = Scanner::new(name);
    let mut path = Vec::new();
    loop {
        let is_quoted = scanner.rest().starts_with('"');
        // Only dots, arrows and quotes end a name here.
        let field = if is_quoted {
            scanner.field()?
        } else {
            let rest = scanner.rest();
            let end = rest.find('.').unwrap_or(rest.len());
            let end = rest.find("->").map_or(end, |arrow| arrow.min(end));
            let column = rest[..end].to_owned();
            scanner.eat(&column);
            if column.is_empty() {
                return Err(RowsError::with_hint(
                    format!("the parameter `{name}` names no column"),
                    "write `column=eq.value`",
                ));
            }
            let path = scanner.json_path()?;
            Field { column, path }
        };
        if scanner.is_at_end() {
            let mut last = Last {
                field,
                is_quoted,
                is_negated: false,
            };
            let is_tree = last.tree().is_some();
            if is_tree && path.last().is_some_and(|word: &String| word == "not") {
                path.pop();
                last.is_negated = true;
            }
            return Ok((path, last));
        }
        if !field.path.is_empty() || !scanner.eat(".") {
            return Err(scanner.error("the name of a parameter ends before this"));
        }
        path.push(field.column);
    }
}

fn negated(is_negated: bool, condition: RowCondition) -> RowCondition {
    if is_negated {
        RowCondition::Not(Box::new(condition))
    } else {
        condition
    }
}

/// Names with commas between them.
fn names(text: &str) -> Result<Vec<String>, RowsError> {
    let mut scanner = Scanner::new(text);
    let mut names = Vec::new();
    loop {
        if names.len() == MAX_ROW_COLUMNS {
            return Err(RowsError::invalid(format!(
                "more than {MAX_ROW_COLUMNS} columns are named"
            )));
        }
        names.push(scanner.name()?);
        scanner.skip_spaces();
        if scanner.is_at_end() {
            return Ok(names);
        }
        scanner.expect(",")?;
    }
}

fn number(name: &str, value: &str) -> Result<u64, RowsError> {
    value
        .parse()
        .map_err(|_| RowsError::invalid(format!("`{name}` must be a whole number, not `{value}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<RowsQuery, RowsError> {
        RowsQuery::parse(pairs.iter().copied())
    }

    #[test]
    fn parameters_of_what_is_embedded_go_to_it() {
        let query = parse(&[
            ("orders.status", "eq.paid"),
            ("select", "*,orders(*,items(*))"),
            ("orders.limit", "3"),
            ("orders.order", "id.desc"),
            ("orders.items.price", "gt.5"),
            ("orders.or", "(a.eq.1,b.eq.2)"),
            ("orders.not.and", "(a.eq.1,b.eq.2)"),
            ("name", "eq.x"),
        ]);
        let query = query.unwrap();
        assert_eq!(query.level.conditions.len(), 1);
        let SelectItem::Embed(orders) = &query.level.select[1] else {
            panic!()
        };
        assert_eq!(orders.level.conditions.len(), 3);
        assert!(matches!(orders.level.conditions[2], RowCondition::Not(_)));
        assert_eq!((orders.level.limit, orders.level.order.len()), (Some(3), 1));
        let SelectItem::Embed(items) = &orders.level.select[1] else {
            panic!()
        };
        assert_eq!(items.level.conditions.len(), 1);
    }

    #[test]
    fn columns_with_reserved_names_are_filtered_in_quotes() {
        for name in RESERVED {
            let quoted = format!("\"{name}\"");
            let query = parse(&[(&quoted, "eq.1")]).unwrap();
            let [RowCondition::Compare { field, .. }] = &query.level.conditions[..] else {
                panic!("{name}")
            };
            assert_eq!(field.column, *name);
        }
        for name in ["select", "order", "limit", "offset", "columns", "all", "or"] {
            let error = parse(&[(name, "eq.1")]).unwrap_err();
            let hint = error.hint().unwrap_or_default();
            assert!(
                hint.contains(&format!("\"{name}\"=eq.1")),
                "{name}: {error:?}"
            );
        }
    }

    #[test]
    fn a_column_whose_name_has_a_dot_is_found_with_and_without_quotes() {
        for name in ["a.b", "\"a.b\""] {
            let query = parse(&[(name, "eq.1")]).unwrap();
            let [RowCondition::Compare { field, .. }] = &query.level.conditions[..] else {
                panic!("{name}")
            };
            assert_eq!(field.column, "a.b");
        }
        for wrong in ["orders.limit", "a.or", "", ".", "a->>b.c", "a->b", "\"a"] {
            assert!(parse(&[(wrong, "5")]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_there_once_cannot_be_sent_twice() {
        assert!(parse(&[("limit", "1"), ("limit", "2")]).is_err());
        assert!(parse(&[("or", "(a.eq.1)"), ("or", "(a.eq.2)")]).is_ok());
        assert!(parse(&[("a", "gt.1"), ("a", "lt.2")]).is_ok());
        assert!(parse(&[("limit", "-1")]).is_err());
        assert!(parse(&[("all", "yes")]).is_err());
    }
}
