//! Gives parameters to a statement.
use crate::engine::sql::{Param, ParamRef, Params, ParamsList};
use crate::engine::sqlite::error::SqlError;
use rusqlite::Statement;
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::collections::HashMap;

/// Gives the values to a statement, which must want exactly these. Those of a list are given row by
/// row, by [`Columns`].
pub(crate) fn bind(params: &Params, statement: &mut Statement<'_>) -> Result<(), SqlError> {
    let wanted = statement.parameter_count();
    match params {
        // What is only explained is not run: it needs no values.
        Params::None if wanted == 0 || statement.is_explain() != 0 => Ok(()),
        Params::Positional(values) if values.len() == wanted => {
            for (place, value) in (1..).zip(values.iter()) {
                bind_one(statement, place, as_sqlite(value))?;
            }
            Ok(())
        }
        Params::None | Params::Positional(_) => Err(wrong_number(wanted, params.len())),
        Params::Named(values) => {
            let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
            for (place, index) in (1..).zip(places_by_name(&names, statement)?) {
                bind_one(statement, place, as_sqlite(&values[index].1))?;
            }
            Ok(())
        }
        Params::List(_) => Err(SqlError::ParameterMismatch {
            message: "this statement takes no `params_list`".to_owned(),
        }),
    }
}

/// Gives `first` and then the values to a statement, which must want exactly these.
pub(crate) fn bind_behind(
    statement: &mut Statement<'_>,
    first: ValueRef<'_>,
    values: &[Param],
) -> Result<(), SqlError> {
    let (wanted, given) = (statement.parameter_count(), values.len() + 1);
    if wanted != given {
        return Err(wrong_number(wanted, given));
    }
    bind_one(statement, 1, first)?;
    for (place, value) in (2..).zip(values) {
        bind_one(statement, place, as_sqlite(value))?;
    }
    Ok(())
}

/// Which value of a row each parameter of a statement gets.
pub(crate) struct Columns<'l> {
    list: &'l ParamsList,
    /// `None` where they go by place.
    places: Option<Vec<usize>>,
}

impl<'l> Columns<'l> {
    /// Of a list for `statement`, which must want exactly these.
    pub(crate) fn of(list: &'l ParamsList, statement: &Statement<'_>) -> Result<Self, SqlError> {
        let places = match list.names() {
            Some(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                Some(places_by_name(&names, statement)?)
            }
            None => {
                let wanted = statement.parameter_count();
                if wanted != list.width() {
                    return Err(wrong_number(wanted, list.width()));
                }
                None
            }
        };
        Ok(Self { list, places })
    }

    /// Gives a row to the statement.
    pub(crate) fn bind(&self, row: usize, statement: &mut Statement<'_>) -> Result<(), SqlError> {
        match &self.places {
            None => {
                for (place, value) in (1..).zip(self.list.row(row)) {
                    bind_one(statement, place, of_list(value))?;
                }
            }
            Some(places) => {
                for (place, column) in (1..).zip(places) {
                    bind_one(statement, place, of_list(self.list.value(row, *column)))?;
                }
            }
        }
        Ok(())
    }
}

fn bind_one(
    statement: &mut Statement<'_>,
    place: usize,
    value: ValueRef<'_>,
) -> Result<(), SqlError> {
    let bound = statement.raw_bind_parameter(place, ToSqlOutput::Borrowed(value));
    bound.map_err(|error| SqlError::from_sqlite(&error, None))
}

fn wrong_number(wanted: usize, given: usize) -> SqlError {
    SqlError::ParameterMismatch {
        message: format!("the statement has {wanted} parameters, but {given} were given"),
    }
}

/// For each parameter of a statement, the place of its value among `names`.
fn places_by_name(names: &[&str], statement: &Statement<'_>) -> Result<Vec<usize>, SqlError> {
    let wanted = statement.parameter_count();
    let mut used = vec![false; names.len()];
    // Backwards, so that of two with one name the first is found, and the other is not used.
    let given: HashMap<&str, usize> = (names.iter().enumerate().rev())
        .map(|(index, name)| (*name, index))
        .collect();
    let mut places = Vec::with_capacity(wanted);
    for place in 1..=wanted {
        let Some(name) = statement.parameter_name(place) else {
            return Err(SqlError::ParameterMismatch {
                message: format!("parameter {place} has no name; give the values as a list"),
            });
        };
        let found = [given.get(name), given.get(&name[1..])];
        let Some(index) = found.into_iter().flatten().min().copied() else {
            return Err(SqlError::ParameterMismatch {
                message: format!("no value was given for the parameter {name}"),
            });
        };
        used[index] = true;
        places.push(index);
    }
    let Some(unused) = used.iter().position(|is_used| !is_used) else {
        return Ok(places);
    };
    let name = names[unused];
    let is_known = (1..=wanted)
        .filter_map(|place| statement.parameter_name(place))
        .any(|known| known == name || known[1..] == *name);
    Err(SqlError::ParameterMismatch {
        message: if is_known {
            format!("the parameter `{name}` is given twice")
        } else {
            format!("the statement has no parameter `{name}`")
        },
    })
}

fn as_sqlite(value: &Param) -> ValueRef<'_> {
    match value {
        Param::Null => ValueRef::Null,
        Param::Integer(it) => ValueRef::Integer(*it),
        Param::Real(it) => ValueRef::Real(*it),
        Param::Text(it) => ValueRef::Text(it.as_bytes()),
        Param::TextBytes(it) => ValueRef::Text(it),
        Param::Blob(it) => ValueRef::Blob(it),
    }
}

fn of_list(value: ParamRef<'_>) -> ValueRef<'_> {
    match value {
        ParamRef::Null => ValueRef::Null,
        ParamRef::Integer(it) => ValueRef::Integer(it),
        ParamRef::Real(it) => ValueRef::Real(it),
        ParamRef::Text(it) => ValueRef::Text(it),
        ParamRef::Blob(it) => ValueRef::Blob(it),
    }
}
