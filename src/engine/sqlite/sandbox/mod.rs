//! What SQL of clients may do, how long it may take, and how much memory and disk it may have.
pub(crate) mod allow_list;
pub(crate) mod audit_role;
pub(crate) mod authorizer;
pub(crate) mod bounded_program;
pub(crate) mod c_calls;
pub(crate) mod created;
pub(crate) mod execution_limits;
pub(crate) mod fts5_tables;
pub(crate) mod memory;
pub(crate) mod pragmas;
pub(crate) mod role;
pub(crate) mod vfs;
pub(crate) mod watch;
