//! Changes of a database's schema.
mod migration;
mod table;

pub use migration::{
    AppliedMigration, MIGRATIONS_TABLE, MigrateError, Migrated, NewMigration, Violation,
    compare_migration_names, part_to_apply,
};
pub use table::{
    Alteration, CheckDefinition, ColumnChange, ColumnDefinition, ForeignKeyDefinition,
    IndexDefinition, IndexPart, IndexedThing, TableChange, TableChanged, TableCommand,
    TableDefinition, TableError,
};
