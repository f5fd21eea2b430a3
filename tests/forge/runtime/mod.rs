//! What runs workers.
mod contract;
mod exec;
mod faults;
mod passable;
mod process;
