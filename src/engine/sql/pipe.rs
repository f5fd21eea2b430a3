//! A bounded channel of a few pieces from the thread that reads rows to the task that sends them.
//!
//! The writing end blocks while the pipe is full, up to its deadline, or is polled as the reading end
//! is. Either end may go away first, and each learns of it.
use crate::clock::Deadline;
use crate::locks::Mutex;
use bytes::Bytes;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Pieces that may wait: the thread writes one while another is sent, and neither waits for the
/// other's small delays.
const MOST_PIECES: usize = 3;

/// The end that is written to; `E` is what stands behind the last piece.
#[derive(Debug)]
pub(crate) struct Inlet<E>(Arc<Pipe<E>>);

/// The end that is read.
#[derive(Debug)]
pub(crate) struct Outlet<E>(Arc<Pipe<E>>);

/// Closes the pipe from outside.
#[derive(Debug)]
pub(crate) struct Tap<E>(Arc<Pipe<E>>);

/// Why a piece was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The pipe was full until the deadline.
    Late,
    /// The reading end is gone.
    Unread,
}

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<E> {
    Piece(Bytes),
    /// Behind it there is nothing. Asked once more, it is [`Next::Lost`].
    End(E),
    /// The writing end went away without an end.
    Lost,
}

#[derive(Debug)]
struct Pipe<E> {
    inside: Mutex<Inside<E>>,
    has_room: Condvar,
}

#[derive(Debug)]
struct Inside<E> {
    pieces: VecDeque<Bytes>,
    end: Option<E>,
    is_closed: bool,
    is_unread: bool,
    reader: Option<Waker>,
    /// A writing end that waits for room without blocking.
    writer: Option<Waker>,
}

/// A new pipe: its two ends, and a tap.
pub(crate) fn pipe<E>() -> (Inlet<E>, Outlet<E>, Tap<E>) {
    let pipe = Arc::new(Pipe {
        inside: Mutex::new(Inside {
            pieces: VecDeque::new(),
            end: None,
            is_closed: false,
            is_unread: false,
            reader: None,
            writer: None,
        }),
        has_room: Condvar::new(),
    });
    (
        Inlet(Arc::clone(&pipe)),
        Outlet(Arc::clone(&pipe)),
        Tap(pipe),
    )
}

