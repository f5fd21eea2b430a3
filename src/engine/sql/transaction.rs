//! Transactions of several requests: what is wanted of one, how it ended, why it has no answer.
use super::error::known_text::{self, KnownText};
use super::error::{BatchError, QueryError};
use super::query::Access;
use crate::clock::timestamp::Timestamp;
use crate::domain::ids::{DatabaseId, TokenId};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::time::Duration;

/// What a transaction holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TransactionMode {
    /// The writer, from its start: other writes wait.
    #[default]
    Immediate,
    /// What was there at its first read; the writer from its first write on, if nothing was
    /// committed in between.
    Deferred,
    /// A snapshot from its beginning. It blocks no writer.
    ReadOnly,
}

/// A transaction that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct NewTransaction {
    /// What it holds.
    pub mode: TransactionMode,
    /// The token that may speak in it; `None` for root.
    pub owner: Option<TokenId>,
    /// What that token may do.
    pub access: Access,
    /// How long it waits for its turn to write; `None` for the default.
    pub wait: Option<Duration>,
    /// How long it may wait for its next request; `None` for the longest.
    pub idle: Option<Duration>,
    /// How long it may last in all; `None` for the longest.
    pub total: Option<Duration>,
}

/// A transaction that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunTransaction {
    /// Its id, which cannot be guessed.
    pub id: String,
    /// When it is rolled back unless another request comes; each one moves it on.
    pub expires_at: Timestamp,
    /// When it is rolled back at the latest.
    pub ends_at: Timestamp,
}

/// How a request names a transaction. All of it has to fit.
#[derive(Debug, Clone, Copy)]
pub struct TransactionKey<'k> {
    /// Its id.
    pub id: &'k str,
    /// The database that it is on.
    pub database: DatabaseId,
    /// The token that asks; `None` for root.
    pub owner: Option<TokenId>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
pub enum TransactionEnd {
    /// It was kept.
    #[error("it was committed")]
    Committed,
    /// Its client took it back.
    #[error("it was rolled back")]
    RolledBack,
    /// No request came in time.
    #[error("it was rolled back after its idle timeout")]
    Idle,
    /// It lasted too long.
    #[error("it was rolled back after its time limit")]
    OutOfTime,
    /// A statement failed in a way that ends transactions, or its client went away meanwhile.
    #[error("it was rolled back together with a statement that failed or was interrupted")]
    Broken,
    /// A job needed the database's files.
    #[error("it was rolled back because a job needed the database's files")]
    FilesTaken,
    /// Others have written too much since the moment that it reads.
    #[error("it was rolled back because too much was written since its snapshot")]
    TooOld,
    /// The gateway stops.
    #[error("it was rolled back because the gateway is shutting down")]
    Stopping,
    /// Its token was revoked or expired.
    #[error("it was rolled back because its token was revoked or has expired")]
    TokenEnded,
}

impl TransactionEnd {
    /// Every end, with the word that metrics have for it.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Committed, "committed"),
        (Self::RolledBack, "rolled_back"),
        (Self::Idle, "idle"),
        (Self::OutOfTime, "out_of_time"),
        (Self::Broken, "broken"),
        (Self::FilesTaken, "files_taken"),
        (Self::TooOld, "too_old"),
        (Self::Stopping, "stopping"),
        (Self::TokenEnded, "token_ended"),
    ];
}

/// Why a request of a transaction has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TransactionError {
    /// There is none of that id on that database for that token.
    #[error("there is no such transaction")]
    NotFound,
    /// It is over.
    #[error("the transaction is over: {0}")]
    Ended(TransactionEnd),
    /// As many are open as may be.
    #[error("transaction limit reached ({most}) {place}")]
    TooMany {
        /// How many.
        most: usize,
        /// Where.
        #[serde(with = "known_text")]
        place: KnownText,
    },
    /// Its token has its share of those that may be open.
    #[error("this token has {open} open transactions, which is its share of the limit")]
    ShareTaken {
        /// How many.
        open: usize,
    },
    /// It has read what others have changed since, and cannot write on top of it.
    #[error("others have changed the database since this transaction read it")]
    Outdated,
    /// The statement failed; the transaction goes on without it.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The statement failed, and the transaction was rolled back with it.
    #[error("{0}")]
    RolledBack(QueryError),
}

/// Why a request of several statements in a transaction has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{error}")]
pub struct TransactionBatchError {
    /// Which statement failed, from 0; `None` when no statement is to blame.
    pub statement: Option<usize>,
    /// How many statements before it are kept in the transaction.
    pub kept: usize,
    /// Why.
    pub error: TransactionError,
}

impl From<TransactionError> for TransactionBatchError {
    fn from(error: TransactionError) -> Self {
        Self {
            statement: None,
            kept: 0,
            error,
        }
    }
}

impl From<QueryError> for TransactionBatchError {
    fn from(error: QueryError) -> Self {
        TransactionError::from(error).into()
    }
}

impl From<BatchError> for TransactionBatchError {
    fn from(failure: BatchError) -> Self {
        Self {
            statement: Some(failure.statement),
            kept: 0,
            error: failure.error.into(),
        }
    }
}

/// The place of an open transaction among all of them; given back when it is dropped.
pub trait TransactionPlace: Debug + Send + Sync {
    /// The transaction is over.
    fn end(&self, end: TransactionEnd);
}
