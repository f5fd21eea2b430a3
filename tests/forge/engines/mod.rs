//! Engines: what each of them keeps, one that lives in its workers, and PostgreSQL.
mod contract;
pub(crate) mod fake;
pub(crate) mod fake_worker;
mod in_worker;
mod postgres;
mod served;