impl<E> Clone for Tap<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> Inlet<E> {
    /// Puts a piece in, once there is room. Blocks.
    pub(crate) fn push(&self, piece: Bytes, deadline: Deadline) -> Result<(), NotTaken> {
        let mut inside = self.0.lock();
        loop {
            if inside.is_unread || inside.is_closed {
                return Err(NotTaken::Unread);
            }
            if inside.pieces.len() < MOST_PIECES {
                inside.pieces.push_back(piece);
                inside.wake();
                return Ok(());
            }
            let left = deadline.remaining();
            if left.is_zero() {
                return Err(NotTaken::Late);
            }
            let waited = self.0.has_room.wait_timeout(inside, left);
            inside = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Puts a piece in, once there is room for it. Waits without blocking.
    pub(crate) async fn put(&self, piece: Bytes, deadline: Deadline) -> Result<(), NotTaken> {
        let mut piece = Some(piece);
        let put = poll_fn(|context| {
            let mut inside = self.0.lock();
            if inside.is_unread || inside.is_closed {
                return Poll::Ready(Err(NotTaken::Unread));
            }
            if inside.pieces.len() >= MOST_PIECES {
                inside.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            inside.pieces.extend(piece.take());
            inside.wake();
            Poll::Ready(Ok(()))
        });
        let put = tokio::time::timeout_at(deadline.instant(), put).await;
        put.unwrap_or(Err(NotTaken::Late))
    }

    /// Ends what was put in.
    pub(crate) fn end(self, end: E) {
        self.0.lock().close(Some(end));
    }

    /// Ends it here: pieces that were not read yet are dropped.
    pub(crate) fn break_off(self, end: E) {
        self.0.lock().break_off(end);
    }
}

impl<E> Tap<E> {
    /// Breaks off what has not ended.
    pub(crate) fn break_off(&self, end: E) {
        self.0.lock().break_off(end);
    }
}

impl<E> Outlet<E> {
    pub(crate) fn poll_next(&self, context: &Context<'_>) -> Poll<Next<E>> {
        let mut inside = self.0.lock();
        if let Some(piece) = inside.pieces.pop_front() {
            self.0.has_room.notify_one();
            inside.wake_writer();
            return Poll::Ready(Next::Piece(piece));
        }
        if inside.is_closed {
            return Poll::Ready(inside.end.take().map_or(Next::Lost, Next::End));
        }
        inside.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<E> Inside<E> {
    fn close(&mut self, end: Option<E>) {
        if !self.is_closed {
            self.is_closed = true;
            self.end = end;
            self.wake();
            self.wake_writer();
        }
    }

    fn break_off(&mut self, end: E) {
        if !self.is_closed {
            self.pieces.clear();
        }
        self.close(Some(end));
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<E> Pipe<E> {
    fn lock(&self) -> MutexGuard<'_, Inside<E>> {
        self.inside.lock()
    }
}

impl<E> Drop for Inlet<E> {
    fn drop(&mut self) {
        self.0.lock().close(None);
    }
}

impl<E> Drop for Outlet<E> {
    fn drop(&mut self) {
        let mut inside = self.0.lock();
        inside.is_unread = true;
        inside.pieces.clear();
        inside.wake_writer();
        self.0.has_room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn next<E>(outlet: &Outlet<E>) -> Next<E> {
        poll_fn(|context| outlet.poll_next(context)).await
    }

    fn piece(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn at_once() -> Deadline {
        Deadline::after(Duration::ZERO)
    }

    fn much_later() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    #[tokio::test]
    async fn pieces_come_out_in_order_and_then_the_end() {
        let (inlet, outlet, _tap) = pipe();
        let writes = std::thread::spawn(move || {
            for text in ["a", "b", "c", "d", "e", "f", "g"] {
                inlet.push(piece(text), much_later()).unwrap();
            }
            inlet.end("end");
        });
        for text in ["a", "b", "c", "d", "e", "f", "g"] {
            assert_eq!(next(&outlet).await, Next::Piece(piece(text)));
        }
        assert_eq!(next(&outlet).await, Next::End("end"));
        writes.join().unwrap();
    }

    #[tokio::test]
    async fn a_full_pipe_is_waited_for_until_the_deadline_and_holds_nothing_once_broken_off() {
        let (inlet, outlet, _tap) = pipe();
        while inlet.push(piece("x"), at_once()).is_ok() {}
        assert_eq!(inlet.push(piece("x"), at_once()), Err(NotTaken::Late));
        inlet.break_off("late");
        assert_eq!(next(&outlet).await, Next::End("late"));
    }

    #[tokio::test]
    async fn a_writing_end_that_waits_without_blocking_goes_on_when_there_is_room() {
        let (inlet, outlet, tap) = pipe::<&str>();
        for _ in 0..MOST_PIECES {
            inlet.put(piece("x"), at_once()).await.unwrap();
        }
        assert_eq!(inlet.put(piece("y"), at_once()).await, Err(NotTaken::Late));
        let (put, read) = tokio::join!(inlet.put(piece("y"), much_later()), next(&outlet));
        assert_eq!((put, read), (Ok(()), Next::Piece(piece("x"))));
        let stop = async { tap.break_off("tap") };
        let (put, ()) = tokio::join!(inlet.put(piece("z"), much_later()), stop);
        assert_eq!(put, Err(NotTaken::Unread));
        assert_eq!(next(&outlet).await, Next::End("tap"));
    }

    #[tokio::test]
    async fn whoever_writes_is_told_that_nobody_reads() {
        let (inlet, outlet, _tap) = pipe::<()>();
        while inlet.push(piece("x"), at_once()).is_ok() {}
        let waits = std::thread::spawn(move || inlet.push(piece("x"), much_later()));
        drop(outlet);
        assert_eq!(waits.join().unwrap(), Err(NotTaken::Unread));
    }

    #[tokio::test]
    async fn whoever_reads_is_told_that_nobody_writes() {
        let (inlet, outlet, _tap) = pipe::<()>();
        inlet.push(piece("x"), at_once()).unwrap();
        drop(inlet);
        assert_eq!(next(&outlet).await, Next::Piece(piece("x")));
        assert_eq!(next(&outlet).await, Next::Lost);
    }

    #[tokio::test]
    async fn a_tap_breaks_off_what_has_not_ended() {
        let (inlet, outlet, tap) = pipe();
        inlet.push(piece("x"), at_once()).unwrap();
        tap.break_off("tap");
        assert_eq!(inlet.push(piece("x"), at_once()), Err(NotTaken::Unread));
        inlet.end("too late");
        assert_eq!(next(&outlet).await, Next::End("tap"));

        let (inlet, outlet, tap) = pipe();
        inlet.push(piece("x"), at_once()).unwrap();
        inlet.end("end");
        tap.break_off("too late");
        assert_eq!(next(&outlet).await, Next::Piece(piece("x")));
        assert_eq!(next(&outlet).await, Next::End("end"));
    }
}
