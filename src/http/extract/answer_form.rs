//! In which form a statement's answer is wanted: JSON, NDJSON or CSV; whole, or as it is read.
use super::StrictQuery;
use super::negotiation::{liking, wishes};
use super::words::{FormatWord, ShapeWord};
use crate::data::{Format, QueryOptions, Shape};
use crate::http::Gateway;
use crate::http::response::error::{ErrorCode, Problem};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// What a request says about the form of its answer beside its body.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FormParameters {
    /// `json`, `ndjson` or `csv`; takes precedence over `Accept`.
    #[param(inline)]
    format: Option<FormatWord>,
    /// Send rows as they are read, until `timeout_ms`. Rows and bytes are unlimited unless a limit
    /// is given. Default: `true` for `ndjson` and `csv`, `false` for `json`.
    stream: Option<bool>,
    /// `rows` or `objects`; takes precedence over the body.
    #[param(inline)]
    shape: Option<ShapeWord>,
}

/// The form that an answer is wanted in.
pub(crate) struct AnswerForm {
    format: Format,
    shape: Option<ShapeWord>,
    is_streamed: bool,
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Once all of it is there.
    Whole,
    /// As it is read.
    Streamed {
        /// Whether an error can be told as the last line.
        tells_errors: bool,
    },
}

impl FromRequestParts<Arc<Gateway>> for AnswerForm {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let StrictQuery(said) =
            StrictQuery::<FormParameters>::from_request_parts(parts, gateway).await?;
        let format = chosen_format(said.format, &parts.headers)?;
        Ok(Self {
            format,
            shape: said.shape,
            is_streamed: said.stream.unwrap_or(format != Format::Json),
        })
    }
}

impl AnswerForm {
    /// Adds the form to a statement's options, and says how its answer is sent.
    pub(crate) fn apply(&self, options: &mut QueryOptions, largest_bytes: usize) -> Delivery {
        options.format = self.format;
        if let Some(shape) = self.shape {
            options.shape = shape.into();
        }
        let tells_at_its_end = match self.format {
            Format::Json => true,
            Format::Ndjson => options.shape == Shape::Rows,
            Format::Csv | Format::Array | Format::Sql => false,
        };
        // A header says whether it was cut, so it cannot be on its way before its end.
        if options.max_rows.is_some() && !tells_at_its_end {
            options.max_bytes.get_or_insert(largest_bytes);
            return Delivery::Whole;
        }
        if !self.is_streamed {
            return Delivery::Whole;
        }
        Delivery::Streamed {
            tells_errors: self.format == Format::Ndjson && tells_at_its_end,
        }
    }
}

/// The format that is named, else the one that `Accept` likes best.
///
/// # Errors
/// When `Accept` likes none.
pub(crate) fn chosen_format(
    named: Option<FormatWord>,
    headers: &HeaderMap,
) -> Result<Format, Problem> {
    named.map_or_else(|| accepted_format(headers), |word| Ok(word.into()))
}

/// What `Accept` likes best; JSON where it says nothing.
fn accepted_format(headers: &HeaderMap) -> Result<Format, Problem> {
    let accepted = || wishes(headers, header::ACCEPT);
    if accepted().next().is_none() {
        return Ok(Format::Json);
    }
    // Of equals the last wins.
    [Format::Csv, Format::Ndjson, Format::Json]
        .into_iter()
        .filter_map(|it| Some((liking(accepted(), media_type(it))?, it)))
        .max_by(|(one, _), (other, _)| one.cmp(other))
        .map(|(_, format)| format)
        .ok_or_else(|| {
            Problem::new(
                ErrorCode::NotAcceptable,
                "SQL results are not available in any type that `Accept` lists.",
            )
            .hint("accept application/json, application/x-ndjson or text/csv, or send ?format=")
        })
}

fn media_type(format: Format) -> &'static str {
    match format {
        Format::Json | Format::Array => "application/json",
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv",
        Format::Sql => "application/sql",
    }
}
