//! Commands that ask a running gateway.
pub(super) mod connection;
pub(super) mod data;
pub(super) mod databases;
pub(super) mod drift;
pub(super) mod health;
pub(super) mod history;
pub(super) mod jobs;
pub(super) mod plans;
pub(super) mod schedules;
pub(super) mod sql;
pub(super) mod tokens;
pub(super) mod verbs;
pub(super) mod webhooks;
