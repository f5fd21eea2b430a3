//! The Docker runtime keeps the contract of all runtimes.
#[path = "../shared/runtime_contract.rs"]
pub(crate) mod contract;

contract::runtime_contract!(crate::support::DockerForge);
