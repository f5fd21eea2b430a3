//! Transactions of several requests: which are open, whose they are, how each one ended.
use super::open_transaction::OpenTransaction;
use crate::clock::timestamp::Timestamp;
use crate::domain::ids::{DatabaseId, TokenId};
use crate::engine::sql::{TransactionEnd, TransactionError, TransactionKey, TransactionPlace};
use crate::locks::Mutex;
use crate::shares::{self, ALONE, Holder};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, MutexGuard, Weak};
use tokio::sync::Notify;

/// Every open transaction.
#[derive(Debug)]
pub(super) struct Transactions {
    most: usize,
    most_per_database: usize,
    inside: Mutex<Inside>,
    /// Told when one begins.
    pub(super) begun: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    open: HashMap<String, Arc<OpenTransaction>>,
    /// Those that ended last, so that later requests are told why.
    ended: VecDeque<(Arc<OpenTransaction>, TransactionEnd)>,
    /// How many each database has, those that wait for their turn included.
    taken: HashMap<DatabaseId, usize>,
    /// How many each caller has.
    of_callers: HashMap<Holder, usize>,
    /// Databases whose files a step waits for.
    draining: Vec<DatabaseId>,
    is_closed: bool,
    counts: HashMap<TransactionEnd, u64>,
}

/// How many ended transactions are remembered: as many as may be open, some times over.
const REMEMBERED: usize = 1_000;

/// The place of one transaction; given back when dropped.
#[derive(Debug)]
struct Place {
    transactions: Weak<Transactions>,
    id: String,
    database: DatabaseId,
    caller: Holder,
}

/// While it lives, the database begins no transaction.
#[derive(Debug)]
pub(super) struct Draining<'t> {
    transactions: &'t Transactions,
    database: DatabaseId,
}

impl Transactions {
    pub(super) fn new(most: usize, most_per_database: usize) -> Self {
        Self {
            most,
            most_per_database,
            inside: Mutex::default(),
            begun: Notify::new(),
        }
    }

    /// A place for one more on a database, which will have this id.
    pub(super) fn place(
        self: &Arc<Self>,
        database: DatabaseId,
        id: String,
    ) -> Result<Arc<dyn TransactionPlace>, TransactionError> {
        let too_many = |most, place| Err(TransactionError::TooMany { most, place });
        let caller = shares::holder();
        let mut inside = self.lock();
        let free = self.most.saturating_sub(inside.taken.values().sum());
        if free == 0 {
            return too_many(self.most, "on this gateway");
        }
        let of_caller = inside.of_callers.get(&caller).copied().unwrap_or_default();
        if caller != Holder::Internal && of_caller >= ALONE * free {
            return Err(TransactionError::ShareTaken { open: of_caller });
        }
        let here = inside.taken.entry(database).or_default();
        if *here >= self.most_per_database {
            return too_many(self.most_per_database, "on this database");
        }
        *here += 1;
        *inside.of_callers.entry(caller).or_default() += 1;
        Ok(Arc::new(Place {
            transactions: Arc::downgrade(self),
            id,
            database,
            caller,
        }))
    }

    /// Lets a transaction begin that has all it needs.
    ///
    /// # Errors
    /// When the gateway stops or a step waits for the files. It is let go then.
    pub(super) fn add(&self, transaction: OpenTransaction) -> Result<(), TransactionError> {
        let transaction = Arc::new(transaction);
        let mut inside = self.lock();
        let refusal = if inside.is_closed {
            TransactionEnd::Stopping
        } else if shares::has_ended() {
            TransactionEnd::TokenEnded
        } else if inside.draining.contains(&transaction.database) {
            TransactionEnd::FilesTaken
        } else {
            inside.open.insert(transaction.id.clone(), transaction);
            drop(inside);
            self.begun.notify_one();
            return Ok(());
        };
        drop(inside);
        transaction.session.discard();
        Err(TransactionError::Ended(refusal))
    }

