//! Gives parameters to a statement.
use crate::engine::sql::params::{Param, Params};
use crate::engine::sqlite::error::SqlError;
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::collections::HashMap;

/// Gives the values to a statement, which must want exactly these.
pub(crate) fn bind(
    params: &Params,
    statement: &mut rusqlite::Statement<'_>,
) -> Result<(), SqlError> {
    let wanted = statement.parameter_count();
    match params {
        Params::None if wanted == 0 => Ok(()),
        Params::Positional(values) if values.len() == wanted => {
            for (place, value) in (1..).zip(values.iter()) {
                statement
                    .raw_bind_parameter(place, as_sqlite(value))
                    .map_err(|error| SqlError::from_sqlite(&error, None))?;
            }
            Ok(())
        }
        Params::None | Params::Positional(_) => Err(SqlError::ParameterMismatch {
            message: format!(
                "the statement has {wanted} parameters, but {} were given",
                params.len()
            ),
        }),
        Params::Named(values) => bind_named(values, statement, wanted),
    }
}

fn bind_named(
    values: &[(String, Param)],
    statement: &mut rusqlite::Statement<'_>,
    wanted: usize,
) -> Result<(), SqlError> {
    let mut used = vec![false; values.len()];
    // Backwards, so that of two with one name the first is found, and the other is not used.
    let given: HashMap<&str, usize> = (values.iter().enumerate().rev())
        .map(|(index, (name, _))| (name.as_str(), index))
        .collect();
    for place in 1..=wanted {
        let Some(name) = statement.parameter_name(place).map(str::to_owned) else {
            return Err(SqlError::ParameterMismatch {
                message: format!("parameter {place} has no name; give the values as a list"),
            });
        };
        let found = [given.get(name.as_str()), given.get(&name[1..])];
        let Some(index) = found.into_iter().flatten().min().copied() else {
            return Err(SqlError::ParameterMismatch {
                message: format!("no value was given for the parameter {name}"),
            });
        };
        used[index] = true;
        statement
            .raw_bind_parameter(place, as_sqlite(&values[index].1))
            .map_err(|error| SqlError::from_sqlite(&error, None))?;
    }
    match used.iter().position(|it| !it) {
        Some(unused) => {
            let name = &values[unused].0;
            let is_known = (1..=wanted)
                .filter_map(|it| statement.parameter_name(it))
                .any(|it| it == name || it[1..] == **name);
            Err(SqlError::ParameterMismatch {
                message: if is_known {
                    format!("the parameter `{name}` is given twice")
                } else {
                    format!("the statement has no parameter `{name}`")
                },
            })
        }
        None => Ok(()),
    }
}

fn as_sqlite(value: &Param) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Param::Null => ValueRef::Null,
        Param::Integer(it) => ValueRef::Integer(*it),
        Param::Real(it) => ValueRef::Real(*it),
        Param::Text(it) => ValueRef::Text(it.as_bytes()),
        Param::TextBytes(it) => ValueRef::Text(it),
        Param::Blob(it) => ValueRef::Blob(it),
    })
}
