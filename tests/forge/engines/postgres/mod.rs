//! PostgreSQL: its databases' files and its servers.
mod files;
