//! Bodies of any size: sent as they are read, received as they come.
use super::client::Client;
use super::request::{Answer, Problem, Request};
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use std::io::Read;
use std::time::Duration;
use ureq::SendBody;
use ureq::http::Response;

/// The longest silence of a transfer: the gateway gives up sooner.
const SILENCE: Duration = Duration::from_secs(120);
/// The longest wait for an answer to begin: the gateway makes a whole file first.
const MAKING: Duration = Duration::from_secs(60 * 60);

/// What is said of a body that is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'s> {
    pub(crate) content_type: &'s str,
    /// Its bytes, where that is known.
    pub(crate) bytes: Option<u64>,
}

/// The part of a file that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    /// From this byte on.
    pub(crate) from: u64,
    /// Of the very file that has this tag.
    pub(crate) tag: String,
}

impl Client {
    /// Sends a body as it is read, and waits for the whole answer.
    pub(crate) fn send_file(
        &self,
        request: &Request,
        sent: Sent<'_>,
        body: &mut dyn Read,
    ) -> Result<Answer, Failure> {
        let mut message = self
            .head(request)
            .header("Content-Type", sent.content_type)
            // A refusal comes before the file is sent.
            .header("Expect", "100-continue");
        if let Some(bytes) = sent.bytes {
            message = message.header("Content-Length", bytes);
        }
        let mut body = body;
        let message = message
            .body(SendBody::from_reader(&mut body))
            .map_err(|error| Failure::new(Exit::Usage, error))?;
        let message = self
            .agent
            .configure_request(message)
            .timeout_recv_response(Some(SILENCE))
            .build();
        let answer = self.agent.run(message);
        let mut answer = self.answered(answer.map_err(|error| self.unreachable(&error))?)?;
        let text = self.text_of(&mut answer)?;
        Ok(Answer { text })
    }

    /// Asks for a file, or the rest of one, and waits until it begins to come.
    pub(crate) fn receive_file(
        &self,
        request: &Request,
        rest: Option<&Rest>,
    ) -> Result<Response<ureq::Body>, Failure> {
        let mut message = self.head(request);
        if let Some(rest) = rest {
            message = message
                .header("Range", format!("bytes={}-", rest.from))
                .header("If-Range", &rest.tag);
        }
        let body = match &request.body {
            Some(body) => {
                message = message.header("Content-Type", body.content_type());
                body.text()
            }
            None => String::new(),
        };
        let message = message
            .body(body)
            .map_err(|error| Failure::new(Exit::Usage, error))?;
        let message = self
            .agent
            .configure_request(message)
            .timeout_recv_response(Some(MAKING))
            .timeout_per_read(Some(SILENCE))
            .build();
        let answer = self.agent.run(message);
        self.answered(answer.map_err(|error| self.unreachable(&error))?)
    }

    fn head(&self, request: &Request) -> ureq::http::request::Builder {
        let url = format!("{}{}", self.url, request.path_and_query);
        if self.verbose {
            output::note(format_args!("{} {url}", request.method));
        }
        let mut head = ureq::http::Request::builder()
            .method(request.method)
            .uri(url)
            // A file is stored as it comes.
            .header("Accept-Encoding", "identity");
        if let Some(token) = &self.token {
            head = head.header("Authorization", format!("Bearer {}", token.reveal()));
        }
        head
    }

    fn answered(&self, mut answer: Response<ureq::Body>) -> Result<Response<ureq::Body>, Failure> {
        let status = answer.status().as_u16();
        if status < 400 {
            return Ok(answer);
        }
        let text = self.text_of(&mut answer)?;
        let failure = Problem::of_answer(status, &text).into_answered();
        Err(match (status, &self.token) {
            (401, None) => failure.hint("no token was sent; set DBFORGE_TOKEN"),
            _ => failure,
        })
    }
}
