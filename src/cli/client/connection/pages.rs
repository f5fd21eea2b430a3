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

/// Fetches the first `limit` items of a list, or all. `list` builds the request of a page.
pub(crate) fn fetch(
    client: &Client,
    limit: Option<u32>,
    list: impl Fn() -> Request,
) -> Result<Vec<Box<RawValue>>, Failure> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
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
            return Ok(found);
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
    if client.json {
        let mut lines = output::Lines::begin();
        for item in list {
            lines.line(item.get())?;
        }
        return lines.end();
    }
    let mut table = Table::headed(columns.iter().map(|(heading, _)| *heading));
    for item in list {
        let item: Value = read(item.get())?;
        table.row(columns.iter().map(|(_, pointer)| cell(&item, pointer)));
    }
    output::text(table)
}
