//! Ends requests, streams and transactions when their token ends.
use crate::clock::timestamp::Timestamp;
use crate::domain::state::State;
use crate::http::Gateway;
use std::time::Duration;

/// How often expiring tokens are checked, since the clock may be set.
const LOOK: Duration = Duration::from_millis(250);

impl Gateway {
    /// Ends requests, streams and transactions of tokens that were revoked or have expired. Runs
    /// until dropped.
    pub(in crate::http) async fn end_with_tokens(&self) {
        let mut changes = self.service.control.changes();
        loop {
            let opened = self.accounts.opened.notified();
            let current = changes.borrow_and_update().clone();
            let left = self.end_tokens(&current.state, self.service.control.clock().now());
            let look = async {
                match left {
                    Some(left) => tokio::time::sleep(left.min(LOOK)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = look => {}
                () = opened => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Ends what belongs to tokens that have ended. Returns the time until the next one expires.
    fn end_tokens(&self, state: &State, now: Timestamp) -> Option<Duration> {
        let mut next: Option<Duration> = None;
        for id in self.accounts.open_tokens() {
            let expires_at = match state.token(id) {
                Some(token) if !token.has_expired(now) => token.expires_at,
                _ => {
                    self.accounts.end(id);
                    self.service.data.end_transactions_of(id);
                    continue;
                }
            };
            if let Some(end) = expires_at {
                let left = end.since(now);
                next = Some(next.map_or(left, |it| it.min(left)));
            }
        }
        next
    }
}
