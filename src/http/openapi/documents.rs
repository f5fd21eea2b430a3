//! The OpenAPI document, Swagger UI, error pages and the greeting.
use crate::http::extract::fields::SequenceNumber;
use crate::http::extract::{NoParameters, PathParts, StrictQuery};
use crate::http::response::error::{ErrorCode, Problem, ProblemBody};
use crate::http::response::reply;
use crate::http::response::views::plan::PlanView;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _, ToSchema};
use utoipa_swagger_ui::SwaggerUi;

/// Where the description is.
const OPENAPI: &str = "/openapi.json";
/// The routes of [`documents`].
pub(crate) const PATHS: [&str; 4] = [OPENAPI, "/docs", "/docs/", "/docs/{*rest}"];

/// What is the same for every route.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Praetorian DB-Forge",
        description = "SQLite databases on demand, on your own machine. Lifecycle calls return a job; \
                       SQL returns its result. Errors are `application/problem+json`.",
    ),
    servers((url = "/", description = "This gateway")),
    components(schemas(PlanView, ProblemBody, SequenceNumber)),
    security(("bearer" = []), ("api_key" = [])),
    modifiers(&TokenSchemes),
    tags(
        (name = "databases", description = "Create, inspect, change and delete databases"),
        (name = "jobs", description = "Follow, cancel and retry background jobs"),
        (name = "history", description = "Event history, current and past state"),
        (name = "plans", description = "Commands that wait for approval"),
        (name = "schedules", description = "Commands that run at set times"),
        (name = "webhooks", description = "Receivers of events"),
        (name = "drift", description = "Differences between the event log and the actual state"),
        (name = "tokens", description = "API tokens and their permissions"),
        (name = "sql", description = "Run SQL"),
        (name = "schema", description = "See and change tables"),
        (name = "rows", description = "Read and change rows without SQL"),
        (name = "imports", description = "Upload files to import"),
        (name = "exports", description = "Take data out as files"),
        (name = "original", description = "The legacy API, unchanged"),
        (name = "health", description = "Health, readiness and metrics"),
    )
)]
struct Base;

struct TokenSchemes;

impl Modify for TokenSchemes {
    fn modify(&self, openapi: &mut OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let key = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(key));
    }
}

/// The description without any route.
pub(crate) fn base() -> OpenApi {
    Base::openapi()
}

/// The description itself, and Swagger UI that reads it from here alone.
pub(crate) fn documents(openapi: &OpenApi) -> Router {
    let text = openapi.to_json().map(Bytes::from);
    let text = text.expect("a description of routes always becomes JSON");
    let description = get(async move |_: axum::extract::Request| {
        ([(header::CONTENT_TYPE, "application/json")], text).into_response()
    });
    let config = utoipa_swagger_ui::Config::from(OPENAPI).persist_authorization(true);
    Router::new()
        .route(OPENAPI, description)
        .merge(SwaggerUi::new("/docs").config(config))
}

/// What `GET /` says.
#[derive(Serialize, ToSchema)]
struct Greeting {
    #[schema(example = "Praetorian DB-Forge is online.")]
    message: &'static str,
}

/// Show a greeting
#[utoipa::path(get, path = "/", tag = "health", security(()),
    responses((status = 200, body = Greeting)))]
pub(crate) async fn greet(_: StrictQuery<NoParameters>) -> Response {
    let message = "Praetorian DB-Forge is online.";
    reply::json(StatusCode::OK, &Greeting { message })
}

/// Explain an error code
#[utoipa::path(get, path = "/problems/{code}", tag = "health", security(()),
    params(("code" = String, Path, description = "Error code, as in an error's `type`")),
    responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn show_problem(
    PathParts(code): PathParts<String>,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    let word = code.replace('-', "_");
    let code = ErrorCode::ALL.iter().find(|it| it.as_str() == word);
    let code = code.ok_or_else(|| {
        let detail = format!("Unknown error code `{word}`.");
        Problem::new(ErrorCode::RouteNotFound, detail).hint("GET /openapi.json describes the API")
    })?;
    let later = if code.is_retryable() {
        "Retrying the same request may succeed."
    } else {
        "Retrying the same request will not help."
    };
    Ok(Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <h1>{title}</h1><p>Code <code>{code}</code>, status {status}.</p>\
         <p>{meaning}</p><p>{later}</p><p><a href=\"/docs/\">The API</a></p></html>\n",
        title = code.title(),
        status = code.status().as_u16(),
        meaning = escape(code.meaning()),
    ))
    .into_response())
}

/// Text as HTML shows it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Nothing is at this path.
pub(crate) fn no_route(request: &axum::extract::Request) -> Problem {
    Problem::new(
        ErrorCode::RouteNotFound,
        format!("No route matches `{}`.", request.uri().path()),
    )
    .hint("GET /docs lists every route")
}

/// Something is at this path, for other methods: the `Allow` header has them.
pub(crate) fn no_method(request: &axum::extract::Request) -> Problem {
    Problem::new(
        ErrorCode::MethodNotAllowed,
        format!(
            "`{}` does not support the method {}.",
            request.uri().path(),
            request.method()
        ),
    )
    .hint("the `Allow` header lists the supported methods")
}
