//! `dbforge schema`: what is in a database.
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::request::Request;
use crate::cli::exit::Failure;
use crate::cli::terminal::output;

/// `dbforge schema`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SchemaArgs {
    /// Name or id of the database
    name: String,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = SchemaFormat::Sql, conflicts_with = "json")]
    format: SchemaFormat,
}

/// Forms of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SchemaFormat {
    /// The statements that make it
    Sql,
    /// Everything about it
    Json,
    /// A diagram of tables and their references
    Mermaid,
    /// Types for TypeScript
    Typescript,
    /// Types as JSON Schema
    Jsonschema,
}

impl SchemaFormat {
    fn word(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Json => "json",
            Self::Mermaid => "mermaid",
            Self::Typescript => "typescript",
            Self::Jsonschema => "jsonschema",
        }
    }
}

/// Prints the schema.
pub(in crate::cli) fn schema(args: &SchemaArgs, invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let format = match client.json {
        true => SchemaFormat::Json,
        false => args.format,
    };
    let request = Request::get(&["databases", &args.name, "schema"]).query("format", format.word());
    let answer = client.receive_file(&request, None)?;
    let mut answer = answer;
    let text = client.text_of(&mut answer)?;
    output::line(text.trim_end_matches('\n'))
}
