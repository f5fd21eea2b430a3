//! What lies around every route: who may go on to it, and that there is room.
//!
//! It is one function in front of the router and not layers inside of it: a layer costs every
//! request boxes and copies, which together took a fifth of a point read's time.
use super::Gateway;
use super::auth::identify;
use super::documents;
use super::error::Problem;
use super::limits::within_bounds;
use super::observe::observe;
use super::router::{Admission, Place, Routes, Workplace};
use crate::domain::ids::RequestId;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use std::pin::pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tower::Service as _;
use tracing::Instrument as _;

/// The service that answers every request. Clones are the same one.
#[derive(Clone)]
pub struct Service {
    gateway: Arc<Gateway>,
    routes: Arc<Routes>,
    /// The forge's main runtime.
    tokio: Handle,
}

impl Service {
    /// Every route of the API, over one gateway. Made in the forge's main runtime.
    #[must_use]
    pub fn new(gateway: &Arc<Gateway>) -> Self {
        Self {
            gateway: gateway.clone(),
            routes: Arc::new(Routes::new(gateway)),
            tokio: Handle::current(),
        }
    }

    /// Answers one request; a problem is an answer as well.
    pub async fn answer(&self, request: Request) -> Response {
        let gateway = &*self.gateway;
        match self.routes.find(request.uri().path()) {
            Some(place) => {
                let go_on = |id, request| self.admit(place, id, request);
                observe(gateway, &place.path, request, go_on).await
            }
            None => {
                let unknown = async |_, request| documents::no_route(&request).into_response();
                observe(gateway, "unmatched", request, unknown).await
            }
        }
    }

    /// Lets a request go on to its route.
    async fn admit(&self, place: &Place, id: RequestId, mut request: Request) -> Response {
        let gateway = &*self.gateway;
        let admitted = match place.admission {
            Admission::Always => return self.go_on(place, request).await,
            Admission::WithRoom => {
                let work = pin!(async { Ok(self.go_on(place, request).await) });
                within_bounds(gateway, work).await
            }
            Admission::WithToken => {
                let work = pin!(async {
                    let caller = identify(gateway, request.headers(), id)?;
                    request.extensions_mut().insert(caller);
                    Ok(self.go_on(place, request).await)
                });
                within_bounds(gateway, work).await
            }
        };
        admitted.unwrap_or_else(Problem::into_response)
    }

    async fn go_on(&self, place: &Place, request: Request) -> Response {
        let answer = self.routes.router.clone().call(request);
        let Ok(response) = match place.workplace {
            Workplace::Here => answer.await,
            Workplace::Elsewhere => {
                let there = self.tokio.spawn(answer.in_current_span());
                match AbortOnDropHandle::new(there).await {
                    Ok(answered) => answered,
                    Err(ended) => match ended.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => Ok(Problem::internal("the forge stops").into_response()),
                    },
                }
            }
        };
        response
    }
}
