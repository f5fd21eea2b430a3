//! What each caller uses.
use crate::domain::ids::TokenId;
use crate::locks::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The owner of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Holder {
    /// The gateway itself.
    Internal,
    /// The root token.
    Root,
    /// A token.
    Token(TokenId),
    /// An address that sends requests without a token.
    Address(IpAddr),
}

/// A resource that callers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// Requests that are being processed.
    Working,
    /// Requests that wait.
    Waiting,
    /// Event streams.
    Streams,
    /// Bytes of requests and answers that are in memory.
    Bytes,
    /// Requests through trusted proxies, counted for the forwarded client address.
    Forwarded,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Working,
        Self::Waiting,
        Self::Streams,
        Self::Bytes,
        Self::Forwarded,
    ];

    /// What metrics call them, in the same order.
    pub const WORDS: [&str; Self::ALL.len()] = [
        "working",
        "waiting",
        "event_streams",
        "buffered_bytes",
        "forwarded",
    ];
}

/// What one holder uses.
#[derive(Debug)]
pub struct Account {
    holder: Holder,
    has: [AtomicUsize; Kind::ALL.len()],
    /// Cancelled when the token is revoked or expires, which ends its open requests.
    ended: CancellationToken,
}

impl Holder {
    /// The holder for an address. An IPv4-mapped IPv6 address counts as IPv4, and an IPv6 /64
    /// network is one holder, because each machine in it can use any number of addresses.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(it) => {
                let network = it.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

impl Account {
    fn new(holder: Holder) -> Arc<Self> {
        Arc::new(Self {
            holder,
            has: Default::default(),
            ended: CancellationToken::new(),
        })
    }

    #[must_use]
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// How many units it uses.
    #[must_use]
    pub fn has(&self, kind: Kind) -> usize {
        self.counter(kind).load(Ordering::Relaxed)
    }

    /// Cancelled when its token is no longer accepted.
    #[must_use]
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    pub(super) fn counter(&self, kind: Kind) -> &AtomicUsize {
        &self.has[kind as usize]
    }
}

/// The accounts of callers with open requests.
#[derive(Debug)]
pub struct Accounts {
    root: RwLock<Arc<Account>>,
    tokens: RwLock<HashMap<TokenId, Arc<Account>>>,
    addresses: Mutex<Addresses>,
    /// Notified when a token gets its first open request.
    pub opened: Notify,
}

#[derive(Debug, Default)]
struct Addresses {
    by_address: HashMap<IpAddr, Arc<Account>>,
    /// At this many accounts, idle ones are dropped.
    sweep_at: usize,
}

/// Below this many addresses, idle accounts are not dropped.
const FEW: usize = 1024;

impl Default for Accounts {
    fn default() -> Self {
        Self {
            root: RwLock::new(Account::new(Holder::Root)),
            tokens: RwLock::default(),
            addresses: Mutex::default(),
            opened: Notify::new(),
        }
    }
}

impl Accounts {
    /// The account of a holder.
    #[must_use]
    pub fn of(&self, holder: Holder) -> Arc<Account> {
        match holder {
            Holder::Root | Holder::Internal => Arc::clone(&self.root.read()),
            Holder::Token(id) => self.of_token(id),
            Holder::Address(address) => self.of_address(address),
        }
    }

    fn of_token(&self, id: TokenId) -> Arc<Account> {
        let known = {
            let tokens = self.tokens.read();
            tokens.get(&id).map(Arc::clone)
        };
        known.unwrap_or_else(|| {
            let mut tokens = self.tokens.write();
            let account = tokens.entry(id);
            let account = account.or_insert_with(|| Account::new(Holder::Token(id)));
            self.opened.notify_one();
            Arc::clone(account)
        })
    }

    fn of_address(&self, address: IpAddr) -> Arc<Account> {
        let mut addresses = self.addresses();
        if let Some(known) = addresses.by_address.get(&address) {
            return Arc::clone(known);
        }
        if addresses.by_address.len() >= addresses.sweep_at.max(FEW) {
            addresses
                .by_address
                .retain(|_, account| Arc::strong_count(account) > 1);
            addresses.sweep_at = 2 * addresses.by_address.len();
        }
        let account = Account::new(Holder::Address(address));
        addresses.by_address.insert(address, Arc::clone(&account));
        account
    }

    /// Tokens with open requests. Drops the accounts of all other tokens.
    #[must_use]
    pub fn open_tokens(&self) -> Vec<TokenId> {
        let mut tokens = self.tokens.write();
        tokens.retain(|_, account| Arc::strong_count(account) > 1);
        tokens.keys().copied().collect()
    }

    /// Ends the open requests of a token. A later request with its id gets a new account.
    pub fn end(&self, token: TokenId) {
        let mut tokens = self.tokens.write();
        let ended = tokens.remove(&token);
        drop(tokens);
        if let Some(account) = ended {
            account.ended.cancel();
        }
    }

    /// Ends the open requests of the root token. Later ones get a new account.
    pub fn end_root(&self) {
        let fresh = Account::new(Holder::Root);
        let ended = std::mem::replace(&mut *self.root.write(), fresh);
        ended.ended.cancel();
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_holder_and_ipv4_in_ipv6_is_ipv4() {
        let at = |text: &str| Holder::at(text.parse().unwrap());
        assert_eq!(at("2001:db8:1:2::7"), at("2001:db8:1:2:ffff::1"));
        assert_ne!(at("2001:db8:1:2::7"), at("2001:db8:1:3::7"));
        assert_eq!(at("::ffff:192.0.2.7"), at("192.0.2.7"));
        assert_ne!(at("192.0.2.7"), at("192.0.2.8"));
    }

    #[test]
    fn addresses_that_have_gone_are_forgotten() {
        let accounts = Accounts::default();
        let stays = accounts.of(Holder::at("192.0.2.7".parse().unwrap()));
        for address in 0..10_000_u32 {
            drop(accounts.of(Holder::at(IpAddr::V4(address.into()))));
        }
        assert!(accounts.addresses().by_address.len() <= 2 * FEW);
        let again = accounts.of(Holder::at("::ffff:192.0.2.7".parse().unwrap()));
        assert!(Arc::ptr_eq(&stays, &again));
    }
}
