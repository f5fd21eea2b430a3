//! Statements, their parameters and their answers, as they are said. The forms in which the rest of
//! the program has them are read from JSON, which is another form.
use crate::engine::sql::{
    Counters, InsertTarget, ListBuilder, Param, ParamRef, Params, QueryAnswer, Statement,
};
use bytes::Bytes;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::frame::malformed;

/// A statement with its parameters.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::engine::sqlite::remote) struct SaidStatement<'s> {
    sql: &'s str,
    #[serde(borrow)]
    params: SaidParams<'s>,
    counters: Counters,
    inserts: Option<InsertTarget>,
}

#[derive(Debug, Serialize, Deserialize)]
enum SaidParams<'s> {
    None,
    Positional(#[serde(borrow)] Vec<SaidValue<'s>>),
    Named(#[serde(borrow)] Vec<(&'s str, SaidValue<'s>)>),
    List {
        names: Option<Vec<String>>,
        width: usize,
        rows: usize,
        #[serde(borrow)]
        values: Vec<SaidValue<'s>>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum SaidValue<'s> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'s str),
    TextBytes(#[serde(borrow)] Raw<'s>),
    Blob(#[serde(borrow)] Raw<'s>),
}

/// Bytes, written and read at once.
#[derive(Debug, Clone, Copy)]
struct Raw<'s>(&'s [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 's, 's> Deserialize<'de> for Raw<'s> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Raw<'de>, E> {
        Ok(Raw(bytes))
    }
}

impl<'s> From<&'s Statement> for SaidStatement<'s> {
    fn from(it: &'s Statement) -> Self {
        Self {
            sql: &it.sql,
            params: SaidParams::of(&it.params),
            counters: it.counters,
            inserts: it.inserts.as_deref().cloned(),
        }
    }
}

impl SaidStatement<'_> {
    /// The statement, in memory of its own.
    ///
    /// # Errors
    /// When its rows of parameters are not as many as it says.
    pub(in crate::engine::sqlite::remote) fn owned(self) -> io::Result<Statement> {
        Ok(Statement {
            sql: self.sql.into(),
            params: self.params.owned()?,
            counters: self.counters,
            inserts: self.inserts.map(Arc::new),
        })
    }
}

impl<'s> SaidParams<'s> {
    fn of(params: &'s Params) -> Self {
        match params {
            Params::None => Self::None,
            Params::Positional(values) => {
                Self::Positional(values.iter().map(SaidValue::of).collect())
            }
            Params::Named(values) => {
                let said = values.iter();
                Self::Named(
                    said.map(|(name, it)| (name.as_str(), SaidValue::of(it)))
                        .collect(),
                )
            }
            Params::List(list) => {
                let rows = 0..list.rows();
                Self::List {
                    names: list.names().map(<[String]>::to_vec),
                    width: list.width(),
                    rows: list.rows(),
                    values: rows
                        .flat_map(|row| list.row(row).map(SaidValue::of_row))
                        .collect(),
                }
            }
        }
    }

    fn owned(self) -> io::Result<Params> {
        Ok(match self {
            Self::None => Params::None,
            Self::Positional(values) => {
                Params::Positional(values.into_iter().map(SaidValue::owned).collect())
            }
            Self::Named(values) => {
                let owned = values.into_iter();
                Params::Named(
                    owned
                        .map(|(name, it)| (name.to_owned(), it.owned()))
                        .collect(),
                )
            }
            Self::List {
                names,
                width,
                rows,
                values,
            } => {
                let is_whole = rows.checked_mul(width) == Some(values.len());
                let named = names.as_ref().is_none_or(|names| names.len() == width);
                if !is_whole || !named {
                    return Err(malformed("rows of parameters are not whole".to_owned()));
                }
                let mut list = ListBuilder::of_columns(width, names);
                let mut values = values.iter();
                for _ in 0..rows {
                    values
                        .by_ref()
                        .take(width)
                        .for_each(|it| list.push(it.borrowed()));
                    list.end_row();
                }
                Params::List(list.finish())
            }
        })
    }
}

impl<'s> SaidValue<'s> {
    fn of(param: &'s Param) -> Self {
        match param {
            Param::Null => Self::Null,
            Param::Integer(it) => Self::Integer(*it),
            Param::Real(it) => Self::Real(*it),
            Param::Text(it) => Self::Text(it),
            Param::TextBytes(it) => Self::TextBytes(Raw(it)),
            Param::Blob(it) => Self::Blob(Raw(it)),
        }
    }

    fn of_row(value: ParamRef<'s>) -> Self {
        match value {
            ParamRef::Null => Self::Null,
            ParamRef::Integer(it) => Self::Integer(it),
            ParamRef::Real(it) => Self::Real(it),
            ParamRef::Text(it) => Self::TextBytes(Raw(it)),
            ParamRef::Blob(it) => Self::Blob(Raw(it)),
        }
    }

    fn borrowed(&self) -> ParamRef<'_> {
        match self {
            Self::Null => ParamRef::Null,
            Self::Integer(it) => ParamRef::Integer(*it),
            Self::Real(it) => ParamRef::Real(*it),
            Self::Text(it) => ParamRef::Text(it.as_bytes()),
            Self::TextBytes(it) => ParamRef::Text(it.0),
            Self::Blob(it) => ParamRef::Blob(it.0),
        }
    }

    fn owned(self) -> Param {
        match self {
            Self::Null => Param::Null,
            Self::Integer(it) => Param::Integer(it),
            Self::Real(it) => Param::Real(it),
            Self::Text(it) => Param::Text(it.to_owned()),
            Self::TextBytes(it) => Param::TextBytes(it.0.to_vec()),
            Self::Blob(it) => Param::Blob(it.0.to_vec()),
        }
    }
}

