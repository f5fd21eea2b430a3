//! A connection to a worker on which many requests are under way.
use crate::engine::sqlite::remote::wire::frame::{Frame, Head, Outbox};
use crate::engine::sqlite::remote::wire::line::{Line, READ_AHEAD};
use crate::engine::sqlite::remote::wire::messages::{Said, Wanted};
use crate::locks::Mutex;
use crate::shares::{Held, Pass};
use bytes::{Buf as _, BytesMut};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

/// Requests that one connection has under way: as many as a gateway works on, and those that wait.
const MOST_ASKED: usize = 8_192;

/// A connection to a worker, of one tokio runtime.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The worker ended itself for a statement that did not stop; what is not answered was not kept.
    Farewell,
    /// The connection ended. Whether something was kept is not known.
    Lost,
    /// The answer has no room in memory.
    NoRoom,
    /// As many requests are under way as may be.
    Full,
}

#[derive(Debug, Default)]
struct Shared {
    inside: Mutex<Inside>,
    has_more: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    outbox: Outbox,
    asked: HashMap<u32, Asked>,
    last: u32,
    end: Option<Unanswered>,
}

#[derive(Debug)]
struct Asked {
    answer: oneshot::Sender<Result<Frame, Unanswered>>,
    /// Whose memory the answer takes.
    pass: Option<Pass>,
}

/// A request that is waited for; dropped before its answer it is cancelled.
struct Waiting<'l> {
    shared: &'l Shared,
    number: u32,
    is_over: bool,
}

impl Link {
    /// Requests on this connection, whose tasks run in the tokio runtime of here.
    pub(super) fn new(line: Line) -> Self {
        let shared = Arc::new(Shared::default());
        let (reads, come, writes) = line.into_parts();
        let (reader, writer) = (Arc::clone(&shared), Arc::clone(&shared));
        let reads = tokio::spawn(async move {
            let end = reader.read(reads, come).await;
            reader.end(end.unwrap_or(Unanswered::Lost));
        });
        let writes = tokio::spawn(async move {
            let _ = writer.write(writes).await;
            writer.end(Unanswered::Lost);
        });
        Self {
            shared,
            tasks: [reads.abort_handle(), writes.abort_handle()],
        }
    }

    /// Whether it takes no more requests.
    pub(super) fn has_ended(&self) -> bool {
        self.shared.inside.lock().end.is_some()
    }

    /// Whether nothing is under way on it.
    pub(super) fn is_idle(&self) -> bool {
        self.shared.inside.lock().asked.is_empty()
    }

    /// Asks for something, and waits for the frame of its answer.
    ///
    /// # Errors
    /// When there is none. The request was not sent when it is [`Unanswered::Full`].
    pub(super) async fn ask(&self, wanted: &Wanted<'_>) -> Result<Frame, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let pass = Pass::here();
        let number = {
            let mut inside = self.shared.inside.lock();
            if let Some(end) = inside.end {
                return Err(end);
            }
            if inside.asked.len() >= MOST_ASKED {
                return Err(Unanswered::Full);
            }
            let number = inside.next_number();
            let added = inside.outbox.add(number, wanted, &[]);
            added.map_err(|_| Unanswered::NoRoom)?;
            inside.asked.insert(number, Asked { answer, pass });
            number
        };
        self.shared.has_more.notify_one();
        let mut waiting = Waiting {
            shared: &self.shared,
            number,
            is_over: false,
        };
        let answered = answered.await;
        waiting.is_over = true;
        answered.unwrap_or(Err(Unanswered::Lost))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.end(Unanswered::Lost);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut inside = self.shared.inside.lock();
        inside.asked.remove(&self.number);
        if inside.end.is_none() && inside.outbox.add(self.number, &Wanted::Cancel, &[]).is_ok() {
            self.shared.has_more.notify_one();
        }
    }
}

impl Inside {
    fn next_number(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.asked.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}

impl Shared {
    async fn write(&self, mut socket: OwnedWriteHalf) -> io::Result<()> {
        loop {
            self.has_more.notified().await;
            loop {
                let pieces = self.inside.lock().outbox.take();
                if pieces.is_empty() {
                    break;
                }
                for piece in pieces {
                    socket.write_all(&piece).await?;
                }
            }
        }
    }

    /// Hands frames on until the connection ends.
    async fn read(&self, mut socket: OwnedReadHalf, mut come: BytesMut) -> io::Result<Unanswered> {
        // The room that is kept for a long frame that is coming.
        let mut coming: Option<Held> = None;
        // Bytes of one that is not wanted any more, or has no room.
        let mut skipped = 0;
        loop {
            let mut missing = READ_AHEAD;
            if skipped > 0 {
                let now = skipped.min(come.len());
                come.advance(now);
                skipped -= now;
            }
            if skipped == 0
                && let Some(head) = Head::of(&come)?
            {
                if let Some(mut frame) = head.take(&mut come) {
                    if let Some(held) = coming.take() {
                        frame.body = held.with(frame.body);
                    }
                    if let Some(end) = self.hand_on(frame)? {
                        return Ok(end);
                    }
                    continue;
                }
                if head.whole() > READ_AHEAD && coming.is_none() {
                    let Some(room) = self.room_for(head) else {
                        skipped = head.whole();
                        continue;
                    };
                    coming = Some(room);
                }
                missing = head.whole() - come.len();
            }
            if come.capacity() - come.len() < missing.min(READ_AHEAD / 4) {
                come.reserve(missing.max(READ_AHEAD));
            }
            if socket.read_buf(&mut come).await? == 0 {
                return Ok(Unanswered::Lost);
            }
        }
    }

    /// Gives a frame to the request that it answers. Returns why it is the last.
    fn hand_on(&self, frame: Frame) -> io::Result<Option<Unanswered>> {
        // The worker speaks of itself.
        if frame.number == 0 {
            return Ok(Some(match frame.read()? {
                Said::Farewell => Unanswered::Farewell,
                _ => Unanswered::Lost,
            }));
        }
        self.answer(frame.number, Ok(frame));
        Ok(None)
    }

    /// Room in memory for the answer that comes; `None` where it is not wanted or has none.
    fn room_for(&self, head: Head) -> Option<Held> {
        let inside = self.inside.lock();
        let asked = inside.asked.get(&head.number)?;
        let mut held = asked.pass.clone().map_or_else(Held::default, Held::of);
        let has_room = asked.pass.is_none() || held.grow(head.whole()).is_ok();
        drop(inside);
        if has_room {
            return Some(held);
        }
        self.answer(head.number, Err(Unanswered::NoRoom));
        None
    }

    fn answer(&self, number: u32, answer: Result<Frame, Unanswered>) {
        if let Some(asked) = self.inside.lock().asked.remove(&number) {
            let _ = asked.answer.send(answer);
        }
    }

    fn end(&self, end: Unanswered) {
        let asked = {
            let mut inside = self.inside.lock();
            let end = *inside.end.get_or_insert(end);
            inside.outbox = Outbox::default();
            (std::mem::take(&mut inside.asked), end)
        };
        for (_, it) in asked.0 {
            let _ = it.answer.send(Err(asked.1));
        }
    }
}
