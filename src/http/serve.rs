//! Accepts connections, and lets them end well.
use super::serving_threads::ServingThreads;
use super::slow_reader::Impatient;
use super::{Gateway, Service};
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long to wait after an accept failed: with no file handle left, another try at once fails
/// as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Most bytes of a request's head.
const HEAD_LIMIT: usize = 64 << 10;

/// Answers requests until `stop`; then takes no more connections, lets requests end within
/// the drain time, and gives up those that do not.
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
    let room = Arc::new(Semaphore::new(gateway.config.connection_limit));
    let service = Service::new(&gateway);
    let mut connections = JoinSet::new();
    loop {
        let (stream, permit) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Ok(stream) = stream.into_std() else {
            continue; // it is closed
        };
        let connection = answer(stream, service.clone(), gateway.clone());
        threads.spawn(&mut connections, async move {
            connection.await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    gateway.stopping.cancel();
    // Nobody can send their next statement any more, and writes would wait for it.
    gateway.data.end_transactions();
    let all_ended = async { while connections.join_next().await.is_some() {} };
    let drain = gateway.config.drain_timeout;
    if tokio::time::timeout(drain, all_ended).await.is_err() {
        tracing::warn!("requests were given up that went on for {drain:?} after the stop");
    }
    connections.shutdown().await;
    threads.end().await;
}

/// The next connection, once there is room for one.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let permit = room
        .clone()
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers the requests of one connection.
async fn answer(stream: std::net::TcpStream, service: Service, gateway: Arc<Gateway>) {
    // Answers are written whole; waiting for more would only make them late.
    let quick = stream.set_nodelay(true);
    let stream = match quick.and_then(|()| TcpStream::from_std(stream)) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a connection broke off before it was read");
            return;
        }
    };
    let stream = Impatient::new(stream, gateway.config.write_timeout);
    let answer = service_fn(|request: Request<Incoming>| async {
        Ok::<_, Infallible>(service.answer(request.map(Body::new)).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(gateway.config.header_timeout)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = gateway.stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
