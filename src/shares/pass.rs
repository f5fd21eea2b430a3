//! The resources that a request holds.
use super::account::{Account, Holder, Kind};
use super::room::{Refused, Rooms};
use futures_util::task::AtomicWaker;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

tokio::task_local! {
    static PASS: Pass;
}

/// The resources of one request. Clones share them.
#[derive(Debug, Clone)]
pub struct Pass(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    rooms: Arc<Rooms>,
    account: Arc<Account>,
    /// The place that it holds: a [`Kind`], or [`NONE`].
    place: AtomicU8,
    cut: OnceLock<Cut>,
    /// The task that waits to be told.
    waits: AtomicWaker,
}

/// Why a request is aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It had to wait, but the waiting room is full.
    NoRoom(Refused),
    /// Its token is no longer accepted.
    TokenEnded,
}

const NONE: u8 = u8::MAX;

impl Pass {
    /// A pass without a place yet.
    #[must_use]
    pub fn new(rooms: &Arc<Rooms>, account: Arc<Account>) -> Self {
        Self(Arc::new(Inside {
            rooms: Arc::clone(rooms),
            account,
            place: AtomicU8::new(NONE),
            cut: OnceLock::new(),
            waits: AtomicWaker::new(),
        }))
    }

    /// The pass of the current request.
    #[must_use]
    pub fn here() -> Option<Self> {
        PASS.try_with(Self::clone).ok()
    }

    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.0.account
    }

    /// The rooms of the gateway.
    #[must_use]
    pub fn rooms(&self) -> &Arc<Rooms> {
        &self.0.rooms
    }

    /// Counts the request as being processed.
    ///
    /// # Errors
    /// When the caller has no place left; the request holds none then.
    pub fn begin_to_work(&self) -> Result<(), Refused> {
        self.go_to(Kind::Working)
    }

    /// Releases the place. Called when the answer is complete.
    pub fn leave(&self) {
        self.give_back(self.0.place.swap(NONE, Ordering::Relaxed));
    }

    /// Whether its token is no longer accepted.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.account.ended().is_cancelled()
    }

    /// Whether the request has had to wait.
    #[must_use]
    pub fn has_waited(&self) -> bool {
        self.0.place.load(Ordering::Relaxed) == Kind::Waiting as u8
    }

    /// Waits until the request is aborted, and says why. For one task alone.
    pub async fn cut(&self) -> Cut {
        poll_fn(|context| {
            self.0.waits.register(context.waker());
            match self.0.cut.get() {
                Some(cut) => Poll::Ready(*cut),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Exchanges its place for one of another kind.
    fn go_to(&self, kind: Kind) -> Result<(), Refused> {
        let place = kind as u8;
        let before = self.0.place.swap(place, Ordering::Relaxed);
        if before == place {
            return Ok(());
        }
        self.give_back(before);
        let Inside { rooms, account, .. } = &*self.0;
        rooms.take(kind, account, 1).inspect_err(|_| {
            self.0.place.store(NONE, Ordering::Relaxed);
        })
    }

    fn give_back(&self, place: u8) {
        let Inside { rooms, account, .. } = &*self.0;
        if let Some(kind) = Kind::ALL.into_iter().find(|it| *it as u8 == place) {
            rooms.give_back(kind, account, 1);
        }
    }

    /// Aborts the request. Its work is dropped while it waits here.
    async fn give_up<T>(&self, cut: Cut) -> T {
        let _ = self.0.cut.set(cut);
        self.0.waits.wake();
        std::future::pending().await
    }
}

/// An additional place of a request. Dropping it releases the place.
#[derive(Debug)]
pub struct Place {
    pass: Pass,
    kind: Kind,
}

impl Place {
    /// Takes a place for the holder of a pass.
    ///
    /// # Errors
    /// When the caller has no place left.
    pub fn take(pass: &Pass, kind: Kind) -> Result<Self, Refused> {
        pass.rooms().take(kind, pass.account(), 1)?;
        Ok(Self {
            pass: pass.clone(),
            kind,
        })
    }

    /// The pass that it was taken for.
    #[must_use]
    pub fn pass(&self) -> &Pass {
        &self.pass
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let rooms = self.pass.rooms();
        rooms.give_back(self.kind, self.pass.account(), 1);
    }
}

/// Runs `work` as part of the request of `pass`.
pub async fn scoped<T>(pass: Pass, work: impl Future<Output = T>) -> T {
    PASS.scope(pass, work).await
}

/// Wraps work for another tokio runtime, so that it stays part of the current request.
pub fn with_pass_of_here<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    let pass = Pass::here();
    async move {
        match pass {
            Some(pass) => scoped(pass, work).await,
            None => work.await,
        }
    }
}

/// Runs work on a thread as part of the request of `pass`.
pub fn on_thread<T>(pass: Option<Pass>, work: impl FnOnce() -> T) -> T {
    match pass {
        Some(pass) => PASS.sync_scope(pass, work),
        None => work(),
    }
}

/// The caller of the current request; the gateway itself outside of one.
#[must_use]
pub fn holder() -> Holder {
    PASS.try_with(|pass| pass.0.account.holder())
        .unwrap_or(Holder::Internal)
}

/// Whether the token of the current request is no longer accepted.
#[must_use]
pub fn has_ended() -> bool {
    PASS.try_with(Pass::has_ended).unwrap_or(false)
}

/// Waits for a thread that does the request's own work. The request keeps its place, and is aborted
/// when its token is no longer accepted.
pub async fn running<T>(work: impl Future<Output = T>) -> T {
    let Some(pass) = Pass::here() else {
        return work.await;
    };
    tokio::select! {
        biased;
        done = work => done,
        () = pass.0.account.ended().cancelled() => pass.give_up(Cut::TokenEnded).await,
    }
}

/// Waits for something outside of the request.
///
/// From then on the request counts as waiting until its answer is complete. It is aborted if there
/// is no place among the waiting ones, and when its token is no longer accepted. Work that is ready
/// at once does not count as waiting.
pub async fn waiting<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Some(done) = at_once(work.as_mut()).await {
        return done;
    }
    let Some(pass) = Pass::here() else {
        return work.await;
    };
    if let Err(refused) = pass.go_to(Kind::Waiting) {
        return pass.give_up(Cut::NoRoom(refused)).await;
    }
    match unless(work, pass.0.account.ended().cancelled()).await {
        Some(done) => done,
        None => pass.give_up(Cut::TokenEnded).await,
    }
}

/// What the work gives without waiting.
pub async fn at_once<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What the work gives that was not ready [`at_once`]; `None` if it is cut before. The work, which
/// may lie deep in others of its kind, is not polled again before it has moved.
pub async fn unless<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
    cut: impl Future<Output = ()>,
) -> Option<T> {
    let mut cut = pin!(cut);
    let mut was_polled = true;
    poll_fn(|context| {
        if !std::mem::take(&mut was_polled)
            && let Poll::Ready(done) = work.as_mut().poll(context)
        {
            return Poll::Ready(Some(done));
        }
        cut.as_mut().poll(context).map(|()| None)
    })
    .await
}
