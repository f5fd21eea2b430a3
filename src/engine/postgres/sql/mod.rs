//! SQL on PostgreSQL: which connection runs it, how its values are written, what its errors mean.
mod answer;
mod error;
mod executor;
mod migration;
mod pool;
mod schema;
mod session;
mod stream;
mod tables;
mod text;
mod transaction;
mod values;
mod work;

pub use executor::{PostgresExecutor, SOCKET_FOLDER, SecretsSource};
