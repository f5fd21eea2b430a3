//! Transactions of several requests: which are open, whose they are, how each one ended.
use crate::clock::timestamp::Timestamp;
use crate::domain::ids::{DatabaseId, TokenId};
use crate::engine::sql::{TransactionEnd, TransactionError, TransactionKey};
use crate::engine::sqlite::transactions::transaction::Transaction;
use crate::shares::{self, ALONE, Holder};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;

/// Every open transaction.
#[derive(Debug)]
pub(crate) struct Transactions {
    most: usize,
    most_per_database: usize,
    inside: Mutex<Inside>,
    /// Told when one begins.
    pub(crate) begun: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    open: HashMap<String, Arc<Transaction>>,
    /// Those that ended last, so that whoever asks is told why.
    ended: VecDeque<(Arc<Transaction>, TransactionEnd)>,
    /// How many each database has, those that wait for their turn included.
    taken: HashMap<DatabaseId, usize>,
    /// How many each caller has.
    of_callers: HashMap<Holder, usize>,
    /// Databases whose files somebody waits for.
    draining: Vec<DatabaseId>,
    is_closed: bool,
    counts: HashMap<TransactionEnd, u64>,
}

/// How many ended transactions are remembered: as many as may be open, some times over.
const REMEMBERED: usize = 1_000;

/// Room for one transaction; given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    transactions: Weak<Transactions>,
    database: DatabaseId,
    caller: Holder,
}

/// While it lives, the database begins no transaction.
#[derive(Debug)]
pub(crate) struct Draining<'t> {
    transactions: &'t Transactions,
    database: DatabaseId,
}

impl Transactions {
    pub(crate) fn new(most: usize, most_per_database: usize) -> Self {
        Self {
            most,
            most_per_database,
            inside: Mutex::default(),
            begun: Notify::new(),
        }
    }

    /// Room for one more on a database.
    pub(crate) fn room(self: &Arc<Self>, database: DatabaseId) -> Result<Room, TransactionError> {
        let too_many = |most, place| Err(TransactionError::TooMany { most, place });
        let caller = shares::holder();
        let mut inside = self.lock();
        let free = self.most.saturating_sub(inside.taken.values().sum());
        if free == 0 {
            return too_many(self.most, "on this gateway");
        }
        let of_caller = inside.of_callers.get(&caller).copied().unwrap_or_default();
        if caller != Holder::House && of_caller >= ALONE * free {
            return Err(TransactionError::ShareTaken { open: of_caller });
        }
        let here = inside.taken.entry(database).or_default();
        if *here >= self.most_per_database {
            return too_many(self.most_per_database, "on this database");
        }
        *here += 1;
        *inside.of_callers.entry(caller).or_default() += 1;
        Ok(Room {
            transactions: Arc::downgrade(self),
            database,
            caller,
        })
    }

    /// Lets a transaction begin that has all it needs.
    ///
    /// # Errors
    /// When the gateway stops or somebody waits for the files. It is let go then.
    pub(crate) fn add(&self, transaction: Transaction) -> Result<(), TransactionError> {
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
        transaction.let_go();
        Err(TransactionError::Ended(refusal))
    }

    /// The open transaction that a request names.
    ///
    /// # Errors
    /// When there is none for this token, or it is over, just now included.
    pub(crate) fn find(
        &self,
        key: &TransactionKey<'_>,
        now: Timestamp,
    ) -> Result<Arc<Transaction>, TransactionError> {
        let is_it = |it: &Transaction| it.id == key.id && it.database == key.database;
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
                self.end(&transaction, end);
                Err(TransactionError::Ended(end))
            }
        }
    }

    /// Ends a transaction; one that has ended already stays as it ended. A statement of it that
    /// runs comes to its end first.
    pub(crate) fn end(&self, transaction: &Arc<Transaction>, end: TransactionEnd) {
        let forgotten = {
            let mut inside = self.lock();
            let Some(transaction) = inside.open.remove(&transaction.id) else {
                return;
            };
            *inside.counts.entry(end).or_default() += 1;
            transaction.ends_as(end);
            inside.ended.push_back((transaction, end));
            (inside.ended.len() > REMEMBERED).then(|| inside.ended.pop_front())
        };
        drop(forgotten); // not under the lock: what it may hold takes the lock when it goes
        transaction.let_go();
    }

    /// Ends those whose time is over.
    pub(crate) fn expire(&self, now: Timestamp) {
        self.end_those(|it| it.expired(now));
    }

    /// Ends those of a database, and lets none begin on it until the guard is dropped.
    pub(crate) fn drain(&self, database: DatabaseId) -> Draining<'_> {
        self.lock().draining.push(database);
        self.end_those(|it| (it.database == database).then_some(TransactionEnd::FilesTaken));
        Draining {
            transactions: self,
            database,
        }
    }

    /// Ends those that a token began. None begins under it any more: its account has ended.
    pub(crate) fn end_of_token(&self, token: TokenId) {
        self.end_those(|it| (it.owner == Some(token)).then_some(TransactionEnd::TokenEnded));
    }

    /// Ends all, and lets none begin any more.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.end_those(|_| Some(TransactionEnd::Stopping));
    }

    /// How many are open, those that wait for their turn included.
    pub(crate) fn count(&self) -> usize {
        self.lock().taken.values().sum()
    }

    /// How many have ended so.
    pub(crate) fn ended(&self, end: TransactionEnd) -> u64 {
        self.lock().counts.get(&end).copied().unwrap_or_default()
    }

    fn end_those(&self, which: impl Fn(&Transaction) -> Option<TransactionEnd>) {
        let those: Vec<_> = {
            let inside = self.lock();
            let ends = |it: &Arc<Transaction>| Some((Arc::clone(it), which(it)?));
            inside.open.values().filter_map(ends).collect()
        };
        for (transaction, end) in those {
            self.end(&transaction, end);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
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