    /// The open transaction that a request names.
    ///
    /// # Errors
    /// When there is none for this token, or it is over, just now included.
    pub(super) fn find(
        &self,
        key: &TransactionKey<'_>,
        now: Timestamp,
    ) -> Result<Arc<OpenTransaction>, TransactionError> {
        let is_it = |it: &OpenTransaction| it.id == key.id && it.database == key.database;
        let found = {
            let inside = self.lock();
            let ended = || inside.ended.iter().find(|(it, _)| is_it(it));
            match inside.open.get(key.id).filter(|it| is_it(it)) {
                Some(open) => Some((Arc::clone(open), open.expired(now))),
                None => ended().map(|(it, end)| (Arc::clone(it), Some(*end))),
            }
        };
        let (transaction, end) = found.ok_or(TransactionError::NotFound)?;
        if transaction.owner != key.owner {
            return Err(TransactionError::NotFound);
        }
        match end {
            None => Ok(transaction),
            Some(end) => {
                self.end(&transaction.id, end);
                Err(TransactionError::Ended(end))
            }
        }
    }

    /// Ends a transaction; one that has ended already stays as it ended. A statement of it that
    /// runs comes to its end first.
    fn end(&self, id: &str, end: TransactionEnd) {
        let (transaction, forgotten) = {
            let mut inside = self.lock();
            let Some(transaction) = inside.open.remove(id) else {
                return;
            };
            *inside.counts.entry(end).or_default() += 1;
            inside.ended.push_back((Arc::clone(&transaction), end));
            let is_full = inside.ended.len() > REMEMBERED;
            (transaction, is_full.then(|| inside.ended.pop_front()))
        };
        drop(forgotten); // not under the lock: what it may hold takes the lock when it goes
        transaction.session.end(end);
    }

    /// Ends those whose time is over.
    pub(super) fn expire(&self, now: Timestamp) {
        self.end_those(|it| it.expired(now));
    }

    /// Ends those of a database, and lets none begin on it until the guard is dropped.
    pub(super) fn drain(&self, database: DatabaseId) -> Draining<'_> {
        self.lock().draining.push(database);
        self.end_those(|it| (it.database == database).then_some(TransactionEnd::FilesTaken));
        Draining {
            transactions: self,
            database,
        }
    }

    /// Ends those that a token began. None begins under it any more: its account has ended.
    pub(super) fn end_of_token(&self, token: TokenId) {
        self.end_those(|it| (it.owner == Some(token)).then_some(TransactionEnd::TokenEnded));
    }

    /// Ends all, and lets none begin any more.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.end_those(|_| Some(TransactionEnd::Stopping));
    }

    /// How many are open, those that wait for their turn included.
    pub(super) fn count(&self) -> usize {
        self.lock().taken.values().sum()
    }

    /// How many have ended so.
    pub(super) fn ended(&self, end: TransactionEnd) -> u64 {
        self.lock().counts.get(&end).copied().unwrap_or_default()
    }

    fn end_those(&self, which: impl Fn(&OpenTransaction) -> Option<TransactionEnd>) {
        let those: Vec<_> = {
            let inside = self.lock();
            let ends = |it: &Arc<OpenTransaction>| Some((Arc::clone(it), which(it)?));
            inside.open.values().filter_map(ends).collect()
        };
        for (transaction, end) in those {
            self.end(&transaction.id, end);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }
}

impl TransactionPlace for Place {
    fn end(&self, end: TransactionEnd) {
        if let Some(transactions) = self.transactions.upgrade() {
            transactions.end(&self.id, end);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(transactions) = self.transactions.upgrade() else {
            return;
        };
        let mut inside = transactions.lock();
        give_one_back(&mut inside.taken, self.database);
        give_one_back(&mut inside.of_callers, self.caller);
    }
}

fn give_one_back<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        let draining = &mut self.transactions.lock().draining;
        if let Some(at) = draining.iter().position(|it| *it == self.database) {
            draining.swap_remove(at);
        }
    }
}