/// An answer, but for its body.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::engine::sqlite::remote) struct SaidAnswer<'s> {
    body_bytes: usize,
    row_count: u64,
    rows_affected: u64,
    truncated: bool,
    elapsed: Duration,
    counters: Counters,
    #[serde(borrow)]
    hidden: Vec<SaidValue<'s>>,
}

impl<'s> From<&'s QueryAnswer> for SaidAnswer<'s> {
    fn from(it: &'s QueryAnswer) -> Self {
        Self {
            body_bytes: it.body.len(),
            row_count: it.row_count,
            rows_affected: it.rows_affected,
            truncated: it.truncated,
            elapsed: it.elapsed,
            counters: it.counters,
            hidden: it.hidden.iter().map(SaidValue::of).collect(),
        }
    }
}

impl SaidAnswer<'_> {
    /// The answer, whose body is in front of `bodies`.
    ///
    /// # Errors
    /// When there are too few bytes.
    pub(in crate::engine::sqlite::remote) fn with_body(
        self,
        bodies: &mut Bytes,
    ) -> io::Result<QueryAnswer> {
        if self.body_bytes > bodies.len() {
            return Err(malformed("an answer lacks its body".to_owned()));
        }
        Ok(QueryAnswer {
            body: bodies.split_to(self.body_bytes),
            row_count: self.row_count,
            rows_affected: self.rows_affected,
            truncated: self.truncated,
            elapsed: self.elapsed,
            counters: self.counters,
            hidden: self.hidden.into_iter().map(SaidValue::owned).collect(),
        })
    }
}

/// All answers of a request, whose bodies lie one behind the other.
pub(in crate::engine::sqlite::remote) fn with_bodies(
    answers: Vec<SaidAnswer<'_>>,
    mut bodies: Bytes,
) -> io::Result<Vec<QueryAnswer>> {
    let answers = answers.into_iter();
    answers
        .map(|answer| answer.with_body(&mut bodies))
        .collect()
}
