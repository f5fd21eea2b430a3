//! The table of routes: a request's path is looked up here once, and nowhere else.
//!
//! What a route needs is known before its handler runs, so that admission is one function in front
//! of all routes: as layers it would cost every request boxes and copies, which together took a
//! fifth of a point read's time. Axum gives the extractors and the handlers.
use super::Gateway;
use super::extract::path::PathValues;
use super::metrics::CountsByMethod;
use super::middleware::admission::BodyUse;
use super::openapi::limits::DescribedLimits;
use super::openapi::{self, documents};
use super::response::reply::Marked;
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Response};
use matchit::Router as Matcher;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use tower::Service as _;
use utoipa::openapi::{OpenApi, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// What a request needs to be let through to its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Nothing: health checks bypass the concurrency limit.
    Always,
    /// Room among the requests that are worked on.
    WithRoom,
    /// Room, and a token.
    WithToken,
    /// A token: usage and metrics have to be answered when there is no room.
    AlwaysWithToken,
}

/// Where a route's work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Workplace {
    /// On the thread that serves the connection, and others with it: it is short, or gives what is
    /// long to another thread itself.
    Here,
    /// In the main runtime: a list or a whole state is written in one go.
    Elsewhere,
}

/// What holds for all routes of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traits {
    pub(super) admission: Admission,
    pub(super) workplace: Workplace,
    /// Whether every answer says which sequence it has seen.
    pub(super) is_sequenced: bool,
    /// Whether clients of the legacy API use it: its paths may end with `/`.
    pub(super) is_legacy: bool,
    /// What becomes of a body.
    pub(super) body: BodyUse,
}

