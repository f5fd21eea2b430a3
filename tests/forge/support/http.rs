//! A forge behind its HTTP service, and people who talk to it.
use super::test_forge::{Kept, TestForge};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use dbforge::http::{Dispatcher, Gateway, HttpConfig};
use dbforge::service::RootToken;
use serde_json::Value;
use std::ops::Deref;
use std::sync::Arc;

/// The root token's secret.
pub(crate) const ROOT: &str = "dbf_root";

/// A forge that is asked through its HTTP service.
pub(crate) struct HttpForge {
    pub(crate) forge: TestForge,
    pub(crate) gateway: Arc<Gateway>,
    dispatcher: Dispatcher,
}

impl Deref for HttpForge {
    type Target = TestForge;

    fn deref(&self) -> &TestForge {
        &self.forge
    }
}

impl HttpForge {
    /// A founded forge without databases.
    pub(crate) async fn new() -> Self {
        Self::with(HttpConfig::default()).await
    }

    /// The same under other bounds.
    pub(crate) async fn with(config: HttpConfig) -> Self {
        Self::before(TestForge::new().await, config)
    }

    /// The same with room for so many unfinished jobs.
    pub(crate) async fn with_queue_of(queue_bound: usize) -> Self {
        let kept = Kept {
            queue_bound,
            ..Kept::new()
        };
        Self::found(kept).await
    }

    /// A forge that begins on `kept`.
    pub(crate) async fn found(kept: Kept) -> Self {
        Self::before(TestForge::found(kept).await, HttpConfig::default())
    }

    /// A forge on what an earlier one has left.
    pub(crate) fn start(kept: Kept) -> Self {
        Self::before(TestForge::start(kept), HttpConfig::default())
    }

    fn before(forge: TestForge, config: HttpConfig) -> Self {
        let gateway = Arc::new(Gateway::new(
            &forge.job_context,
            forge.control_db.clone(),
            RootToken::from_secret(ROOT),
            config,
        ));
        let dispatcher = Dispatcher::new(&gateway);
        Self {
            forge,
            gateway,
            dispatcher,
        }
    }

    /// Sends a request as root.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask(method, path).token(ROOT).body(body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, body).await
    }

    /// A request that nobody has signed yet.
    pub(crate) fn ask<'a>(&'a self, method: &str, path: &str) -> Ask<'a> {
        Ask {
            forge: self,
            request: Request::builder()
                .method(Method::from_bytes(method.as_bytes()).unwrap())
                .uri(path),
        }
    }

    /// Makes a token through the API and returns its secret.
    pub(crate) async fn token(&self, name: &str, scopes: &str, databases: &str) -> String {
        let body = format!(r#"{{"name":"{name}","scopes":[{scopes}],"databases":[{databases}]}}"#);
        let answer = self.post("/v1/tokens", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json()["token"].as_str().unwrap().to_owned()
    }
}

/// A request that is being written.
pub(crate) struct Ask<'a> {
    forge: &'a HttpForge,
    request: axum::http::request::Builder,
}

impl Ask<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn token(self, secret: &str) -> Self {
        self.header("authorization", &format!("Bearer {secret}"))
    }

    pub(crate) async fn empty(self) -> Answer {
        self.body("").await
    }

    pub(crate) async fn body(self, body: &str) -> Answer {
        self.bytes(body.as_bytes()).await
    }

    /// A body that may be no text.
    pub(crate) async fn bytes(self, body: &[u8]) -> Answer {
        let (parts, body) = Box::pin(self.sent(body)).await.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// An answer of which nothing is read yet.
    pub(crate) async fn unread(self, body: &str) -> Response {
        self.sent(body.as_bytes()).await
    }

    async fn sent(mut self, body: &[u8]) -> Response {
        let named = self
            .request
            .headers_ref()
            .unwrap()
            .contains_key("content-type");
        if !body.is_empty() && !named {
            self = self.header("content-type", "application/json");
        }
        let request = self.request.body(Body::from(body.to_owned())).unwrap();
        self.forge.dispatcher.answer(request).await
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        let value = value.unwrap_or_else(|| panic!("no header `{name}`: {:?}", self.headers));
        value.to_str().unwrap()
    }

    /// Asserts that it is a problem of this status and code, well formed, and returns its detail
    /// and hint as one text.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert_eq!(body["error"]["message"], body["detail"]);
        assert_eq!(body["error"]["status"], status);
        assert!(!self.text.contains("/tmp"), "a host path: {}", self.text);
        format!("{} {}", body["detail"], body["hint"])
    }
}
