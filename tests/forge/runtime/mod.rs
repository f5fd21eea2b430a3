//! What runs workers.
mod contract;
mod faults;
