//! The files of a database: a cluster of its own in its folder.
//!
//! ```text
//! <folder>/pgdata/    the cluster, a copy of the template
//! <folder>/run/       the server's socket, for its user alone
//! <folder>/lock       held by the server for as long as it runs
//! <folder>/origin     what the cluster was copied from
//! ```
mod cluster;
mod control_file;
mod copying;
mod template;

pub use cluster::socket;
pub(super) use cluster::{
    CLUSTER, LEFTOVERS, create, data_file, has_cluster, is_empty, probe, require_closed, size_bytes,
};
pub(super) use template::{Making, Templates};
