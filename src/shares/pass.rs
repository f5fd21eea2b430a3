//! What a request on its way has taken.
use super::account::{Account, Holder, Kind};
use super::room::{Refused, Rooms};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use tokio::sync::Notify;

tokio::task_local! {
    static PASS: Pass;
}

/// A request's places. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Pass(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    rooms: Arc<Rooms>,
    account: Arc<Account>,
    /// Which place it has: a [`Kind`], or [`NONE`].
    place: AtomicU8,
    cut: OnceLock<Cut>,
    was_cut: Notify,
}

/// Why a request is not gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It had to wait, and there is no room to wait in.
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
            was_cut: Notify::new(),
        }))
    }

    /// The pass of the request that is worked on here.
    #[must_use]
    pub fn here() -> Option<Self> {
        PASS.try_with(Self::clone).ok()
    }

    /// Whose it is.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.0.account
    }

    /// The rooms of the gateway.
    #[must_use]
    pub fn rooms(&self) -> &Arc<Rooms> {
        &self.0.rooms
    }

    /// Takes a place among the requests that are worked on.
    ///
    /// # Errors
    /// When there is none for this caller; the request has no place then.
    pub fn begin_to_work(&self) -> Result<(), Refused> {
        self.go_to(Kind::Working)
    }

    /// Gives the place back. Called when the answer is there.
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

    /// Why the request is not gone on with, once that is so.
    pub async fn cut(&self) -> Cut {
        loop {
            let told = self.0.was_cut.notified();
            if let Some(cut) = self.0.cut.get() {
                return *cut;
            }
            told.await;
        }
    }

    /// Moves from the place that it has to another.
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

    /// Says that the request is not gone on with. Its work is dropped where it stands.
    async fn give_up<T>(&self, cut: Cut) -> T {
        let _ = self.0.cut.set(cut);
        self.0.was_cut.notify_one();
        std::future::pending().await
    }
}

/// One place of a kind, beside the one that a request has itself. Dropped, it is given back.
#[derive(Debug)]
pub struct Place {
    pass: Pass,
    kind: Kind,
}

impl Place {
    /// Takes a place for the holder of a pass.
    ///
    /// # Errors
    /// When there is none for this caller.
    pub fn take(pass: &Pass, kind: Kind) -> Result<Self, Refused> {
        pass.rooms().take(kind, pass.account(), 1)?;
        Ok(Self {
            pass: pass.clone(),
            kind,
        })
    }

    /// For whom it was taken.
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

/// Does the work of a request that has a pass.
pub async fn scoped<T>(pass: Pass, work: impl Future<Output = T>) -> T {
    PASS.scope(pass, work).await
}

/// The same for work that goes to another runtime: whose request is worked on here is known there.
pub fn with_pass_of_here<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    let pass = Pass::here();
    async move {
        match pass {
            Some(pass) => scoped(pass, work).await,
            None => work.await,
        }
    }
}

/// Does work on a thread that belongs to the request of `pass`.
pub fn on_thread<T>(pass: Option<Pass>, work: impl FnOnce() -> T) -> T {
    match pass {
        Some(pass) => PASS.sync_scope(pass, work),
        None => work(),
    }
}

/// Whose request is being worked on here.
#[must_use]
pub fn holder() -> Holder {
    PASS.try_with(|it| it.0.account.holder())
        .unwrap_or(Holder::House)
}

/// Whether the token of the request that is being worked on here is no longer accepted.
#[must_use]
pub fn has_ended() -> bool {
    PASS.try_with(Pass::has_ended).unwrap_or(false)
}

/// Waits for a thread that does the request's own work: it keeps its place, and is cut when its token
/// is no longer accepted.
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

/// Waits for something that others do.
///
/// The request works no longer then: it has a place among those that wait, until its answer is
/// there. It is cut where there is no such place, and when its token is no longer accepted. What is
/// there at once costs nothing.
pub async fn waiting<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let first = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    if let Poll::Ready(done) = first {
        return done;
    }
    let Some(pass) = Pass::here() else {
        return work.await;
    };
    if let Err(refused) = pass.go_to(Kind::Waiting) {
        return pass.give_up(Cut::NoRoom(refused)).await;
    }
    tokio::select! {
        biased;
        done = work => done,
        () = pass.0.account.ended().cancelled() => pass.give_up(Cut::TokenEnded).await,
    }
}
