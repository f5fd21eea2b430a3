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
use super::router::{Admission, Routes};
use crate::domain::ids::RequestId;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tower::Service as _;

/// The service that answers every request. Clones are the same one.
#[derive(Clone)]
pub struct Service {
    gateway: Arc<Gateway>,
    routes: Arc<Routes>,
}

impl Service {
    /// Every route of the API, over one gateway.
    #[must_use]
    pub fn new(gateway: &Arc<Gateway>) -> Self {
        Self {
            gateway: gateway.clone(),
            routes: Arc::new(Routes::new(gateway)),
        }
    }

    /// Answers one request; a problem is an answer as well.
    pub async fn answer(&self, request: Request) -> Response {
        match self.routes.find(request.uri().path()) {
            Some((route, admission)) => {
                let go_on = |id, request| self.admit(admission, id, request);
                observe(&self.gateway, route, request, go_on).await
            }
            None => {
                let unknown = async |_, request| documents::no_route(&request).into_response();
                observe(&self.gateway, "unmatched", request, unknown).await
            }
        }
    }

    /// Lets a request go on to its route.
    async fn admit(&self, admission: Admission, id: RequestId, mut request: Request) -> Response {
        let gateway = &*self.gateway;
        let admitted = match admission {
            Admission::Always => return self.go_on(request).await,
            Admission::WithRoom => {
                within_bounds(gateway, async { Ok(self.go_on(request).await) }).await
            }
            Admission::WithToken => {
                within_bounds(gateway, async {
                    let caller = identify(gateway, request.headers(), id)?;
                    request.extensions_mut().insert(caller);
                    Ok(self.go_on(request).await)
                })
                .await
            }
        };
        admitted.unwrap_or_else(Problem::into_response)
    }

    async fn go_on(&self, request: Request) -> Response {
        let Ok(response) = self.routes.router.clone().call(request).await;
        response
    }
}
