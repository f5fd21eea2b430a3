//! Requests to the gateway, answers, and problems.
use super::own_words::in_own_words;
use crate::cli::exit::{Answered, Exit, Failure};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;

/// One request under `/v1`.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path_and_query: String,
    pub(crate) body: Option<Body>,
    /// The version of the resource that a change is for: its `ETag`.
    pub(crate) if_match: Option<String>,
    /// How long the request itself waits, added to the timeout.
    pub(crate) patience: Duration,
}

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Body {
    Json(Value),
    Text(String),
}

impl Body {
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Text(_) => "text/plain; charset=utf-8",
        }
    }

    /// Its bytes, to be sent more than once.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Json(it) => it.to_string(),
            Self::Text(it) => it.clone(),
        }
    }

    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Json(it) => it.to_string(),
            Self::Text(it) => it,
        }
    }
}

impl Request {
    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new("GET", segments)
    }

    pub(crate) fn post(segments: &[&str]) -> Self {
        Self::new("POST", segments)
    }

    pub(crate) fn patch(segments: &[&str]) -> Self {
        Self::new("PATCH", segments)
    }

    pub(crate) fn delete(segments: &[&str]) -> Self {
        Self::new("DELETE", segments)
    }

    fn new(method: &'static str, segments: &[&str]) -> Self {
        let mut path = "/v1".to_owned();
        for segment in segments {
            path.push('/');
            push_encoded(&mut path, segment);
        }
        Self {
            method,
            path_and_query: path,
            body: None,
            if_match: None,
            patience: Duration::ZERO,
        }
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, key: &str, value: impl ToString) -> Self {
        let mark = if self.path_and_query.contains('?') {
            '&'
        } else {
            '?'
        };
        self.path_and_query.push(mark);
        self.path_and_query.push_str(key);
        self.path_and_query.push('=');
        push_encoded(&mut self.path_and_query, &value.to_string());
        self
    }

    /// Adds a query parameter if there is a value.
    pub(crate) fn query_if(self, key: &str, value: Option<&impl ToString>) -> Self {
        match value {
            Some(value) => self.query(key, value.to_string()),
            None => self,
        }
    }

    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(Body::Json(body));
        self
    }

    /// Lets a change be refused if the resource is no longer at this event.
    pub(crate) fn if_match(mut self, sequence: u64) -> Self {
        self.if_match = Some(format!("\"e{sequence}\""));
        self
    }

    pub(crate) fn text(mut self, text: String) -> Self {
        self.body = Some(Body::Text(text));
        self
    }

    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The body as the gateway sent it.
    pub(crate) text: String,
}

impl Answer {
    /// Parses the body.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        read(&self.text)
    }
}

/// Parses JSON from the gateway.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("unexpected answer from the gateway: {error}");
        Failure::new(Exit::Unavailable, message).hint(
            "check --url or DBFORGE_URL: another server, or another version, may answer there",
        )
    })
}

/// The gateway's problem document. Answers of other servers lack these fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    status: u16,
    detail: String,
    code: String,
    hint: Option<String>,
    request_id: Option<String>,
}

impl Problem {
    /// Reads the body of an answer with a status of 400 or more.
    pub(crate) fn of_answer(status: u16, body: &str) -> Self {
        let read = serde_json::from_str(body).ok();
        let mut problem = read
            .filter(|it: &Self| !it.detail.is_empty())
            .unwrap_or_else(|| Self {
                detail: format!("the gateway answered with status {status}"),
                ..Self::default()
            });
        problem.status = status;
        problem
    }

    /// The failure of a command that got this answer.
    pub(crate) fn into_answered(self) -> Failure {
        let exit = match (self.status, self.code.as_str()) {
            (500.., _) => Exit::Unavailable,
            // A value of the command line that only the gateway could check.
            (400, "invalid_request") => Exit::Usage,
            _ => Exit::Refused,
        };
        self.into_failure(exit)
    }

    /// The failure of a command, with a given exit code.
    pub(crate) fn into_failure(self, exit: Exit) -> Failure {
        Failure {
            hint: self.hint.map(|hint| in_own_words(&hint)),
            answered: Some(Answered {
                status: self.status,
                code: self.code,
                request_id: self.request_id,
            }),
            ..Failure::new(exit, self.detail)
        }
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a text takes more text");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_cannot_change_where_a_request_goes() {
        let request = Request::post(&["databases", "../x?y", "stop"])
            .query("q", "a&b=ä")
            .query_if("none", None::<&String>)
            .query("limit", 5);
        assert_eq!(
            request.path_and_query,
            "/v1/databases/..%2Fx%3Fy/stop?q=a%26b%3D%C3%A4&limit=5"
        );
    }

    #[test]
    fn a_problem_becomes_its_detail_its_hint_and_an_exit_code() {
        let body = r#"{"status":404,"detail":"no such database","code":"database_not_found",
            "hint":"`dbforge list`","request_id":"r1","type":"/problems/x","error":{}}"#;
        let failure = Problem::of_answer(404, body).into_answered();
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.error.unwrap().to_string(), "no such database");
        assert_eq!(failure.hint.as_deref(), Some("`dbforge list`"));
        let answered = failure.answered.unwrap();
        assert_eq!(
            (answered.status, answered.code.as_str()),
            (404, "database_not_found")
        );
        assert_eq!(answered.request_id.as_deref(), Some("r1"));
    }

    #[test]
    fn an_answer_of_another_server_is_told_by_its_status() {
        let failure = Problem::of_answer(502, "<html>Bad Gateway</html>").into_answered();
        assert_eq!(failure.exit, Exit::Unavailable);
        assert_eq!(
            failure.error.unwrap().to_string(),
            "the gateway answered with status 502"
        );
    }
}
