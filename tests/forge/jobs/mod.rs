//! Jobs, and what begins them: requests, schedules, webhooks.
mod compensation;
mod fairness;
mod invariants;
mod routes;
mod schedules;
mod states;
pub(crate) mod stories;
mod webhooks;
