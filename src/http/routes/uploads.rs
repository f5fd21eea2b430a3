//! Files that are uploaded to be imported.
use crate::clock::timestamp::Timestamp;
use crate::data::uploads::Upload;
use crate::http::Gateway;
use crate::http::extract::{NoParameters, PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::lists::{List, page_answer};
use crate::http::response::reply::{self, Marked as _};
use crate::projections::control_db::Page;
use crate::service::caller::Caller;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A file that was uploaded.
#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
pub(super) struct UploadView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    /// Bytes, as they were sent.
    bytes: u64,
    /// SHA-256 of these bytes, in hex.
    sha256: String,
    /// `Content-Type`, as it was sent.
    #[schema(required = true)]
    content_type: Option<String>,
    /// Who sent it.
    #[schema(example = "token/ci")]
    actor: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it is removed, unless a job is importing it then.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl UploadView {
    fn of(upload: &Upload) -> Self {
        Self {
            id: upload.id.to_string(),
            bytes: upload.bytes,
            sha256: upload.sha256.clone(),
            content_type: upload.content_type.clone(),
            actor: upload.actor.to_string(),
            created_at: upload.created_at,
            expires_at: upload.expires_at,
        }
    }
}

/// Upload a file
///
/// The body is the file, of any content type; gzip and zstd are kept as sent and unpacked when the
/// file is imported. It is streamed to the disk: send it with `curl -X POST -T FILE`. Only the token
/// that sent it, and admins, can use it.
#[utoipa::path(post, path = "/v1/uploads", tag = "imports",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = UploadView)))]
pub(super) async fn create_upload(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    _: StrictQuery<NoParameters>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let received = gateway.receive_file(&caller, &parts.headers, body, false);
    let upload = received.await?;
    let answer = reply::json(StatusCode::CREATED, &UploadView::of(&upload));
    Ok(answer.with(header::LOCATION, &format!("/v1/uploads/{}", upload.id)))
}

/// List uploads
///
/// Those of this token, oldest first; all of them for scope `admin`.
#[utoipa::path(get, path = "/v1/uploads", tag = "imports",
    responses((status = 200, body = List<UploadView>)))]
pub(super) async fn list_uploads(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    let page = Page {
        items: gateway.service.uploads(&caller)?,
        next_cursor: None,
        as_of: gateway.service.control.current().head.sequence,
    };
    Ok(page_answer(page, |upload| UploadView::of(&upload)))
}

/// Get an upload
#[utoipa::path(get, path = "/v1/uploads/{id}", tag = "imports",
    params(("id" = String, Path, description = "The upload's id")),
    responses((status = 200, body = UploadView)))]
pub(super) async fn get_upload(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    let upload = gateway.service.upload(&caller, &id)?;
    Ok(reply::json(StatusCode::OK, &UploadView::of(&upload)))
}

/// Delete an upload
///
/// Not while a job is importing it.
#[utoipa::path(delete, path = "/v1/uploads/{id}", tag = "imports",
    params(("id" = String, Path, description = "The upload's id")),
    responses((status = 204)))]
pub(super) async fn delete_upload(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    gateway.service.remove_upload(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
