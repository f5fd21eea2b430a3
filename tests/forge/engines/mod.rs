//! Engines: what each of them keeps, and one that lives in its workers.
mod contract;
pub(crate) mod fake;
pub(crate) mod fake_worker;
mod served;
