//! Files that were uploaded to be imported: kept for a while in `uploads/` of the data folder.
//!
//! An upload is two files: `<id>` has its bytes as they were sent, `<id>.json` says what it is. A
//! whole one has both; what else lies there is left of a crash and removed at the start.
mod receiving;
mod store;

pub use receiving::{Receiving, UploadSender};
pub use store::{Upload, UploadBounds, UploadError, Uploads};
