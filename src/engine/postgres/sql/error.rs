//! What a server's errors mean here.
use crate::engine::postgres::client::{ClientError, ServerError};
use crate::engine::sql::{QueryError, ServerRefusal};
use std::io;
use std::time::Duration;

/// What was asked when something failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// The time it was given.
    pub(super) timeout: Duration,
    pub(super) may_write: bool,
    pub(super) begins_like_a_read: bool,
    /// It would be kept as soon as it is done.
    pub(super) keeps_at_once: bool,
}

/// Why a statement has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server says no. The connection goes on.
    Server(Box<ServerError>),
    /// The connection is of no use any more.
    Connection(ClientError),
    /// It is refused here.
    Refused(QueryError),
    /// One row of `params_list` is to blame.
    Row(usize, Box<ServerError>),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NoRoom => Self::Refused(QueryError::NoRoom),
            other => Self::Connection(other),
        }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self::Server(Box::new(error))
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::Refused(error)
    }
}

/// A statement was cancelled.
pub(super) const CANCELLED: &str = "57014";

/// What helps where a type cannot be told.
const HINT_OF_TYPES: &str = "say the parameter's type in the statement: $1::text";

impl Failure {
    /// The error that the caller is told.
    pub(super) fn for_caller(self, asked: &Asked) -> QueryError {
        match self {
            Self::Server(error) => of_server(*error, asked),
            Self::Refused(error) => error,
            Self::Row(index, error) => QueryError::InRow {
                index,
                error: Box::new(of_server(*error, asked)),
            },
            Self::Connection(ClientError::Refused(error)) => of_server(*error, asked),
            Self::Connection(ClientError::Protocol(reason)) => QueryError::Broken {
                reason: format!("the worker does not follow PostgreSQL's protocol: {reason}"),
            },
            Self::Connection(_) if asked.keeps_at_once => QueryError::Lost,
            Self::Connection(_) => QueryError::Starting,
        }
    }

    /// Whether a statement was prepared for columns that have changed since, or is gone.
    pub(super) fn is_of_an_old_plan(&self) -> bool {
        let Self::Server(error) = self else {
            return false;
        };
        match error.sqlstate.as_str() {
            "0A000" => error.message.starts_with("cached plan"),
            "26000" => true,
            _ => false,
        }
    }
}

/// Why no connection could be made.
pub(super) fn of_connecting(error: ClientError) -> QueryError {
    match error {
        ClientError::Refused(error) if error.is_of_class("57") => QueryError::Starting,
        ClientError::Refused(error) if error.is_of_class("53") => QueryError::Overloaded {
            what: "a connection to the database",
        },
        ClientError::Refused(error) => QueryError::Broken {
            reason: without_paths(&error.message),
        },
        ClientError::Protocol(reason) => QueryError::Broken {
            reason: reason.to_owned(),
        },
        ClientError::NoRoom => QueryError::NoRoom,
        ClientError::Io(error) if is_lack_of_files(&error) => QueryError::Overloaded {
            what: "a file descriptor",
        },
        ClientError::Io(_) => QueryError::Starting,
    }
}

fn is_lack_of_files(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code.is_some_and(|code| {
        let errno = rustix::io::Errno::from_raw_os_error(code);
        matches!(errno, rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)
    })
}

fn of_server(error: ServerError, asked: &Asked) -> QueryError {
    let message = match &error.detail {
        Some(detail) => format!("{}: {detail}", error.message),
        None => error.message.clone(),
    };
    let message = without_paths(&message);
    let hint = |own: Option<&str>| {
        let of_server = error.hint.as_deref().map(without_paths);
        of_server.or_else(|| own.map(str::to_owned))
    };
    let meaning = match error.sqlstate.as_str() {
        CANCELLED => return QueryError::timeout(asked.timeout),
        "25006" if !asked.may_write => return QueryError::ReadOnly,
        "42501" if !asked.may_write && !asked.begins_like_a_read => return QueryError::ReadOnly,
        // The role is held to reading while its database is too large.
        "25006" => return QueryError::QuotaExceeded,
        "42501" => QueryError::NotAllowed { what: message },
        "40001" | "40P01" | "55P03" => QueryError::Locked,
        "53100" => QueryError::DiskFull,
        "53300" => QueryError::Overloaded {
            what: "a connection to the database",
        },
        "08P01" => QueryError::ParameterMismatch { message },
        "XX001" | "XX002" => QueryError::Broken { reason: message },
        _ if error.is_of_class("23") => QueryError::Constraint { message },
        _ if error.is_of_class("57") => return QueryError::Starting,
        state => QueryError::Sql {
            message,
            hint: hint(match state {
                "42P18" => Some(HINT_OF_TYPES),
                "25001" => Some("send it alone, as a statement of its own"),
                "42601" if error.message.starts_with("cannot insert multiple commands") => Some(
                    "send one statement; several go to POST /v1/databases/{db}/batch or …/script",
                ),
                "53200" => Some(
                    "the statement needs more memory than the worker has: sort or join less at a \
                     time, or raise the database's memory_bytes",
                ),
                "53400" => Some("sort or join less at a time"),
                _ => None,
            }),
        },
    };
    QueryError::Server(Box::new(ServerRefusal {
        error: meaning,
        sqlstate: error.sqlstate,
        position: error.position,
    }))
}

/// The same without the folders of files: they are of the machine that the worker runs on.
fn without_paths(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for (place, part) in message.split('"').enumerate() {
        if place > 0 {
            out.push('"');
        }
        match part
            .strip_prefix('/')
            .and_then(|path| path.rsplit('/').next())
        {
            Some(name) if place % 2 == 1 => out.push_str(name),
            _ => out.push_str(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sqlstate: &str, asked: &Asked) -> QueryError {
        let error = ServerError {
            sqlstate: sqlstate.to_owned(),
            message: "no".to_owned(),
            ..ServerError::default()
        };
        let error = Failure::from(error).for_caller(asked);
        match error {
            QueryError::Server(refusal) => refusal.error,
            other => other,
        }
    }

    #[test]
    fn errors_are_told_by_their_sqlstate() {
        let write = Asked {
            timeout: Duration::from_secs(5),
            may_write: true,
            begins_like_a_read: false,
            keeps_at_once: true,
        };
        let read_only = Asked {
            may_write: false,
            ..write
        };
        let message = || "no".to_owned();
        assert_eq!(
            said("23505", &write),
            QueryError::Constraint { message: message() }
        );
        assert_eq!(said("25006", &write), QueryError::QuotaExceeded);
        assert_eq!(said("25006", &read_only), QueryError::ReadOnly);
        assert_eq!(said("42501", &read_only), QueryError::ReadOnly);
        assert_eq!(
            said("42501", &write),
            QueryError::NotAllowed { what: message() }
        );
        assert_eq!(
            said("57014", &write),
            QueryError::Timeout { timeout_ms: 5000 }
        );
        assert_eq!(said("40P01", &write), QueryError::Locked);
        assert_eq!(said("57P01", &write), QueryError::Starting);
        assert!(matches!(
            said("42P01", &write),
            QueryError::Sql { hint: None, .. }
        ));
        assert!(matches!(
            said("53200", &write),
            QueryError::Sql { hint: Some(_), .. }
        ));
    }

    #[test]
    fn no_folder_is_told() {
        assert_eq!(
            without_paths(r#"could not open file "/usr/share/x/y.control": No such "x/y""#),
            r#"could not open file "y.control": No such "x/y""#
        );
    }
}
