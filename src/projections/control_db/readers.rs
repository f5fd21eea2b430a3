//! A few connections that read, each statement under a deadline.
use super::list_error::ListError;
use super::messages::Message;
use super::storage::{self, StorageError};
use crate::clock::Deadline;
use crate::locks::Mutex;
use crate::shares::FairLimiter;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

/// Reads at once: two per core of a small machine, since a page is a millisecond of work.
const READERS: usize = 4;
/// Reads that may wait for their turn: as many as requests may wait.
const WAITING: usize = 4096;
/// The longest that a read waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(5);
/// The longest that a read may work: a rare combination of filters over some million rows.
const WORK_TIME: Duration = Duration::from_secs(5);
/// Instructions between two looks at the deadline: well below a millisecond.
const INSTRUCTIONS: i32 = 10_000;

/// The readers of one file.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Idle>,
    turns: Arc<FairLimiter>,
    to_follower: SyncSender<Message>,
}

struct Idle {
    connections: Vec<Connection>,
    /// Rises when the file is replaced: a connection to an older one is not used again.
    generation: u64,
}

impl Readers {
    pub(super) fn new(path: PathBuf, to_follower: SyncSender<Message>) -> Self {
        Self {
            path,
            idle: Mutex::new(Idle {
                connections: Vec::new(),
                generation: 0,
            }),
            turns: FairLimiter::new(READERS, WAITING),
            to_follower,
        }
    }

    /// The file that is read.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Asks a question on a thread that may block, all of it at one moment of the file.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Connection) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, ListError> {
        let turn = tokio::time::timeout(TURN_WAIT, self.turns.take()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(unavailable("too many reads are waiting"));
        };
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            readers.answer(question)
        })
        .await
        .map_err(|error| unavailable(&error.to_string()))?
    }

    /// Forgets the connections to a file that has been replaced.
    pub(super) fn renew(&self) {
        let mut idle = self.idle();
        idle.generation += 1;
        idle.connections.clear();
    }

    /// Closes idle connections; the next query opens one.
    pub(super) fn rest(&self) {
        drop(std::mem::take(&mut self.idle().connections));
    }

    /// Which file is the present one.
    pub(super) fn generation(&self) -> u64 {
        self.idle().generation
    }

    fn answer<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StorageError>,
    ) -> Result<T, ListError> {
        let (idle, generation) = {
            let mut idle = self.idle();
            (idle.connections.pop(), idle.generation)
        };
        let answer = self.answer_with(idle, generation, question);
        answer.map_err(|error| {
            if error.is_damage() {
                // When its inbox is full the follower is at work and will meet the damage itself,
                // or the next reader tells it.
                let reason = error.to_string();
                let _ = self
                    .to_follower
                    .try_send(Message::Damaged { generation, reason });
            }
            unavailable(&explain(&error))
        })
    }

    fn answer_with<T>(
        &self,
        idle: Option<Connection>,
        generation: u64,
        question: impl FnOnce(&Connection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut connection = match idle {
            Some(connection) => connection,
            None => storage::open_reader(&self.path)?,
        };
        let deadline = Deadline::after(WORK_TIME);
        connection.progress_handler(INSTRUCTIONS, Some(move || deadline.has_passed()))?;
        let transaction = connection.transaction()?;
        let answer = question(&transaction)?;
        transaction.commit()?;
        let mut idle = self.idle();
        if idle.generation == generation {
            idle.connections.push(connection);
        }
        Ok(answer)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        // Nothing that is done under this lock can leave it half done.
        self.idle.lock()
    }
}

fn explain(error: &StorageError) -> String {
    if error.is_interruption() {
        let seconds = WORK_TIME.as_secs();
        return format!("the query took longer than {seconds} s; use a narrower filter");
    }
    error.to_string()
}

fn unavailable(reason: &str) -> ListError {
    ListError::Unavailable {
        reason: reason.to_owned(),
    }
}
