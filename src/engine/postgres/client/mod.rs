//! A thin client of PostgreSQL: its protocol over a Unix socket, text in both directions.
//!
//! Values are text: exact, complete (each type writes itself), and turned into the bytes of an answer
//! with nothing in between. What the general clients bring beside that, a pool and types of Rust, has
//! no use here.
mod connection;
mod frames;
mod server_error;

pub(super) use connection::{ClientError, Connection, Description, Login, Stopper};
pub(super) use frames::{Frame, fields};
pub(super) use server_error::ServerError;

/// The tags of the messages that a server sends.
pub(super) mod tag {
    pub(in super::super) const COMMAND_COMPLETE: u8 = b'C';
    pub(in super::super) const COPY_IN: u8 = b'G';
    pub(in super::super) const COPY_OUT: u8 = b'H';
    pub(in super::super) const DATA_ROW: u8 = b'D';
    pub(in super::super) const EMPTY_QUERY: u8 = b'I';
    pub(in super::super) const ERROR: u8 = b'E';
    pub(in super::super) const PARAMETERS: u8 = b't';
    pub(in super::super) const READY: u8 = b'Z';
    pub(in super::super) const ROW_DESCRIPTION: u8 = b'T';
    pub(in super::super) const SUSPENDED: u8 = b's';
}
