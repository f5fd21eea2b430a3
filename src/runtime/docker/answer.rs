//! What Docker answers when a call does not succeed.
use crate::runtime::RuntimeError;
use bollard::errors::Error;

/// The runtime's name.
pub(super) const NAME: &str = "docker";

/// What came of a call that did not succeed.
#[derive(Debug)]
pub(super) enum Answer {
    /// Docker said no, with an HTTP status.
    Said { status: u16, message: String },
    /// Docker said nothing that could be read. The call may have had its effect.
    None(String),
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => Self::Said {
                status: status_code,
                message,
            },
            silent => Self::None(with_causes(&silent)),
        }
    }
}

impl Answer {
    /// As the room's error. What Docker calls our mistake stays one, except where it speaks of
    /// a moment: a container that is gone (404), that is being changed (409), too many calls (429).
    pub(super) fn into_error(self, action: &str) -> RuntimeError {
        match self {
            Self::None(reason) => RuntimeError::Unavailable {
                runtime: NAME,
                reason: format!("{reason} (asked to {action})"),
            },
            Self::Said { status, message } => match status {
                404 | 409 | 429 | 500.. => RuntimeError::Failed {
                    runtime: NAME,
                    action: action.to_owned(),
                    reason: message,
                },
                _ => refused(action, message),
            },
        }
    }
}

/// Docker, or we, said no for good.
pub(super) fn refused(action: &str, reason: impl Into<String>) -> RuntimeError {
    RuntimeError::Refused {
        runtime: NAME,
        action: action.to_owned(),
        reason: reason.into(),
    }
}

/// hyper keeps what really happened ("connection refused") in its causes.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(it) = cause {
        let more = it.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = it.source();
    }
    text
}
