//! A schema in other languages: SQL, Mermaid, TypeScript, JSON Schema.
mod json_schema;
mod mermaid;
mod rows;
mod script;
mod typescript;

pub use json_schema::json_schema;
pub use mermaid::mermaid;
pub use script::script;
pub use typescript::typescript;
