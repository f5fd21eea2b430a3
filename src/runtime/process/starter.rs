//! Starts children from a thread of its own.
//!
//! The kernel tells a child of the end of the *thread* that started it. So that thread lives as
//! long as the runtime: threads of tokio come and go.
use std::io;
use std::process;
use std::sync::{OnceLock, mpsc};
use std::thread;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// The thread, started with the first child.
#[derive(Debug, Default)]
pub(super) struct StarterThread(OnceLock<mpsc::Sender<Order>>);

struct Order {
    command: process::Command,
    /// That of the caller, which reaps the child.
    tokio: tokio::runtime::Handle,
    started: oneshot::Sender<io::Result<Child>>,
}

impl StarterThread {
    /// Starts a child.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) async fn start(&self, command: process::Command) -> io::Result<Child> {
        let (started, answer) = oneshot::channel();
        let order = Order {
            command,
            tokio: tokio::runtime::Handle::current(),
            started,
        };
        self.orders()?.send(order).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    fn orders(&self) -> io::Result<&mpsc::Sender<Order>> {
        if let Some(orders) = self.0.get() {
            return Ok(orders);
        }
        let (orders, received) = mpsc::channel::<Order>();
        thread::Builder::new()
            .name("worker-starter".to_owned())
            .spawn(move || {
                for order in received {
                    let _tokio = order.tokio.enter();
                    let child = Command::from(order.command).spawn();
                    if let Err(Ok(mut unwanted)) = order.started.send(child) {
                        let _ = unwanted.start_kill();
                    }
                }
            })?;
        // Of two threads that were started at once, the other one ends with its sender.
        Ok(self.0.get_or_init(|| orders))
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that starts workers has ended")
}
