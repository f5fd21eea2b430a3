//! What requests about rows say in their path, their parameters and their headers.
pub(crate) mod byte_range;
pub(crate) mod postgrest;
pub(crate) mod preferences;

pub(crate) use super::path::RowsPath;
use super::{parse_body, query_text, read_body, read_elsewhere_if_long};
use crate::data::rows::{NewRows, RowChanges, RowsError, RowsQuery};
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::row_problems::for_postgrest;
use crate::service::caller::Caller;
use crate::service::rows::{RowsRef, ValueRef};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::sync::Arc;
use url::form_urlencoded;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The parameters of a request in the rows dialect.
pub(crate) struct RowsParameters(pub(crate) RowsQuery);

impl FromRequestParts<Arc<Gateway>> for RowsParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let read = parameters(query_text(&parts.uri)?);
        read.map(Self).map_err(Problem::from)
    }
}

/// The same, whose errors are in PostgREST's words.
pub(crate) struct RestParameters(pub(crate) RowsQuery);

impl FromRequestParts<Arc<Gateway>> for RestParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let text = query_text(&parts.uri);
        let text = text.map_err(|problem| problem.in_postgrests_words(Some("PGRST100"), None))?;
        let read = parameters(text);
        read.map(Self).map_err(|error| for_postgrest(error.into()))
    }
}

/// Reads the part of an address behind `?`.
fn parameters(text: Option<&str>) -> Result<RowsQuery, RowsError> {
    let Some(text) = text else {
        return Ok(RowsQuery::default());
    };
    let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
    RowsQuery::parse(pairs.iter().map(|(name, value)| (&**name, &**value)))
}

impl RowsPath {
    pub(crate) fn rows(&self) -> RowsRef<'_> {
        RowsRef {
            database: &self.database,
            table: &self.table,
            key: self.key.as_deref(),
        }
    }
}

/// A row to be inserted, or a list of them.
pub(crate) struct NewRowsBody(pub(crate) NewRows);

/// New values by column.
pub(crate) struct RowChangesBody(pub(crate) RowChanges);

impl PartialSchema for NewRowsBody {
    fn schema() -> RefOr<Schema> {
        schemas::new_rows().into()
    }
}

impl ToSchema for NewRowsBody {
    fn name() -> Cow<'static, str> {
        "NewRows".into()
    }
}

impl PartialSchema for RowChangesBody {
    fn schema() -> RefOr<Schema> {
        schemas::row_changes()
    }
}

impl ToSchema for RowChangesBody {
    fn name() -> Cow<'static, str> {
        "RowChanges".into()
    }
}

impl FromRequest<Arc<Gateway>> for NewRowsBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Gateway>) -> Result<Self, Problem> {
        // A caller without the right is told that, and not what its body lacks.
        if let Some(caller) = request.extensions().get::<Caller>() {
            caller.require(Scope::Write)?;
        }
        body(request, None).await.map(Self)
    }
}

impl FromRequest<Arc<Gateway>> for RowChangesBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Gateway>) -> Result<Self, Problem> {
        // No change: as everywhere, an empty body reads as `{}`.
        body(request, Some(b"{}")).await.map(Self)
    }
}

/// The body, or `empty` where nothing was sent.
async fn body<T: DeserializeOwned + Send + 'static>(
    request: Request,
    empty: Option<&'static [u8]>,
) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read_body(body).await?;
    let bytes = match (bytes.is_empty(), empty) {
        (false, _) => bytes,
        (true, Some(empty)) => Bytes::from_static(empty),
        (true, None) => {
            return Err(Problem::invalid("The body is empty.")
                .hint("send a row or a list of rows; `{}` is a row of defaults"));
        }
    };
    let parse = move |bytes: Bytes| parse_body(&parts.headers, &bytes);
    read_elsewhere_if_long(bytes, parse).await
}

impl RowsPath {
    pub(crate) fn value(&self) -> ValueRef<'_> {
        ValueRef {
            row: self.rows(),
            column: self.column.as_deref().unwrap_or_default(),
        }
    }
}

/// The marks that a header lists: `If-Match: "r1", "r2"`.
pub(crate) fn marks(headers: &HeaderMap, name: header::HeaderName) -> Vec<String> {
    let texts = headers.get_all(name).into_iter();
    texts
        .filter_map(|text| text.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(|mark| mark.trim().to_owned())
        .filter(|mark| !mark.is_empty())
        .collect()
}

/// Whether `If-None-Match` has this mark. Weak ones count as well (RFC 9110, 13.1.2).
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = marks(headers, header::IF_NONE_MATCH);
    let mut known = known.iter();
    known.any(|mark| mark == "*" || mark.strip_prefix("W/").unwrap_or(mark) == etag)
}
