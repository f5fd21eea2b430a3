//! Transactions of several requests.
pub(crate) mod inside;
pub(crate) mod transaction;
