//! `dbforge schema`: what is in a database.
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::request::{Request, read};
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use serde_json::Value;

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
    let is_sql = format == SchemaFormat::Sql;
    // The statements stand in the JSON, each with what it makes.
    let word = if is_sql { "json" } else { format.word() };
    let request = Request::get(&["databases", &args.name, "schema"]).query("format", word);
    let mut answer = client.receive_file(&request, None)?;
    let text = client.text_of(&mut answer)?;
    if is_sql {
        return print_statements(&read(&text)?);
    }
    output::line(text.trim_end_matches('\n'))
}

/// Prints what makes each table, its indexes and triggers.
fn print_statements(schema: &Value) -> Result<(), Failure> {
    let mut lines = output::Lines::begin();
    let parts = |of: &Value, name: &str| of[name].as_array().cloned().unwrap_or_default();
    for table in parts(schema, "tables") {
        if table["type"] == "shadow" {
            continue;
        }
        let made = [table.clone()].into_iter();
        let made = made.chain(parts(&table, "indexes"));
        let made = made.chain(parts(&table, "triggers"));
        for sql in made.filter_map(|part| part["sql"].as_str().map(str::to_owned)) {
            lines.line(format_args!("{};", sql.trim_end()))?;
        }
    }
    lines.end()
}
