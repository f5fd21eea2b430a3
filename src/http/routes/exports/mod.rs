//! Exports: what leaves a database as a file.

pub(crate) mod whole;

use crate::data::Format;
use crate::data::exports::{ExportForm, ExportSource};
use crate::http::Gateway;
use crate::http::extract::sql::ExportBody;
use crate::http::extract::words::{CompressionWord, ExportFormatWord, FormulasWord};
use crate::http::extract::{JsonBody, PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::files::{DownloadName, rows_as_file};
use crate::http::response::rows;
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// How a table is exported.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TableExportParameters {
    /// `csv`, `ndjson`, `json`, `sql`, or `parquet` where the build has it.
    #[serde(default)]
    #[param(inline)]
    format: ExportFormatWord,
    /// Send a compressed file: `gzip` or `zstd`.
    #[param(inline)]
    compress: Option<CompressionWord>,
    /// With `escape`, CSV texts that begin with `=`, `+`, `-` or `@` get a leading `'`, so that
    /// spreadsheets do not run them.
    #[serde(default)]
    #[param(inline)]
    formulas: FormulasWord,
    /// Whether SQL also creates the table, its indexes and triggers. Default: `true`.
    schema: Option<bool>,
}

/// How the rows of a query are exported.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct QueryExportParameters {
    /// `csv`, `ndjson`, `json`, `sql`, or `parquet` where the build has it.
    #[serde(default)]
    #[param(inline)]
    format: ExportFormatWord,
    /// Send a compressed file: `gzip` or `zstd`.
    #[param(inline)]
    compress: Option<CompressionWord>,
    /// With `escape`, CSV texts that begin with `=`, `+`, `-` or `@` get a leading `'`, so that
    /// spreadsheets do not run them.
    #[serde(default)]
    #[param(inline)]
    formulas: FormulasWord,
    /// The table that SQL inserts the rows into. Default: `result`.
    table: Option<String>,
}

/// The table of SQL where a request names none.
const TABLE: &str = "result";

/// Export a table
///
/// All rows of a table or view, streamed without a row limit. Reading never blocks writes, and a
/// slow client does not slow it down. JSON and NDJSON have one object per row.
#[utoipa::path(get, path = "/v1/databases/{db}/tables/{table}/export", tag = "exports",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "Name of the table or view"),
        TableExportParameters),
    responses((status = 200, content(
        (String = "text/csv"),
        (String = "application/x-ndjson"),
        (Vec<Object> = "application/json"),
        (String = "application/sql"),
        (Vec<u8> = "application/gzip"),
        (Vec<u8> = "application/zstd"),
        (Vec<u8> = "application/vnd.apache.parquet")))))]
pub(crate) async fn export_table(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, table)): PathParts<(String, String)>,
    StrictQuery(wanted): StrictQuery<TableExportParameters>,
) -> Result<Response, Problem> {
    let form = ExportForm {
        format: wanted.format.format(),
        is_parquet: wanted.format.is_parquet(),
        escapes_formulas: wanted.formulas.into(),
        has_schema: wanted.schema.unwrap_or(true),
    };
    let source = ExportSource::Table(table.clone());
    let service = &gateway.service;
    let exported = service
        .export_rows(&caller, &reference, source, form)
        .await?;
    let name = DownloadName::new(&[&exported.database, &table], extension(wanted.format));
    Ok(rows_as_file(
        &gateway,
        exported,
        content_type(wanted.format),
        wanted.compress.map(Into::into),
        &name,
        caller.request,
    ))
}

/// Export the rows of a query
///
/// The rows of one statement that only reads, streamed without a row limit.
#[utoipa::path(post, path = "/v1/databases/{db}/export", tag = "exports",
    params(("db" = String, Path, description = "Name or id"), QueryExportParameters),
    request_body = ExportBody,
    responses((status = 200, content(
        (String = "text/csv"),
        (String = "application/x-ndjson"),
        (Vec<Object> = "application/json"),
        (String = "application/sql"),
        (Vec<u8> = "application/gzip"),
        (Vec<u8> = "application/zstd"),
        (Vec<u8> = "application/vnd.apache.parquet")))))]
pub(crate) async fn export_query(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    StrictQuery(wanted): StrictQuery<QueryExportParameters>,
    JsonBody(body): JsonBody<ExportBody>,
) -> Result<Response, Problem> {
    let form = ExportForm {
        format: wanted.format.format(),
        is_parquet: wanted.format.is_parquet(),
        escapes_formulas: wanted.formulas.into(),
        has_schema: false,
    };
    let into = wanted.table.unwrap_or_else(|| TABLE.to_owned());
    let source = ExportSource::Query {
        sql: body.sql,
        params: body.params,
        into: into.clone(),
    };
    let service = &gateway.service;
    let exported = service
        .export_rows(&caller, &reference, source, form)
        .await?;
    let name = DownloadName::new(&[&exported.database, &into], extension(wanted.format));
    Ok(rows_as_file(
        &gateway,
        exported,
        content_type(wanted.format),
        wanted.compress.map(Into::into),
        &name,
        caller.request,
    ))
}

fn extension(format: ExportFormatWord) -> &'static str {
    match format.format() {
        _ if format.is_parquet() => "parquet",
        Format::Csv => "csv",
        Format::Ndjson => "ndjson",
        Format::Json | Format::Array => "json",
        Format::Sql => "sql",
    }
}

fn content_type(format: ExportFormatWord) -> HeaderValue {
    match format.is_parquet() {
        true => HeaderValue::from_static("application/vnd.apache.parquet"),
        false => rows::content_type(format.format()),
    }
}
