//! One statement: sends it to a route that answers with rows, and prints them.
use super::input::read_statement;
use super::rows::MORE_ROWS;
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::request::Request;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::clock::timestamp::parse_duration;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// The longest time to wait for a statement; the gateway enforces its own limit.
pub(super) const LONGEST: Duration = Duration::from_secs(600);

/// A statement and its options.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct StatementArgs {
    /// The statement; `-` or no argument reads the standard input
    sql: Option<String>,
    /// Value for the next `?`, or `:name=VALUE` for a named parameter: a JSON number, string, true,
    /// false or null; anything else is text; repeatable
    #[arg(long = "param", value_name = "VALUE", allow_hyphen_values = true, value_parser = parameter)]
    params: Vec<Parameter>,
    /// Output format of rows
    #[arg(long, value_enum, default_value_t = Format::Table, conflicts_with = "json")]
    format: Format,
    /// Time limit of the statement
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) timeout: Option<Duration>,
    /// Return at most this many rows
    #[arg(long, value_name = "COUNT")]
    max_rows: Option<u64>,
}

/// A value for a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Parameter {
    /// For the next `?`.
    Next(Value),
    /// For `:name`, `@name` or `$name`; the name has no sign.
    Named(String, Value),
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Aligned columns.
    Table,
    /// The answer as the gateway sent it.
    Json,
    /// One JSON line each for the columns, every row, and the summary.
    Ndjson,
    /// RFC 4180 with a header line; NULL is empty, empty text is `""`.
    Csv,
}

#[derive(Debug, Deserialize)]
struct QueryAnswer {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    rows_affected: u64,
    #[serde(default)]
    truncated: bool,
}

/// Whether an answer was cut, whatever its rows hold.
#[derive(Debug, Deserialize)]
struct Cut {
    #[serde(default)]
    truncated: bool,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

/// Sends a statement to a route that answers with rows, and prints them.
pub(in crate::cli) fn ask(
    route: &[&str],
    args: &StatementArgs,
    readonly: bool,
    invocation: Invocation<'_>,
) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let statement = match args.sql.as_deref() {
        Some(sql) if sql != "-" => sql.to_owned(),
        from => read_statement(from.is_some())?,
    };
    let query = Request::post(route)
        .body(wanted(args, readonly, &statement)?)
        .patience(args.timeout.unwrap_or(LONGEST).min(LONGEST));
    match args.format {
        Format::Ndjson => return client.print_ndjson(query.query("format", "ndjson")),
        Format::Csv => return client.print_csv(query.query("format", "csv")),
        Format::Table | Format::Json => {}
    }
    let answer = client.send(query)?;
    if client.json || args.format == Format::Json {
        output::line(&answer.text)?;
        if answer.read::<Cut>()?.truncated {
            output::note(MORE_ROWS);
        }
        return Ok(());
    }
    let answer: QueryAnswer = answer.read()?;
    if answer.columns.is_empty() {
        output::note(format_args!("rows affected: {}", answer.rows_affected));
        return Ok(());
    }
    output::text(table(&answer))?;
    if answer.truncated {
        output::note(MORE_ROWS);
    }
    Ok(())
}

fn wanted(args: &StatementArgs, readonly: bool, statement: &str) -> Result<Value, Failure> {
    let mut wanted = Map::new();
    wanted.insert("sql".into(), statement.into());
    if !args.params.is_empty() {
        wanted.insert("params".into(), params(&args.params)?);
    }
    if readonly {
        wanted.insert("readonly".into(), true.into());
    }
    if let Some(timeout) = args.timeout {
        wanted.insert("timeout_ms".into(), milliseconds(timeout).into());
    }
    if let Some(rows) = args.max_rows {
        wanted.insert("max_rows".into(), rows.into());
    }
    Ok(wanted.into())
}

/// A list of values, or an object of named ones.
fn params(params: &[Parameter]) -> Result<Value, Failure> {
    let (mut list, mut named) = (Vec::new(), Map::new());
    for parameter in params {
        match parameter {
            Parameter::Next(value) => list.push(value.clone()),
            Parameter::Named(name, value) => drop(named.insert(name.clone(), value.clone())),
        }
    }
    match (list.is_empty(), named.is_empty()) {
        (false, false) => Err(Failure::new(
            Exit::Usage,
            "--param VALUE and --param :NAME=VALUE cannot be mixed",
        )),
        (true, false) => Ok(named.into()),
        (_, true) => Ok(list.into()),
    }
}

