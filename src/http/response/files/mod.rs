//! Answers that are files: their names, their compression, their pieces.
pub(crate) mod whole;

use super::error::Problem;
use crate::data::QueryError;
use crate::domain::ids::RequestId;
use crate::http::Gateway;
use crate::http::middleware::compression::{Encoding, packed};
use crate::service::sql::exports::rows::LivingExport;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;

/// Longest name of a file, without what compression adds: file systems take 255 bytes.
const LONGEST_NAME: usize = 200;

/// The name under which a client stores an answer.
#[derive(Debug, Clone)]
pub(crate) struct DownloadName(String);

impl DownloadName {
    /// `shop-users.csv` of its parts. What could be a path, a command or a hidden file is left out.
    pub(crate) fn new(parts: &[&str], extension: &str) -> Self {
        let is_plain = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
        let parts = parts.iter().map(|part| {
            let plain = part.chars().map(|it| if is_plain(it) { it } else { '_' });
            plain.collect::<String>()
        });
        let mut name = parts.collect::<Vec<_>>().join("-");
        name.truncate(name.floor_char_boundary(LONGEST_NAME));
        let name = name.trim_matches('.');
        let name = if name.is_empty() { "export" } else { name };
        Self(format!("{name}.{extension}"))
    }

    /// The same of a compressed file.
    pub(crate) fn packed(&self, encoding: Encoding) -> Self {
        Self(format!("{}.{}", self.0, encoding.extension()))
    }

    /// The header that says it (RFC 6266): in ASCII for old clients, whole for others.
    pub(crate) fn disposition(&self) -> HeaderValue {
        let ascii = self
            .0
            .chars()
            .map(|it| if it.is_ascii() { it } else { '_' });
        let mut said = format!("attachment; filename=\"{}\"", ascii.collect::<String>());
        if !self.0.is_ascii() {
            let whole = utf8_percent_encode(&self.0, NON_ALPHANUMERIC);
            said.push_str(&format!("; filename*=UTF-8''{whole}"));
        }
        HeaderValue::try_from(said).expect("letters of ASCII are visible")
    }
}

/// The export ends before its end.
#[derive(Debug, thiserror::Error)]
#[error("export aborted: {0}")]
struct ExportBrokeOff(QueryError);

/// Rows as a file. One that fails breaks off: its last chunk does not come.
pub(crate) fn rows_as_file(
    gateway: &Arc<Gateway>,
    rows: LivingExport,
    content_type: HeaderValue,
    compression: Option<Encoding>,
    name: &DownloadName,
    request: RequestId,
) -> Response {
    let gateway = Arc::clone(gateway);
    let pieces = stream::unfold(rows, move |mut rows| {
        let gateway = Arc::clone(&gateway);
        async move {
            let piece = rows.next().await?;
            let piece = piece.map_err(|error| {
                let problem = Problem::from(error.clone());
                gateway.metrics.count_problem(problem.code());
                match problem.cause() {
                    Some(cause) => {
                        tracing::error!(request.id = %request, cause, "internal error during an export");
                    }
                    None => tracing::debug!(request.id = %request, %error, "export ended early"),
                }
                ExportBrokeOff(error)
            });
            Some((piece, rows))
        }
    });
    let body = Body::from_stream(pieces);
    let (body, name, kind) = match compression {
        None => (Ok(body), name.clone(), content_type),
        Some(encoding) => (
            packed(body, encoding),
            name.packed(encoding),
            encoding.file_type(),
        ),
    };
    match body {
        Ok(body) => {
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CONTENT_DISPOSITION, name.disposition()),
            ];
            (headers, body).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_download_is_a_plain_one_whatever_the_table_is_called() {
        for (parts, name) in [
            (&["shop", "users"][..], "shop-users.csv"),
            (&["shop", "../../etc/passwd"], "shop-.._.._etc_passwd.csv"),
            (
                &["shop", "a\"; filename=\"b.exe"],
                "shop-a___filename__b.exe.csv",
            ),
            (&["shop", "a\r\nSet-Cookie: x"], "shop-a__Set-Cookie__x.csv"),
            (&[".."], "export.csv"),
        ] {
            assert_eq!(DownloadName::new(parts, "csv").0, name);
        }
        let said = DownloadName::new(&["größe"], "csv").disposition();
        assert_eq!(
            said.to_str().unwrap(),
            "attachment; filename=\"gr__e.csv\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%2Ecsv"
        );
        let long = DownloadName::new(&[&"ä".repeat(500)], "csv");
        assert!(long.0.len() <= LONGEST_NAME + 4);
    }
}
