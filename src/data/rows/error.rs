//! Why a request about rows has no answer.
use crate::data::QueryError;

/// Why a request about rows has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// A parameter, a header or the body breaks a rule of the dialect.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// What to send instead.
        hint: Option<String>,
    },
    /// A filter has no operator, or one that is not there.
    #[error("{message}")]
    Operator {
        /// What is wrong.
        message: String,
        /// What to send instead.
        hint: String,
    },
    /// The database has no such table.
    #[error("there is no table `{name}`")]
    NoTable {
        /// The name that was asked for.
        name: String,
        /// The name that may be meant.
        nearest: Option<String>,
    },
    /// The table has no such column.
    #[error("`{table}` has no column `{column}`")]
    NoColumn {
        /// The table.
        table: String,
        /// The name that was asked for.
        column: String,
        /// The name that may be meant.
        nearest: Option<String>,
    },
    /// No foreign key leads to what is to be embedded.
    #[error("no foreign key leads from `{table}` to `{target}`")]
    NoRelation {
        /// From where.
        table: String,
        /// What was to be embedded.
        target: String,
        /// What can be embedded, as it is written.
        choices: Vec<String>,
    },
    /// More than one foreign key leads to what is to be embedded.
    #[error("more than one foreign key leads from `{table}` to `{target}`")]
    Ambiguous {
        /// From where.
        table: String,
        /// What was to be embedded.
        target: String,
        /// The ways to name one of them.
        choices: Vec<String>,
    },
    /// The table takes no such write.
    #[error("`{table}` is {what} and takes no {method}")]
    NotWritable {
        /// The table.
        table: String,
        /// What it is: `a view`.
        what: &'static str,
        /// The method.
        method: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    /// A change of all rows was not asked for by name.
    #[error("{method} without a filter would change every row of `{table}`")]
    Unfiltered {
        /// The table.
        table: String,
        /// The method.
        method: &'static str,
    },
    /// The table has no row with that key.
    #[error("`{table}` has no row with the key `{key}`")]
    NoRow {
        /// The table.
        table: String,
        /// The key, as it was sent.
        key: String,
    },
    /// The row is no longer what its `ETag` says.
    #[error("the row `{key}` of `{table}` has changed since the `ETag` in `If-Match`")]
    Changed {
        /// The table.
        table: String,
        /// The key, as it was sent.
        key: String,
    },
    /// One row was asked for, and there are none or several.
    #[error("one row was asked for, but there are {found}")]
    NotOne {
        /// How many there are, in words.
        found: String,
    },
    /// The rows that were asked for begin behind the last.
    #[error("row {first} was asked for, but there are {count}")]
    OutOfRange {
        /// The first one asked for, from 0.
        first: u64,
        /// How many there are.
        count: u64,
    },
    /// A value is longer than what SQL may handle.
    #[error("`{column}` of the row `{key}` of `{table}` is longer than {limit} bytes")]
    LongValue {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The row's key, as it stands in a path.
        key: String,
        /// The bound.
        limit: usize,
    },
    /// One of several rows was refused; none was kept.
    #[error("{error}")]
    Row {
        /// Which, from 0.
        index: usize,
        /// Why.
        error: QueryError,
    },
    /// The statement failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl RowsError {
    /// What breaks a rule, without a hint.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
            hint: None,
        }
    }

    /// What breaks a rule, and what to send instead.
    pub(crate) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// What to do next, where something is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { hint, .. } => hint.clone(),
            Self::Operator { hint, .. } => Some(hint.clone()),
            Self::NoTable { nearest, .. } => Some(nearest.as_ref().map_or_else(
                || "GET /v1/databases/{db}/schema lists the tables".to_owned(),
                |name| format!("did you mean `{name}`?"),
            )),
            Self::NoColumn {
                nearest,
                table,
                column,
            } => Some(match (nearest, column.split_once('.')) {
                (Some(name), _) => format!("did you mean `{name}`?"),
                (None, Some((embedded, _))) => {
                    format!("to filter a table inside of it, embed it: `select=*,{embedded}(*)`")
                }
                (None, None) => {
                    format!("GET /v1/databases/{{db}}/schema lists the columns of `{table}`")
                }
            }),
            Self::NoRelation { choices, .. } if choices.is_empty() => {
                Some("declare a foreign key, or ask for both tables".to_owned())
            }
            Self::NoRelation { choices, .. } | Self::Ambiguous { choices, .. } => {
                Some(format!("use one of {}", choices.join(", ")))
            }
            Self::NotWritable { hint, .. } => Some((*hint).to_owned()),
            Self::Unfiltered { .. } => {
                Some("add a filter such as `id=eq.1`, or `all=true` to mean every row".to_owned())
            }
            Self::NoRow { .. } => None,
            Self::Changed { .. } => Some("read the row again and repeat the change".to_owned()),
            Self::NotOne { .. } => {
                Some("filter by a key, or ask for `Accept: application/json`".to_owned())
            }
            Self::OutOfRange { count, .. } => Some(format!("ask for an offset below {count}")),
            Self::LongValue {
                table, column, key, ..
            } => Some(format!(
                "GET /v1/databases/{{db}}/tables/{table}/rows/{key}/{column} answers its bytes; \
                 name the other columns in `select`"
            )),
            Self::Row { index, error } => {
                let place = format!("row {index} of the body failed; none was kept");
                Some(match error.hint() {
                    Some(hint) => format!("{place}; {hint}"),
                    None => place,
                })
            }
            Self::Query(QueryError::DuplicateColumn { name }) => Some(format!(
                "give one of them another name in `select`: `other:{name}`"
            )),
            Self::Query(error) => error.hint().map(str::to_owned),
        }
    }
}
