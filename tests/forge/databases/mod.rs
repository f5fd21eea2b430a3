//! The life of a database: create, change, stop, delete, undelete, purge.
mod lifecycle;
mod names_in_transit;
mod nodes;
mod purge_forward;
mod routes;
