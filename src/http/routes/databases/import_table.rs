//! Rows that come in: CSV, TSV, NDJSON and JSON into one table.
use super::rows_parameters::TableImportParameters;
use crate::domain::ids::UploadId;
use crate::http::Gateway;
use crate::http::extract::mutation::command_request;
use crate::http::extract::parameters::{ChangeHeaders, DryRun, WaitHeader};
use crate::http::extract::{PathParts, StrictQuery, essence};
use crate::http::response::error::Problem;
use crate::http::response::views::job::JobView;
use crate::http::response::views::plan::PlanView;
use crate::service::caller::Caller;
use crate::service::commands::Outcome;
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;

/// Import rows into a table
///
/// The body is CSV, TSV, NDJSON or a JSON array of objects (`application/json`), plain or compressed by
/// gzip or zstd, of any size: send it with `curl -X POST -T FILE`. Or `upload` names an upload. A table that does not exist
/// is created. The job's `result` counts rows and lists the first ten that were left out.
#[utoipa::path(post, path = "/v1/databases/{db}/tables/{table}/import", tag = "imports",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "Its name"),
        TableImportParameters, ChangeHeaders, WaitHeader),
    request_body(content(
        (String = "text/csv"),
        (String = "text/tab-separated-values"),
        (String = "application/x-ndjson"))),
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(in crate::http) async fn import_table(
    State(gateway): State<Arc<Gateway>>,
    PathParts((db, table)): PathParts<(String, String)>,
    StrictQuery(parameters): StrictQuery<TableImportParameters>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let service = &gateway.service;
    service.may_import(&caller, &db)?;
    let is_plan = parameters.dry_run == Some(DryRun::Plan);
    if let Some(upload) = &parameters.upload {
        let upload = service.upload_to_load(&caller, upload)?;
        let sent_as = upload.content_type.as_deref();
        let sent_as = sent_as.and_then(|it| it.split(';').next()).map(str::trim);
        let import = parameters.import(&table, sent_as)?;
        let mut request = command_request(&parts, &[])?;
        request.dry_run = is_plan;
        let outcome = service.import_table(&request, &db, upload.id, import);
        return gateway.job_outcome(outcome.await?);
    }
    let import = parameters.import(&table, essence(&parts.headers).as_deref())?;
    if is_plan {
        let mut request = command_request(&parts, &[])?;
        request.dry_run = true;
        let upload = UploadId(uuid::Uuid::nil());
        let outcome = service.preview_import(&request, &db, upload, import)?;
        return Ok(PlanView::answer(outcome));
    }
    let received = gateway.receive_file(&caller, &parts.headers, body, true);
    let upload = received.await?;
    let submitted = async {
        let request = command_request(&parts, upload.sha256.as_bytes())?;
        let outcome = service.import_table(&request, &db, upload.id, import);
        Ok::<_, Problem>(outcome.await?)
    };
    let submitted = submitted.await;
    let has_job = matches!(&submitted, Ok(Outcome::Done(it)) if !it.accepted.replayed);
    service.leave_to_job(&upload, has_job).await;
    gateway.job_outcome(submitted?)
}
