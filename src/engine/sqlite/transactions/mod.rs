//! Transactions of several requests.
pub(crate) mod requests;
pub(crate) mod transaction;
