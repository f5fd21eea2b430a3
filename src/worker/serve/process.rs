//! The process that serves: fenced in, with a few threads.
use super::fence;
use super::order::ServeOrder;
use crate::engine::SQL_THREAD_STACK;
use crate::engine::registry::{ServeConfig, SqliteConfig, WorkerListener, serve as answer};
use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Threads that run SQL: those of one database that the gateway answers, and streams.
const THREADS: usize = 8;
const STREAMS: usize = 8;
/// All threads that may block, stuck ones and writers included.
const MOST_BLOCKING: usize = 32;
/// How long threads that work are waited for at the end.
const STUCK_THREADS: Duration = Duration::from_secs(1);
/// Connections to the database: each thread may have one, transactions too.
const MOST_CONNECTIONS: usize = 64;

/// Serves until it is told to end. Called in a process of its own, which has one thread.
///
/// # Errors
/// When it cannot be fenced in, or its socket cannot be made.
pub fn serve(order: &ServeOrder) -> io::Result<()> {
    fence::end_with_parent()?;
    let listener = WorkerListener::bind(&order.folder)?;
    fence::fence(order)?;
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(SQL_THREAD_STACK)
        .max_blocking_threads(MOST_BLOCKING)
        .build()?;
    let served = tokio.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let config = ServeConfig {
            folder: order.folder.clone(),
            database: order.database,
            answer_bytes: usize::try_from(order.memory_bytes / 4).unwrap_or(usize::MAX),
            sqlite: bounds(order),
        };
        answer(listener, config, stop).await
    });
    tokio.shutdown_timeout(STUCK_THREADS);
    served
}

fn bounds(order: &ServeOrder) -> SqliteConfig {
    SqliteConfig {
        threads: THREADS,
        readers_per_database: THREADS / 2,
        streams: STREAMS,
        streams_per_database: STREAMS,
        max_connections: MOST_CONNECTIONS,
        temp_bytes: order.temp_bytes,
        // The gateway logs them, with the database's name.
        slow_statement: None,
        ..SqliteConfig::default()
    }
}