impl Traits {
    /// Of routes of the API itself.
    pub(super) fn new(admission: Admission, workplace: Workplace) -> Self {
        Self {
            admission,
            workplace,
            is_sequenced: false,
            is_legacy: false,
            body: BodyUse::Read,
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;
type Call = Box<dyn Fn(Request, Arc<Gateway>) -> Answer + Send + Sync>;

/// Routes with their descriptions.
#[derive(Default)]
pub(super) struct Group {
    described: OpenApiRouter<Arc<Gateway>>,
    handlers: Vec<(String, Method, Call)>,
}

impl Group {
    /// Adds a handler: `routes!` tells its method and path.
    pub(super) fn with<H, T>(
        mut self,
        described: UtoipaMethodRouter<Arc<Gateway>>,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Arc<Gateway>, Future = Answer> + Sync,
        T: 'static,
    {
        let (path, item) = described
            .1
            .paths
            .iter()
            .next()
            .expect("a handler has a path");
        let method = method_of(item).expect("a handler has a method");
        let call: Call = Box::new(move |request, gateway| handler.clone().call(request, gateway));
        self.handlers.push((path.clone(), method, call));
        self.described = self.described.routes(described);
        self
    }

    pub(super) fn merge(mut self, other: Self) -> Self {
        self.described = self.described.merge(other.described);
        self.handlers.extend(other.handlers);
        self
    }
}

fn method_of(item: &PathItem) -> Option<Method> {
    [
        (&item.get, Method::GET),
        (&item.post, Method::POST),
        (&item.put, Method::PUT),
        (&item.patch, Method::PATCH),
        (&item.delete, Method::DELETE),
    ]
    .into_iter()
    .find_map(|(operation, method)| operation.as_ref().map(|_| method))
}

/// Makes a group of handlers that utoipa describes.
macro_rules! group {
    ($($handler:path),* $(,)?) => {
        $crate::http::routing::Group::default()
            $(.with(utoipa_axum::routes!($handler), $handler))*
    };
}
pub(super) use group;

/// One path.
pub(super) struct Route {
    /// With its variable parts by name.
    pub(super) path: String,
    pub(super) traits: Traits,
    target: Target,
    /// Its requests.
    pub(super) counts: CountsByMethod,
}

enum Target {
    /// One for each method, and what `Allow` says of them.
    Handlers {
        handlers: Vec<(Method, Call)>,
        allowed: HeaderValue,
    },
    /// The pages that explain the API, which have a small router of their own.
    Documents(Router),
}

/// Every route.
pub(super) struct RouteTable(Matcher<Route>);

impl RouteTable {
    /// The table of these groups, and of the pages that explain them.
    pub(super) fn new(groups: Vec<(Traits, Group)>, limits: &DescribedLimits) -> Self {
        let mut described = OpenApiRouter::with_openapi(documents::base());
        let mut by_path: BTreeMap<String, (Traits, Vec<(Method, Call)>)> = BTreeMap::new();
        for (traits, group) in groups {
            described = described.merge(group.described);
            for (path, method, call) in group.handlers {
                let (_, handlers) = by_path.entry(path).or_insert((traits, Vec::new()));
                handlers.push((method, call));
            }
        }
        let mut openapi = described.into_openapi();
        openapi::describe(&mut openapi, limits, |path| {
            let traits = by_path.get(path).map(|(traits, _)| traits);
            traits.is_some_and(|traits| traits.is_sequenced)
        });
        let mut table = Matcher::new();
        let mut insert = |path: String, traits, target| {
            let route = Route {
                path: path.clone(),
                traits,
                target,
                counts: CountsByMethod::default(),
            };
            let inserted = table.insert(path, route);
            inserted.expect("no two routes are in conflict");
        };
        for (path, (traits, handlers)) in by_path {
            let allowed = allowed(&handlers);
            insert(path, traits, Target::Handlers { handlers, allowed });
        }
        let documents = documents(&openapi);
        let traits = Traits::new(Admission::Always, Workplace::Here);
        for path in documents::PATHS {
            insert(
                path.to_owned(),
                traits,
                Target::Documents(documents.clone()),
            );
        }
        Self(table)
    }

    /// The route of a path, and the variable parts of it.
    pub(super) fn find(&self, path: &str) -> Option<(&Route, PathValues)> {
        let found = self.0.at(path).ok().or_else(|| {
            let shorter = path.strip_suffix('/')?;
            let found = self.0.at(shorter).ok();
            found.filter(|found| found.value.traits.is_legacy)
        })?;
        Some((found.value, PathValues::of(&found.params)))
    }
}

fn documents(openapi: &OpenApi) -> Router {
    documents::documents(openapi)
        .method_not_allowed_fallback(async |request: Request| documents::no_method(&request))
}

/// `GET,HEAD,POST`: whatever is read can be asked for without its body.
fn allowed(handlers: &[(Method, Call)]) -> HeaderValue {
    let words = handlers.iter().map(|(method, _)| match *method {
        Method::GET => "GET,HEAD",
        _ => method.as_str(),
    });
    let words = words.collect::<Vec<_>>().join(",");
    HeaderValue::try_from(words).expect("methods are visible ASCII")
}

impl Route {
    /// Answers a request by the handler of its method.
    pub(super) fn answer(
        &self,
        mut request: Request,
        values: PathValues,
        gateway: &Arc<Gateway>,
    ) -> Answer {
        let (handlers, allowed) = match &self.target {
            Target::Handlers { handlers, allowed } => (handlers, allowed),
            Target::Documents(router) => {
                let mut router = router.clone();
                return Box::pin(async move {
                    let Ok(response) = router.call(request).await;
                    response
                });
            }
        };
        let is_head = request.method() == Method::HEAD;
        let wanted = if is_head {
            &Method::GET
        } else {
            request.method()
        };
        let Some((_, call)) = handlers.iter().find(|(method, _)| method == wanted) else {
            let mut response = documents::no_method(&request).into_response();
            response
                .headers_mut()
                .insert(header::ALLOW, allowed.clone());
            return Box::pin(std::future::ready(response));
        };
        if !values.is_empty() {
            request.extensions_mut().insert(values);
        }
        let is_sequenced = self.traits.is_sequenced;
        // Where a handler does not say which sequence it saw, it is what was true before it began.
        let before = is_sequenced.then(|| gateway.service.control.current().head.sequence);
        let answer = call(request, Arc::clone(gateway));
        if before.is_none() && !is_head {
            return answer;
        }
        Box::pin(async move {
            let response = answer.await;
            let response = match before {
                Some(before) => response.seen_at_least(before),
                None => response,
            };
            if is_head {
                without_body(response)
            } else {
                response
            }
        })
    }
}

/// The head of an answer, with the length that its body has.
fn without_body(mut response: Response) -> Response {
    if let Some(length) = response.body().size_hint().exact() {
        let headers = response.headers_mut();
        headers
            .entry(header::CONTENT_LENGTH)
            .or_insert(length.into());
    }
    *response.body_mut() = Body::empty();
    response
}
