//! Changes of a database's schema.
mod migration;

pub use migration::{
    AppliedMigration, MIGRATIONS_TABLE, MigrateError, Migrated, NewMigration, Violation,
    compare_migration_names,
};
