//! Bodies that are files: streamed to the disk as they arrive.
use super::Gateway;
use crate::data::uploads::{Receiving, Upload};
use crate::http::middleware::admission::packed_body::Coding;
use crate::http::middleware::admission::request_body::drain;
use crate::http::response::error::{ErrorCode, Problem};
use crate::service::caller::Caller;
use crate::shares::waiting;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use std::sync::Arc;

/// Longest content type that is kept.
const LONGEST_TYPE: usize = 200;

impl Gateway {
    /// Receives a body as an upload. Nothing is read of one that is not taken, so that a client
    /// that sends `Expect: 100-continue` does not send it.
    ///
    /// # Errors
    /// When it is not taken, breaks off, or nothing comes for too long.
    pub(crate) async fn receive_file(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        mut body: Body,
        is_of_a_call: bool,
    ) -> Result<Arc<Upload>, Problem> {
        let content_type = headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|it| it.to_str().ok());
        let content_type = content_type
            .filter(|it| it.len() <= LONGEST_TYPE)
            .map(str::to_owned);
        let received = self.receive(caller, headers, &mut body).await;
        let received = match received {
            Ok(received) => received,
            Err(problem) => {
                // What stands still is not waited for once more.
                let is_still = problem.code() == ErrorCode::RequestTimeout;
                if !headers.contains_key(header::EXPECT) && !is_still {
                    waiting(drain(&mut body)).await;
                }
                return Err(problem);
            }
        };
        let stored = self
            .service
            .store_upload(caller, received, content_type, is_of_a_call);
        Ok(waiting(stored).await?)
    }

    async fn receive(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<Receiving, Problem> {
        // Kept as it is sent; another coding would not be recognized when it is read.
        Coding::of(headers)?;
        let announced = headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        let mut received = self.service.receive_upload(caller, announced)?;
        loop {
            let patience = self.service.upload_patience().instant();
            let frame = waiting(tokio::time::timeout_at(patience, body.frame())).await;
            let Ok(frame) = frame else {
                let idle = self.service.data.uploads().bounds().upload_idle;
                return Err(Problem::new(
                    ErrorCode::RequestTimeout,
                    format!("Nothing of the body arrived for {} s.", idle.as_secs_f64()),
                )
                .hint("send the file again"));
            };
            let Some(frame) = frame else {
                return Ok(received);
            };
            let frame = frame
                .map_err(|error| Problem::invalid(format!("The body ended early: {error}.")))?;
            if let Ok(bytes) = frame.into_data() {
                waiting(received.write(bytes)).await?;
            }
        }
    }
}
