//! Open databases: their connections, how many there may be, and which databases are unavailable.
pub(crate) mod circuit_breaker;
pub(crate) mod connections;
pub(crate) mod handle;
pub(crate) mod open_database;
pub(crate) mod open_databases;
