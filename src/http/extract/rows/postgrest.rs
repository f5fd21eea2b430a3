//! What clients of PostgREST ask for in `Accept` and `Range`.
use crate::data::Format;
use crate::http::response::error::{ErrorCode, Problem};
use axum::http::{HeaderMap, header};

/// In which form an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RestForm {
    pub(crate) format: Format,
    /// One object instead of a list.
    pub(crate) is_single: bool,
    pub(crate) strips_nulls: bool,
}

impl RestForm {
    /// The first type of `Accept` that is there.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let texts = headers.get_all(header::ACCEPT).into_iter();
        let mut wanted = texts
            .filter_map(|text| text.to_str().ok())
            .flat_map(|text| text.split(','))
            .filter(|text| !text.trim().is_empty())
            .peekable();
        if wanted.peek().is_none() {
            return Ok(Self::plain(Format::Json));
        }
        let mut wanted = wanted.filter(|text| !is_refused(text));
        wanted.find_map(Self::of_type).ok_or_else(|| {
            Problem::new(
                ErrorCode::NotAcceptable,
                "Rows are not available in any type that `Accept` lists.",
            )
            .hint(
                "accept application/json, application/vnd.pgrst.object+json, text/csv or \
                 application/x-ndjson",
            )
        })
    }

    fn plain(format: Format) -> Self {
        Self {
            format,
            is_single: false,
            strips_nulls: false,
        }
    }

    fn of_type(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next()?.to_ascii_lowercase();
        let strips_nulls = parts.any(|part| part == "nulls=stripped");
        let form = match essence.as_str() {
            "application/json" | "application/*" | "*/*" => Self::plain(Format::Json),
            "application/vnd.pgrst.array+json" => Self {
                strips_nulls,
                ..Self::plain(Format::Json)
            },
            "application/vnd.pgrst.object+json" | "application/vnd.pgrst.object" => Self {
                is_single: true,
                strips_nulls,
                ..Self::plain(Format::Json)
            },
            "text/csv" | "text/*" => Self::plain(Format::Csv),
            "application/x-ndjson" => Self::plain(Format::Ndjson),
            _ => return None,
        };
        Some(form)
    }
}

/// Whether a type of `Accept` is one that is not wanted: `text/csv;q=0`.
fn is_refused(text: &str) -> bool {
    let mut parts = text.split(';').skip(1).map(str::trim);
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    weight.is_some_and(|weight| weight.trim().parse() == Ok(0.0_f32))
}

/// `Range: 0-9`: the first row and how many; `None` where it says nothing.
///
/// # Errors
/// When it is no range, or the last row lies in front of the first.
pub(crate) fn range(headers: &HeaderMap) -> Result<Option<(u64, Option<u64>)>, Problem> {
    let Some(text) = headers
        .get(header::RANGE)
        .and_then(|text| text.to_str().ok())
    else {
        return Ok(None);
    };
    let text = text.strip_prefix("items=").unwrap_or(text);
    if text.contains('=') {
        return Ok(None); // of something else than rows, such as bytes
    }
    let no_range = || {
        Problem::invalid(format!("`Range: {text}` is no range of rows."))
            .hint("`Range: 0-9` asks for the first ten rows, `Range: 10-` for those behind them")
    };
    let (first, last) = text.split_once('-').ok_or_else(no_range)?;
    let first = first.trim().parse::<u64>().map_err(|_| no_range())?;
    match last.trim() {
        "" => Ok(Some((first, None))),
        last => match last.parse::<u64>() {
            Ok(last) if last >= first => Ok(Some((first, Some((last - first).saturating_add(1))))),
            Ok(_) => Err(Problem::new(
                ErrorCode::RangeNotSatisfiable,
                format!("`Range: {text}` ends before it begins."),
            )),
            Err(_) => Err(no_range()),
        },
    }
}
