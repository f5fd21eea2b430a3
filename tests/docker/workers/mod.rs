//! Workers in their containers.
mod drift;
mod hardening;
mod meddling;
mod programs;
mod runtime_contract;
mod start_times;
