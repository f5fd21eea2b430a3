//! What a worker is to serve.
use crate::config::FenceMode;
use crate::domain::ids::DatabaseId;
use std::path::PathBuf;

/// What is served, and within which bounds.
#[derive(Debug, Clone)]
pub struct ServeOrder {
    /// The database's folder, as this process sees it.
    pub folder: PathBuf,
    /// Which database lies there.
    pub database: DatabaseId,
    /// Bytes of memory that the worker has.
    pub memory_bytes: u64,
    /// Bytes of temporary files of its statements.
    pub temp_bytes: u64,
    /// What happens where the kernel lacks a part of the fence.
    pub fence: FenceMode,
}
