//! Accepts connections and shuts them down gracefully.
use super::connections::{Connection, Connections, End};
use super::serving_threads::ServingThreads;
use super::slow_reader::Impatient;
use crate::http::{Dispatcher, Gateway};
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::io::Errno;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Pause after a failed accept: without free file descriptors an immediate retry fails too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The same after idle connections were closed to free descriptors.
const CLOSE_PAUSE: Duration = Duration::from_millis(5);
/// Timeout for the request of a connection reserved for health checks.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Most bytes of a request's head.
const HEAD_LIMIT: usize = 64 << 10;

/// Serves requests until `stop`; then accepts no more connections, and aborts requests that do not
/// finish within the drain time.
///
/// # Errors
/// When the threads that answer cannot be started.
pub fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
) -> io::Result<impl Future<Output = ()> + Send> {
    let threads = ServingThreads::start()?;
    Ok(serve_on(threads, listener, gateway, stop))
}

async fn serve_on(
    threads: ServingThreads,
    listener: TcpListener,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
) {
    let open = gateway.connections.clone();
    let dispatcher = Dispatcher::new(&gateway);
    let mut connections = JoinSet::new();
    let token_ends = {
        let gateway = gateway.clone();
        AbortOnDropHandle::new(tokio::spawn(async move { gateway.end_with_tokens().await }))
    };
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &open) => accepted,
        };
        let Ok(stream) = stream.into_std() else {
            continue; // it is closed
        };
        let Some(connection) = open.admit(peer.ip()) else {
            continue; // it is closed, too
        };
        let dispatcher = dispatcher.clone();
        let gateway = gateway.clone();
        threads.spawn(&mut connections, async move {
            answer(stream, &connection, dispatcher, gateway).await;
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    gateway.service.stopping.cancel();
    open.end_all();
    // Open transactions cannot receive another statement; writes would wait for them.
    gateway.service.data.end_transactions();
    let all_ended = async { while connections.join_next().await.is_some() {} };
    let drain = gateway.config.drain_timeout;
    if tokio::time::timeout(drain, all_ended).await.is_err() {
        tracing::warn!("shutdown timed out after {drain:?}; aborting requests");
    }
    connections.shutdown().await;
    drop(token_ends);
    threads.end().await;
}

/// The next connection. Where the system has no more files, connections that are idle make room.
async fn accept(listener: &TcpListener, open: &Connections) -> (TcpStream, SocketAddr) {
    loop {
        let error = match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => error,
        };
        let is_out_of_files = matches!(
            error.raw_os_error().map(Errno::from_raw_os_error),
            Some(Errno::MFILE | Errno::NFILE)
        );
        let closed = if is_out_of_files { open.make_room() } else { 0 };
        tracing::warn!(%error, closed, "failed to accept a connection");
        let pause = if closed > 0 {
            CLOSE_PAUSE
        } else {
            ACCEPT_PAUSE
        };
        tokio::time::sleep(pause).await;
    }
}

/// Answers the requests of one connection.
async fn answer(
    stream: std::net::TcpStream,
    open: &Arc<Connection>,
    dispatcher: Dispatcher,
    gateway: Arc<Gateway>,
) {
    // Answers are written whole; waiting for more would only make them late.
    let quick = stream.set_nodelay(true);
    let stream = match quick.and_then(|()| TcpStream::from_std(stream)) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "connection closed before it was read");
            return;
        }
    };
    let stream = Impatient::new(stream, gateway.config.write_timeout, Arc::clone(open));
    let answer = service_fn(|request: Request<Incoming>| async {
        let request = request.map(Body::new);
        Ok::<_, Infallible>(dispatcher.answer_on(open, request).await)
    });
    let header_timeout = match open.is_for_probes {
        true => gateway.config.header_timeout.min(PROBE_TIMEOUT),
        false => gateway.config.header_timeout,
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let mut is_ending = false;
    let ended = poll_fn(|task| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(task) {
                return Poll::Ready(ended);
            }
            match open.end(task) {
                Some(End::Now) => return Poll::Ready(Ok(())),
                Some(End::AfterRequest) if !is_ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                Some(End::AfterRequest) | None => return Poll::Pending,
            }
        }
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "connection closed with an error");
    }
}
