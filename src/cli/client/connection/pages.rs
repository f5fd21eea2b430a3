//! Lists in pages, and how they are printed.
use super::client::Client;
use super::request::{Answer, Request, read};
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::cli::terminal::table::{Table, cell};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The gateway's largest page.
const PAGE: usize = 1000;

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// The columns of a table: heading, and JSON pointer to the value.
pub(crate) type Columns = [(&'static str, &'static str)];

/// Reads a `--limit`.
pub(crate) fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// Fetches all items of a list. `list` builds the request of a page.
pub(crate) fn fetch(
    client: &Client,
    list: impl Fn() -> Request,
) -> Result<Vec<Box<RawValue>>, Failure> {
    up_to(client, usize::MAX, list).map(|(found, _)| found)
}

/// Fetches the first `limit` items of a list, and says so if there are more.
pub(crate) fn fetch_some(
    client: &Client,
    limit: u32,
    list: impl Fn() -> Request,
) -> Result<Vec<Box<RawValue>>, Failure> {
    let (found, is_part) = up_to(client, limit as usize, list)?;
    if is_part {
        output::note(format_args!(
            "{} shown, there are more; raise --limit",
            found.len()
        ));
    }
    Ok(found)
}

/// The first items, and whether there are more.
fn up_to(
    client: &Client,
    limit: usize,
    list: impl Fn() -> Request,
) -> Result<(Vec<Box<RawValue>>, bool), Failure> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let request = list()
            .query("limit", PAGE.min(limit - found.len()))
            .query_if("cursor", cursor.as_ref());
        let answer = client.send(request)?;
        let page: Page = answer.read()?;
        found.extend(page.data);
        cursor = page.next_cursor;
        if cursor.is_none() || found.len() >= limit {
            return Ok((found, cursor.is_some()));
        }
    }
}

/// The items of a list that has a single page.
pub(crate) fn items(answer: &Answer) -> Result<Vec<Box<RawValue>>, Failure> {
    answer.read().map(|it: Page| it.data)
}

/// Prints a list as JSON lines or as a table.
pub(crate) fn print(
    client: &Client,
    list: &[Box<RawValue>],
    columns: &Columns,
) -> Result<(), Failure> {
    print_with(client, list, columns, |_| {})
}

/// The same; `shown` changes an item before it becomes a row.
pub(crate) fn print_with(
    client: &Client,
    list: &[Box<RawValue>],
    columns: &Columns,
    shown: impl Fn(&mut Value),
) -> Result<(), Failure> {
    if client.json {
        let mut lines = output::Lines::begin();
        for item in list {
            lines.line(item.get())?;
        }
        return lines.end();
    }
    let mut table = Table::headed(columns.iter().map(|(heading, _)| *heading));
    for item in list {
        let mut item: Value = read(item.get())?;
        shown(&mut item);
        table.row(columns.iter().map(|(_, pointer)| cell(&item, pointer)));
    }
    output::text(table)
}

/// Prints one resource: JSON, or a line a field. Nothing for an answer without a body.
pub(crate) fn print_one(client: &Client, answer: &Answer, fields: &Columns) -> Result<(), Failure> {
    if answer.text.is_empty() {
        return Ok(());
    }
    if client.json {
        return output::line(&answer.text);
    }
    output::text(in_full(&answer.read()?, fields))
}

/// The fields of a resource, those that it has.
fn in_full(value: &Value, fields: &Columns) -> Table {
    let mut table = Table::default();
    for (label, pointer) in fields {
        if value.pointer(pointer).is_some_and(|value| !value.is_null()) {
            table.row([label, cell(value, pointer).as_str()]);
        }
    }
    table
}
