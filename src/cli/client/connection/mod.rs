//! Requests to the gateway and their answers: single ones, pages of lists, streams.
pub(crate) mod agent;
pub(crate) mod client;
pub(crate) mod names;
mod own_words;
pub(crate) mod pages;
pub(crate) mod request;
pub(crate) mod streams;
pub(crate) mod transfer;
