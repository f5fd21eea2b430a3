//! The event log on disk: its contract, damage, healing, archive, import.
mod archive;
mod archive_command;
mod contract;
mod crash;
mod damage;
mod damaged_forge;
mod damaged_log;
mod healing;
mod import;
mod long_reads;
