//! What a child is asked to do.
use crate::engine::exporting::ExportOrder;
use crate::engine::loading::LoadOrder;
use crate::engine::sql::ValueOrder;
use serde::{Deserialize, Serialize};

/// An operation on files that others made, or that takes long.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Take a step from a database to a file.
    Export {
        /// Whose kind of database it is.
        engine: String,
        /// The step.
        order: ExportOrder,
    },
    /// Make a database of a file.
    Load {
        /// Whose kind of database it is.
        engine: String,
        order: LoadOrder,
    },
    /// Give a value of a database the bytes of a file.
    WriteValue {
        /// Whose kind of database it is.
        engine: String,
        order: ValueOrder,
    },
}
