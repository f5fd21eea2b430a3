//! Events, and what is asked of them: search, SQL, earlier states, undo, streams.
mod audit_sql;
mod causes;
mod control;
mod filters;
mod plans;
mod routes;
mod signed_checkpoints;
mod time_travel;
mod undo;
mod watching;
