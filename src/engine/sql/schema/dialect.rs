//! Which SQL a database speaks.

/// Which SQL a database speaks, where statements are made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SqlDialect {
    /// SQLite's, with the functions that the gateway adds.
    #[default]
    Sqlite,
    /// PostgreSQL's.
    Postgres,
}
