//! What SQL means here: functions, PRAGMAs, full text, and what is refused.
mod additions;
mod build;
mod depths;
mod fts5;
mod functions;
mod like;
mod pragmas;
mod refused_schemas;
mod safety;
