//! One caller with very many requests, and another one beside it.
mod connections;
mod crowd;
mod crowds;
mod token_ends;
mod unread_answers;
