//! Functions and tables that SQLite does not have, or not so that a deadline stops them.
mod generate_series;
mod like;
mod objects;
mod percentile;
mod pragma_tables;
mod regexp;

use crate::engine::sqlite::sandbox::execution_limits::InterruptHandle;
use rusqlite::{Connection, Result};
use std::sync::Arc;

/// Puts them beside SQLite's own.
pub(crate) fn add_to(connection: &Connection, interrupts: &Arc<InterruptHandle>) -> Result<()> {
    pragma_tables::add_to(connection)?;
    generate_series::add_to(connection)?;
    like::add_to(connection, interrupts)?;
    objects::add_to(connection)?;
    percentile::add_to(connection)?;
    regexp::add_to(connection, interrupts)
}
