//! The Docker runtime keeps the contract of all runtimes.
crate::support::runtime_contract::runtime_contract!(crate::support::DockerForge);