pub(super) fn milliseconds(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}

fn parameter(text: &str) -> Result<Parameter, String> {
    let named = text
        .strip_prefix([':', '@', '$'])
        .and_then(|it| it.split_once('='));
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|it| it.is_alphanumeric() || it == '_');
    Ok(match named.filter(|(name, _)| is_name(name)) {
        Some((name, text)) => Parameter::Named(name.to_owned(), value(text)),
        None => Parameter::Next(value(text)),
    })
}

fn value(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => value,
        // `{"$base64":"…"}` and `{"$real":"…"}` are how the gateway writes what JSON cannot.
        Ok(Value::Object(map)) if map.len() == 1 && map.keys().all(|it| it.starts_with('$')) => {
            map.into()
        }
        _ => text.into(),
    }
}

fn table(answer: &QueryAnswer) -> Table {
    let mut table = Table::headed(answer.columns.iter().map(|it| &it.name));
    for row in &answer.rows {
        table.row(row.iter().map(|value| match value {
            Value::Null => "NULL".to_owned(),
            value => text_of(value),
        }));
    }
    table
}

/// A value as text: blobs, and texts that are no UTF-8, as base64, reals that JSON cannot write by their names.
fn text_of(value: &Value) -> String {
    let inside = value.as_object().filter(|it| it.len() == 1);
    let forms = ["$base64", "$text_base64", "$real"];
    let special = inside.and_then(|it| forms.into_iter().find_map(|form| it.get(form)));
    match special.unwrap_or(value) {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer() -> QueryAnswer {
        serde_json::from_value(json!({
            "columns": [{"name": "id", "type": "INTEGER"}, {"name": "a,b", "type": "TEXT"}],
            "rows": [
                [9_007_199_254_740_993_i64, "say \"hi\"\n"],
                [null, ""],
                [{"$real": "Infinity"}, {"$base64": "AAE="}],
                [1.5, "x"],
            ],
            "row_count": 4, "rows_affected": 0, "last_insert_rowid": 0, "elapsed_ms": 0.1,
        }))
        .unwrap()
    }

    #[test]
    fn a_table_keeps_every_row_on_one_line() {
        assert_eq!(
            table(&answer()).to_string(),
            "\
id                a,b
9007199254740993  say \"hi\"\\n
NULL
Infinity          AAE=
1.5               x
"
        );
    }

    #[test]
    fn a_parameter_is_json_where_it_can_be_a_value_and_text_otherwise() {
        for (text, value) in [
            ("42", json!(42)),
            ("null", json!(null)),
            ("\"42\"", json!("42")),
            ("plain text", json!("plain text")),
            ("[1,2]", json!("[1,2]")),
            ("{\"a\":1}", json!("{\"a\":1}")),
            ("{\"$base64\":\"AAE=\"}", json!({"$base64": "AAE="})),
            ("", json!("")),
        ] {
            assert_eq!(parameter(text), Ok(Parameter::Next(value)), "{text}");
        }
    }

    #[test]
    fn a_parameter_with_a_name_is_for_that_name_and_both_kinds_do_not_mix() {
        let named = |name: &str, value: Value| Ok(Parameter::Named(name.to_owned(), value));
        assert_eq!(parameter(":id=7"), named("id", json!(7)));
        assert_eq!(parameter("$a_b=x=y"), named("a_b", json!("x=y")));
        assert_eq!(parameter("@n="), named("n", json!("")));
        for text in [":id", "a=b", ":=1", "::id=1", "$1.5"] {
            let next = Parameter::Next(json!(text));
            assert_eq!(parameter(text), Ok(next), "{text}");
        }
        let both = [parameter(":id=7").unwrap(), parameter("7").unwrap()];
        assert_eq!(params(&both).unwrap_err().exit, Exit::Usage);
        assert_eq!(params(&both[..1]).unwrap(), json!({"id": 7}));
        assert_eq!(params(&both[1..]).unwrap(), json!([7]));
    }
}
