//! The replies of a connection with many requests, on their way to the gateway.
use crate::engine::sql::QueryError;
use crate::engine::sqlite::remote::wire::frame::Outbox;
use crate::engine::sqlite::remote::wire::messages::{Said, failed};
use crate::locks::Mutex;
use bytes::Bytes;
use std::io;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;

/// Replies that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Replies {
    outbox: Mutex<Outbox>,
    has_more: Notify,
    have_left: Notify,
}

impl Replies {
    /// Replies to a request.
    pub(super) fn say(&self, number: u32, said: &Said<'_>, bodies: &[Bytes]) {
        let mut outbox = self.outbox.lock();
        if outbox.add(number, said, bodies).is_err() {
            let limit = "what a worker can answer with".to_owned();
            let too_large = failed(QueryError::ResultTooLarge { limit });
            let _ = outbox.add(number, &too_large, &[]);
        }
        drop(outbox);
        self.has_more.notify_one();
    }

    /// Nothing is replied behind this.
    pub(super) fn say_farewell(&self) {
        self.say(0, &Said::Farewell, &[]);
    }

    /// Waits until everything was written.
    pub(super) async fn have_left(&self) {
        self.have_left.notified().await;
    }

    /// Sends replies until the connection ends.
    pub(super) async fn send(&self, mut socket: OwnedWriteHalf) -> io::Result<()> {
        loop {
            self.has_more.notified().await;
            loop {
                let pieces = self.outbox.lock().take();
                if pieces.is_empty() {
                    break;
                }
                for piece in pieces {
                    socket.write_all(&piece).await?;
                }
            }
            self.have_left.notify_one();
        }
    }
}
