//! Authentication, admission control and dispatch, around every route.
use super::access_log::TokenName;
use super::admission::{no_connection, no_room, token_ended};
use super::auth::identify;
use super::compression::{Encoding, compress};
use super::cors::Cors;
use super::hosts::{DatabaseHosts, on_domain};
use super::trace::{Observed, observe};
use crate::domain::ids::RequestId;
use crate::http::Gateway;
use crate::http::extract::path::PathValues;
use crate::http::metrics::CountsByMethod;
use crate::http::openapi::documents;
use crate::http::openapi::limits::DescribedLimits;
use crate::http::openapi::packed_documents::PackedDocuments;
use crate::http::response::error::Problem;
use crate::http::routes;
use crate::http::routing::{Admission, Route, RouteTable, Workplace};
use crate::http::server::connections::Connection;
use crate::service::caller::Caller;
use crate::shares::{self, Holder, Kind, Pass, scoped, with_pass_of_here};
use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::{Method, Version, header};
use axum::response::{IntoResponse, Response};
use std::pin::pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

/// Answers every request. Clones are the same one.
#[derive(Clone)]
pub struct Dispatcher {
    gateway: Arc<Gateway>,
    routes: Arc<RouteTable>,
    /// Requests without a route.
    unmatched: Arc<CountsByMethod>,
    documents: Arc<PackedDocuments>,
    cors: Arc<Cors>,
    hosts: Arc<DatabaseHosts>,
    /// The main tokio runtime.
    tokio: Handle,
}

impl Dispatcher {
    /// Every route of the API. Created within the main tokio runtime.
    #[must_use]
    pub fn new(gateway: &Arc<Gateway>) -> Self {
        let limits = DescribedLimits::of(gateway.service.data.config());
        Self {
            gateway: gateway.clone(),
            routes: Arc::new(routes::table(&limits)),
            unmatched: Arc::default(),
            documents: Arc::default(),
            cors: Arc::new(Cors::new(&gateway.config.cors_origins)),
            hosts: Arc::new(DatabaseHosts::of(&gateway.config.domain)),
            tokio: Handle::current(),
        }
    }

    /// Answers a request from this program itself.
    pub async fn answer(&self, request: Request) -> Response {
        self.answer_to(None, request).await
    }

    /// Answers a request of a connection, which counts as busy meanwhile.
    pub(crate) async fn answer_on(&self, connection: &Connection, request: Request) -> Response {
        if connection.mark_busy() {
            tokio::task::yield_now().await;
        }
        let response = self.answer_to(Some(connection), request).await;
        let goes_on = response.body().size_hint().exact().is_none();
        connection.mark_idle(goes_on);
        response
    }

    /// Answers a request; errors are answers too.
    async fn answer_to(&self, connection: Option<&Connection>, request: Request) -> Response {
        let gateway = &*self.gateway;
        let peer = connection.map(Connection::address);
        let label = match host_of(&request) {
            Ok(host) => host.and_then(|host| self.hosts.label(host)),
            // A request from this program itself has none.
            Err(_) if connection.is_none() => None,
            Err(problem) => {
                let refused = async |_, _| problem.into_response();
                let refused = observe(gateway, self.unmatched(), peer, request, refused);
                return Box::pin(refused).await; // rare, and no part of every request's future
            }
        };
        let on_domain = label.and_then(|label| on_domain(label, request.uri()));
        let own = on_domain.and_then(|uri| Some((self.routes.find(uri.path())?, Some(uri))));
        let found = own.or_else(|| Some((self.routes.find(request.uri().path())?, None)));
        match found {
            Some(((route, values), on_domain)) => {
                let on_domain = on_domain.map(Box::new);
                let database = (gateway.config.access_log)
                    .then(|| values.database(&route.path))
                    .flatten();
                let go_on = |id, mut request: Request| {
                    if let Some(uri) = on_domain {
                        *request.uri_mut() = *uri;
                    }
                    let admit = move |request| self.admit(route, values, id, connection, request);
                    self.cors.within(request, admit)
                };
                let observed = Observed {
                    route: &route.path,
                    counts: &route.counts,
                    database,
                };
                observe(gateway, observed, peer, request, go_on).await
            }
            None => {
                let no_route = async |request| documents::no_route(&request).into_response();
                let unknown = |_, request| self.cors.within(request, no_route);
                Box::pin(observe(gateway, self.unmatched(), peer, request, unknown)).await
            }
        }
    }

