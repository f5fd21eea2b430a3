//! Errors about rows as HTTP problems; and as clients of PostgREST read them.
use super::error::{ErrorCode, Problem};
use super::refusals::sentence;
use crate::data::QueryError;
use crate::data::rows::RowsError;
use crate::service::sql::RunError;

impl From<RowsError> for Problem {
    fn from(error: RowsError) -> Self {
        let code = match &error {
            RowsError::Query(cause @ QueryError::DuplicateColumn { .. }) => {
                let hint = error.hint().unwrap_or_default();
                return Self::from(cause.clone()).hint(hint);
            }
            RowsError::Query(error) => return error.clone().into(),
            RowsError::Row { error: cause, .. } => {
                let hint = error.hint().unwrap_or_default();
                return Self::from(cause.clone()).hint(hint);
            }
            RowsError::Invalid { .. }
            | RowsError::NoColumn { .. }
            | RowsError::NoRelation { .. }
            | RowsError::Ambiguous { .. }
            | RowsError::Unfiltered { .. } => ErrorCode::InvalidRequest,
            RowsError::Operator { .. } => ErrorCode::UnknownFilterOperator,
            RowsError::NoTable { .. } => ErrorCode::TableNotFound,
            RowsError::NotWritable { .. } => ErrorCode::MethodNotAllowed,
            RowsError::NoRow { .. } => ErrorCode::RowNotFound,
            RowsError::Changed { .. } => ErrorCode::PreconditionFailed,
            RowsError::NotOne { .. } => ErrorCode::NotAcceptable,
            RowsError::OutOfRange { .. } => ErrorCode::RangeNotSatisfiable,
            RowsError::LongValue { .. } => ErrorCode::ResultTooLarge,
        };
        let problem = Self::new(code, sentence(&error));
        match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

/// The same error with the code that PostgREST has for it, where it has one.
pub(crate) fn for_postgrest(error: RunError) -> Problem {
    let code = match &error {
        RunError::Rows(RowsError::Query(error) | RowsError::Row { error, .. })
        | RunError::Query(error) => code_of_query(error),
        RunError::Rows(error) => code_of(error),
        RunError::Denied(_) => Some("42501"),
        _ => None,
    };
    let details = match &error {
        RunError::Rows(RowsError::NotOne { found }) => Some(format!("The result contains {found}")),
        _ => None,
    };
    Problem::from(error).in_postgrests_words(code, details)
}

fn code_of(error: &RowsError) -> Option<&'static str> {
    Some(match error {
        RowsError::Invalid { .. } | RowsError::Operator { .. } => "PGRST100",
        RowsError::NoTable { .. } => "PGRST205",
        RowsError::NoColumn { .. } => "42703",
        RowsError::NoRelation { .. } => "PGRST200",
        RowsError::Ambiguous { .. } => "PGRST201",
        RowsError::NotWritable { .. } => "55000",
        RowsError::Unfiltered { .. } => "21000",
        RowsError::NotOne { .. } => "PGRST116",
        RowsError::OutOfRange { .. } => "PGRST103",
        RowsError::LongValue { .. } => "54000",
        RowsError::NoRow { .. }
        | RowsError::Changed { .. }
        | RowsError::Row { .. }
        | RowsError::Query(_) => return None,
    })
}

fn code_of_query(error: &QueryError) -> Option<&'static str> {
    Some(match error {
        QueryError::Constraint { message } => {
            let begins = |words: &str| message.starts_with(words);
            if begins("UNIQUE") || begins("PRIMARY KEY") {
                "23505"
            } else if begins("FOREIGN KEY") {
                "23503"
            } else if begins("NOT NULL") {
                "23502"
            } else if begins("CHECK") {
                "23514"
            } else if begins("cannot store") {
                "22P02"
            } else {
                "23000"
            }
        }
        QueryError::DeferredForeignKey => "23503",
        QueryError::TooManyAffected { .. } => "PGRST124",
        QueryError::Timeout { .. } => "57014",
        QueryError::ReadOnly => "25006",
        error if error.is_of_a_long_value() => "54000",
        QueryError::Sql { .. } => "42000",
        _ => return None,
    })
}
