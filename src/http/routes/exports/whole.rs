//! Exports of whole databases.

use crate::data::exports::Resumption;
use crate::engine::exporting::{FileCompression, FileFormat, FileKind};
use crate::http::Gateway;
use crate::http::extract::words::{CompressionWord, FileFormatWord};
use crate::http::extract::{PathParts, StrictQuery};
use crate::http::middleware::compression::Encoding;
use crate::http::response::error::Problem;
use crate::http::response::files::DownloadName;
use crate::http::response::files::whole::{WantedBytes, whole_file};
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// How a whole database is exported.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DatabaseExportParameters {
    /// `sql`: statements that the `sqlite3` shell loads. `sqlite`: a database file.
    #[serde(default)]
    #[param(inline)]
    format: FileFormatWord,
    /// Compress the file: `gzip` or `zstd`.
    #[param(inline)]
    compress: Option<CompressionWord>,
}

/// Export a database
///
/// The whole database as of one moment, as SQL or as a SQLite file. Writes go on meanwhile. The
/// answer begins when the file is complete. It has an `ETag`: for 15 minutes, `Range` with
/// `If-Range` resumes a download of the same file.
#[utoipa::path(get, path = "/v1/databases/{db}/export", tag = "exports",
    params(("db" = String, Path, description = "Name or id"), DatabaseExportParameters),
    responses(
        (status = 200, content(
            (String = "application/sql"),
            (Vec<u8> = "application/gzip"),
            (Vec<u8> = "application/zstd"),
            (Vec<u8> = "application/vnd.sqlite3"))),
        (status = 206, description = "The part that `Range` names", content(
            (Vec<u8> = "application/vnd.sqlite3")))))]
pub(crate) async fn export_database(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    StrictQuery(wanted): StrictQuery<DatabaseExportParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let encoding: Option<Encoding> = wanted.compress.map(Into::into);
    let kind = FileKind {
        format: wanted.format.into(),
        compression: encoding.map(|encoding| match encoding {
            Encoding::Gzip => FileCompression::Gzip,
            Encoding::Zstd => FileCompression::Zstd,
        }),
    };
    let bytes = WantedBytes::of(&headers);
    let resumption = bytes.map(|_| match headers.get(header::IF_RANGE) {
        None => Resumption::OfTheLast,
        // A date names no file here.
        Some(tag) => Resumption::Of(tag.to_str().unwrap_or_default().to_owned()),
    });
    let service = &gateway.service;
    let download = service
        .export_file(&caller, &reference, kind, resumption)
        .await?;
    // The rest of another file is of no use.
    let bytes = bytes.filter(|bytes| {
        !download.is_new || bytes.is_a_beginning() && !headers.contains_key(header::IF_RANGE)
    });
    let (extension, content_type) = match kind.format {
        FileFormat::Native => ("db", "application/vnd.sqlite3"),
        FileFormat::Sql => ("sql", "application/sql"),
    };
    let name = DownloadName::new(&[&download.database], extension);
    let (name, content_type) = match encoding {
        None => (name, HeaderValue::from_static(content_type)),
        Some(encoding) => (name.packed(encoding), encoding.file_type()),
    };
    let send_time = service.data.config().exports.send_time;
    Ok(whole_file(download, bytes, content_type, &name, send_time))
}
