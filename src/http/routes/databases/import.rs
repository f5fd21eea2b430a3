//! Whole databases that come in: SQL text and SQLite files.
use crate::domain::ids::UploadId;
use crate::domain::load::{LoadForm, LoadMode};
use crate::http::Gateway;
use crate::http::extract::mutation::command_request;
use crate::http::extract::parameters::{ChangeHeaders, DryRun, WaitHeader};
use crate::http::extract::{PathParts, StrictQuery, essence, parse_object};
use crate::http::response::error::Problem;
use crate::http::response::views::job::JobView;
use crate::http::response::views::plan::PlanView;
use crate::service::caller::Caller;
use crate::service::commands::Outcome;
use crate::shares::waiting;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// How a file is imported.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ImportParameters {
    /// What becomes of what is there. Without it, the database must be empty.
    #[param(inline)]
    mode: Option<ImportMode>,
    /// What the file is. Without it, `Content-Type` and its first bytes tell.
    #[param(inline)]
    format: Option<ImportFormat>,
    /// `plan`: show what would happen, without doing it.
    #[param(inline)]
    dry_run: Option<DryRun>,
}

/// What becomes of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ImportMode {
    /// It goes to the trash.
    Replace,
    /// The SQL is run on top of it: all of it, or nothing.
    Insert,
}

/// What the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ImportFormat {
    /// SQL text, such as a dump.
    Sql,
    /// A SQLite database file.
    Sqlite,
}

/// An upload to import.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportUpload)]
pub(in crate::http) struct ImportBody {
    /// Its id.
    #[schema(format = Uuid)]
    upload: String,
}

/// Import a whole database
///
/// The body is SQL text or a SQLite file, plain or compressed by gzip or zstd, of any size: send it
/// with `curl -X POST -T FILE`. Or it names an upload, as JSON. A child process builds a database of
/// it beside the present one and checks it; then it takes its place. Requires scope `write`, with
/// `mode=replace` `manage`, too.
#[utoipa::path(post, path = "/v1/databases/{db}/import", tag = "imports",
    params(("db" = String, Path, description = "Name or id"), ImportParameters,
        ChangeHeaders, WaitHeader),
    request_body(content(
        (ImportBody = "application/json"),
        (String = "application/sql"),
        (String = "application/vnd.sqlite3"))),
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(in crate::http) async fn import_database(
    State(gateway): State<Arc<Gateway>>,
    PathParts(db): PathParts<String>,
    StrictQuery(parameters): StrictQuery<ImportParameters>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let service = &gateway.service;
    let mode = match parameters.mode {
        None => LoadMode::IntoEmpty,
        Some(ImportMode::Replace) => LoadMode::Replace,
        Some(ImportMode::Insert) => LoadMode::Insert,
    };
    // A request that was answered before is answered as it was, whatever came of it.
    let may_be_repeated = parts.headers.contains_key("idempotency-key");
    service
        .may_load(&caller, &db, mode, !may_be_repeated)
        .await?;
    let content = essence(&parts.headers).unwrap_or_default();
    let form = parameters.format.map(|format| match format {
        ImportFormat::Sql => LoadForm::Sql,
        ImportFormat::Sqlite => LoadForm::File,
    });
    let form = form.or(match content.as_str() {
        "application/vnd.sqlite3" | "application/x-sqlite3" => Some(LoadForm::File),
        "application/sql" | "text/plain" | "text/sql" => Some(LoadForm::Sql),
        _ => None,
    });
    if content == "application/json" {
        let bytes = gateway.small_body(body).await?;
        let ImportBody { upload } = parse_object(&parts.headers, &bytes)?;
        let upload = service.upload_to_load(&caller, &upload)?;
        let mut request = command_request(&parts, &bytes)?;
        request.dry_run = parameters.dry_run == Some(DryRun::Plan);
        let outcome = service.load_database(&request, &db, &upload, form, mode);
        return gateway.job_outcome(outcome.await?);
    }
    if parameters.dry_run == Some(DryRun::Plan) {
        let mut request = command_request(&parts, &[])?;
        request.dry_run = true;
        let upload = UploadId(uuid::Uuid::nil());
        let outcome = service.preview_load(&request, &db, upload, form, mode)?;
        return Ok(PlanView::answer(outcome));
    }
    let received = gateway.receive_file(&caller, &parts.headers, body, true);
    let upload = received.await?;
    let submitted = async {
        let request = command_request(&parts, upload.sha256.as_bytes())?;
        let outcome = service.load_database(&request, &db, &upload, form, mode);
        Ok::<_, Problem>(outcome.await?)
    };
    let submitted = submitted.await;
    let has_job = matches!(&submitted, Ok(Outcome::Done(it)) if !it.accepted.replayed);
    service.leave_to_job(&upload, has_job).await;
    gateway.job_outcome(submitted?)
}

impl Gateway {
    /// A body that is no file.
    async fn small_body(&self, body: Body) -> Result<bytes::Bytes, Problem> {
        let limit = self.config.body_limit;
        let read = tokio::time::timeout(self.config.body_timeout, to_bytes(body, limit));
        match waiting(read).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(Problem::invalid(format!(
                "The body cannot be read, or is longer than {limit} bytes: {error}."
            ))),
            Err(_) => Err(Problem::invalid("The body did not arrive in time.")),
        }
    }
}