    fn unmatched(&self) -> Observed<'_> {
        Observed {
            route: "unmatched",
            counts: &self.unmatched,
            database: None,
        }
    }

    /// Authenticates and admits a request, then passes it to its route.
    async fn admit(
        &self,
        route: &Route,
        values: PathValues,
        id: RequestId,
        connection: Option<&Connection>,
        mut request: Request,
    ) -> Response {
        let gateway = &*self.gateway;
        let is_probe = matches!(
            route.traits.admission,
            Admission::Always | Admission::AlwaysWithToken
        );
        if !is_probe && connection.is_some_and(|it| it.is_for_probes) {
            return no_connection().into_response();
        }
        if !is_probe
            && let Some(connection) = connection.filter(|it| it.is_forwarded())
            && let Err(problem) = self.forward(connection, &request)
        {
            return problem.into_response();
        }
        let encoding = Encoding::wanted(request.headers());
        let peer = connection.map(Connection::address);
        let account = match route.traits.admission {
            Admission::Always => {
                let path = request.uri().path().to_owned();
                let response = self.go_on(route, values, request).await;
                return self.documents.pack(&path, response, encoding).await;
            }
            Admission::WithRoom => {
                let source = gateway.source(peer, request.headers());
                gateway
                    .accounts
                    .of(source.map_or(Holder::Internal, Holder::at))
            }
            Admission::WithToken | Admission::AlwaysWithToken => {
                let identified = identify(&gateway.service, request.headers(), id);
                if let Some(connection) = connection {
                    connection.set_authenticated(identified.is_ok());
                }
                let caller = match identified {
                    Ok(caller) => caller,
                    Err(refused) => {
                        let client = gateway.source(peer, request.headers());
                        let path = request.uri().path();
                        gateway.metrics.count_refused_sign_in(&refused);
                        gateway
                            .refused_sign_ins
                            .tell(refused.reason(), client, path, id);
                        let source = client.filter(|_| refused.is_of_a_token());
                        let problem = Problem::from(refused);
                        return self
                            .refuse(problem, source.map(Holder::at))
                            .await
                            .into_response();
                    }
                };
                if gateway.config.access_log
                    && let Some(name) = request.extensions().get::<TokenName>()
                {
                    name.tell(caller.token_name().to_owned());
                }
                let account = gateway.accounts.of(caller.holder());
                request.extensions_mut().insert(caller);
                account
            }
        };
        let pass = Pass::new(&gateway.rooms, account);
        let asker = (request.method() == Method::GET)
            .then(|| request.extensions().get::<Caller>().cloned())
            .flatten();
        let work = async |request| {
            let response = self.go_on(route, values, request).await;
            // A token that ended during the wait does not get the response.
            match asker.filter(|_| pass.has_waited()) {
                Some(asker) if !gateway.service.accepts(&asker) => token_ended().into_response(),
                _ => compress(response, encoding),
            }
        };
        if route.traits.admission == Admission::AlwaysWithToken {
            return scoped(pass.clone(), work(request)).await;
        }
        let body = route.traits.body;
        let admitted = pin!(gateway.within_bounds(pass.clone(), request, body, work));
        admitted.await.unwrap_or_else(Problem::into_response)
    }

    /// Lets the refusal of a token wait if there were many of its source. It waits among the
    /// requests without a token, so that a source takes no more than its share.
    async fn refuse(&self, problem: Problem, source: Option<Holder>) -> Problem {
        let gateway = &*self.gateway;
        let Some(source) = source else {
            return problem;
        };
        let wait = gateway.refused_sign_ins.note(source);
        if wait.is_zero() {
            return problem;
        }
        let pass = Pass::new(&gateway.rooms, gateway.accounts.of(source));
        let place = match shares::Place::take(&pass, Kind::Waiting) {
            Ok(place) => place,
            Err(refused) => return no_room(&pass, Kind::Waiting, refused),
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = gateway.service.stopping.cancelled() => {}
        }
        drop(place);
        problem
    }

    /// Takes a place for the client for whom a trusted proxy asks, whatever token it has.
    ///
    /// # Errors
    /// When that client has its share of them.
    fn forward(&self, connection: &Connection, request: &Request) -> Result<(), Problem> {
        let gateway = &*self.gateway;
        connection.hold(None); // of the last request, which streamed
        let source = gateway.source(Some(connection.address()), request.headers());
        let account = gateway
            .accounts
            .of(source.map_or(Holder::Internal, Holder::at));
        let pass = Pass::new(&gateway.rooms, account);
        let place = shares::Place::take(&pass, Kind::Forwarded)
            .map_err(|refused| no_room(&pass, Kind::Forwarded, refused))?;
        connection.hold(Some(place));
        Ok(())
    }

    async fn go_on(&self, route: &Route, values: PathValues, request: Request) -> Response {
        let answer = route.answer(request, values, &self.gateway);
        match route.traits.workplace {
            Workplace::Here => answer.await,
            Workplace::Elsewhere => {
                let answer = with_pass_of_here(answer.in_current_span());
                let there = self.tokio.spawn(answer);
                match AbortOnDropHandle::new(there).await {
                    Ok(response) => response,
                    Err(ended) => match ended.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => Problem::internal("the gateway is shutting down").into_response(),
                    },
                }
            }
        }
    }
}

/// The host that a request names, once (RFC 9112, 3.2); HTTP/1.0 need not. One in the address of the
/// request counts more.
///
/// # Errors
/// When it names none, or two.
fn host_of(request: &Request) -> Result<Option<&[u8]>, Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Ok(Some(
            request.uri().host().map_or(host.as_bytes(), str::as_bytes),
        )),
        (None, _) if request.version() == Version::HTTP_10 => Ok(None),
        (None, _) => Err(Problem::invalid("The request has no `Host` header.")),
        (Some(_), Some(_)) => Err(Problem::invalid("`host` was sent twice.")),
    }
}
