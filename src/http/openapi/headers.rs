//! Headers of answers: which ones an answer has follows from what it is and from what was asked.
use super::schemas::{sequence, word};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Components, Content, HeaderBuilder, Ref, RefOr, Response, Schema};

const JSON: &str = "application/json";
/// Things with an `ETag`, where an answer is one of them.
const TAGGED: [&str; 10] = [
    "ApiToken",
    "ApplyOutcome",
    "CausedEvent",
    "Database",
    "Job",
    "RunOutcome",
    "Schedule",
    "StoredPlan",
    "UndoOutcome",
    "Webhook",
];
/// Things with a path of their own, which the answer that creates them names.
const LOCATED: [&str; 6] = [
    "ApiToken",
    "Job",
    "Schedule",
    "StoredPlan",
    "Transaction",
    "Webhook",
];

/// Every header, by its name.
const HEADERS: [(&str, &str); 13] = [
    (
        "ETag",
        "Version of what is shown, for `If-Match`: `\"e18\"`",
    ),
    (
        "Idempotent-Replayed",
        "The answer to an earlier request with the same `Idempotency-Key`",
    ),
    ("Location", "Path of what was created, or of the job"),
    ("Preference-Applied", "The wait that was applied: `wait=20`"),
    (
        "RateLimit",
        "What is left of the caller's share: `\"requests\";r=0`",
    ),
    (
        "RateLimit-Policy",
        "The caller's share: `\"requests\";q=768;qu=\"concurrent-requests\"`",
    ),
    ("Retry-After", "Seconds after which to ask again"),
    (
        "Server-Timing",
        "Milliseconds spent: `queue;dur=0.02, exec;dur=0.11`",
    ),
    ("WWW-Authenticate", "How to authenticate"),
    (
        "X-DBForge-Sequence",
        "Sequence number of the last event that the answer includes",
    ),
    (
        "X-DBForge-Truncated",
        "NDJSON and CSV: whether rows were cut off at `max_rows`",
    ),
    ("X-Request-Id", "Id of the request in logs, events and jobs"),
    ("Cache-Control", "`no-store`: the answer has a secret"),
];

/// The headers, for answers to name.
pub(super) fn register(components: &mut Components) {
    for (name, about) in HEADERS {
        let schema: Schema = match name {
            "Retry-After" => ObjectBuilder::new().schema_type(Type::Integer).into(),
            "X-DBForge-Sequence" => sequence().into(),
            "X-DBForge-Truncated" | "Idempotent-Replayed" => word(["true", "false"]).into(),
            _ => ObjectBuilder::new().schema_type(Type::String).into(),
        };
        let header = HeaderBuilder::new()
            .schema(Some(schema))
            .description(Some(about))
            .build();
        components.headers.insert(name.to_owned(), header.into());
    }
}

/// Says which headers the answers of an operation have.
pub(super) fn describe(operation: &mut Operation, is_sequenced: bool) {
    let has = |wanted: &str| {
        let parameters = operation.parameters.iter().flatten();
        parameters.into_iter().any(|parameter| match parameter {
            RefOr::T(parameter) => parameter.name == wanted,
            RefOr::Ref(_) => false,
        })
    };
    let (takes_key, may_wait) = (has("Idempotency-Key"), has("Prefer"));
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let body = body_of(response).unwrap_or_default().to_owned();
        let is_one_of = |names: &[&str]| names.contains(&body.as_str());
        let mut names = vec!["X-Request-Id", "Server-Timing"];
        match status.as_str() {
            "default" => names.extend([
                "Retry-After",
                "RateLimit",
                "RateLimit-Policy",
                "WWW-Authenticate",
            ]),
            _ if is_sequenced => names.push("X-DBForge-Sequence"),
            _ => {}
        }
        if is_one_of(&TAGGED) {
            names.push("ETag");
        }
        let is_created = matches!(status.as_str(), "201" | "202");
        if is_created && is_one_of(&LOCATED) || may_wait && body == "Database" {
            names.push("Location");
        }
        match (status.as_str(), body.as_str()) {
            ("202", "Job") => names.push("Retry-After"),
            ("201", "ApiToken") => names.push("Cache-Control"),
            ("200", "CallerUsage") => names.extend(["RateLimit", "RateLimit-Policy"]),
            ("200", _) if response.content.contains_key("text/csv") => {
                names.push("X-DBForge-Truncated");
            }
            _ => {}
        }
        if takes_key && status.starts_with('2') {
            names.push("Idempotent-Replayed");
        }
        if may_wait && matches!(status.as_str(), "200" | "201") {
            names.push("Preference-Applied");
        }
        let headers = names.into_iter().map(|name| {
            let location = format!("#/components/headers/{name}");
            (name.to_owned(), RefOr::Ref(Ref::new(location)))
        });
        response.headers.extend(headers);
    }
}

/// The name of what an answer shows.
fn body_of(response: &Response) -> Option<&str> {
    let Some(RefOr::T(Content {
        schema: Some(RefOr::Ref(schema)),
        ..
    })) = response.content.get(JSON)
    else {
        return None;
    };
    schema.ref_location.rsplit('/').next()
}
