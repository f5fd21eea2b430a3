//! Bounds on requests: how many at once, how long each.
use super::Gateway;
use super::error::{ErrorCode, Problem};
use axum::response::Response;

/// Does the work of a request when there is room for it, and gives it up when it takes too long.
///
/// # Errors
/// When there is no room, the time is over, or the work fails.
pub(super) async fn within_bounds(
    gateway: &Gateway,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    let Ok(_room) = gateway.in_flight.try_acquire() else {
        return Err(Problem::new(
            ErrorCode::Overloaded,
            format!(
                "{} requests are being worked on; that is as many as this gateway takes.",
                gateway.config.in_flight_limit
            ),
        ));
    };
    let limit = gateway.config.request_timeout;
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(Problem::new(
            ErrorCode::TimedOut,
            format!("The work did not end within {} s.", limit.as_secs_f64()),
        )
        .because("its time was over"))
    })
}
