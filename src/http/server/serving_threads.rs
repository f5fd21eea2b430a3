//! The threads that serve connections.
//!
//! A connection stays on one thread, which reads, runs and answers its requests without waking
//! another thread (decision 0025).
use super::long_work::let_others_go_first;
use crate::engine::SQL_THREAD_STACK;
use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// How long blocking threads may delay shutdown: a statement may not be interruptible. Its write was
/// not acknowledged.
const STUCK_THREADS: Duration = Duration::from_secs(1);

/// As many threads as there are processors.
pub(super) struct ServingThreads(Vec<ServingThread>);

struct ServingThread {
    tokio: Handle,
    /// Held by each of its connections.
    connection: Arc<()>,
    /// Dropped, it ends the thread.
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl ServingThreads {
    /// Starts them.
    ///
    /// # Errors
    /// When the system has no room for a thread.
    pub(crate) fn start() -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        (0..count)
            .map(|_| ServingThread::start())
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Gives a connection to the thread that has the fewest.
    pub(crate) fn spawn(
        &self,
        connections: &mut JoinSet<()>,
        answer: impl Future<Output = ()> + Send + 'static,
    ) {
        let fewest = self
            .0
            .iter()
            .min_by_key(|it| Arc::strong_count(&it.connection));
        let thread = fewest.expect("there is a thread for each processor");
        let connection = thread.connection.clone();
        let answered = async move {
            answer.await;
            drop(connection);
        };
        connections.spawn_on(answered, &thread.tokio);
    }

    /// Ends them, once no connection is left.
    pub(crate) async fn end(self) {
        let (stops, ends): (Vec<_>, Vec<_>) =
            self.0.into_iter().map(|it| (it.stop, it.ended)).unzip();
        drop(stops);
        for ended in ends {
            let _ = ended.await;
        }
    }
}

impl ServingThread {
    fn start() -> io::Result<Self> {
        let tokio = Builder::new_current_thread()
            .enable_all()
            .thread_stack_size(SQL_THREAD_STACK)
            .on_thread_start(let_others_go_first)
            .build()?;
        let handle = tokio.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("serving".into())
            .stack_size(SQL_THREAD_STACK)
            .spawn(move || {
                let _ = tokio.block_on(stopped);
                tokio.shutdown_timeout(STUCK_THREADS);
                let _ = end.send(());
            })?;
        Ok(Self {
            tokio: handle,
            connection: Arc::default(),
            stop,
            ended,
        })
    }
}
