//! Whole databases that come in: uploads, and what is loaded from them.
mod uploads;
