//! Pages of other origins in a browser: only those that are allowed, and never with credentials.
use crate::support::http::{Answer, HttpForge, ROOT};
use dbforge::http::HttpConfig;

const PAGE: &str = "https://app.example.com";

async fn forge_for(origins: &str) -> HttpForge {
    let config = HttpConfig {
        cors_origins: origins.parse().unwrap(),
        ..HttpConfig::default()
    };
    HttpForge::with(config).await
}

/// What an answer tells browsers about other origins.
fn told(answer: &Answer) -> Vec<&str> {
    let names = answer.headers.keys().map(|it| it.as_str());
    names
        .filter(|it| it.starts_with("access-control-"))
        .collect()
}

/// Whether a cache is told that another origin gets another answer.
fn varies_by_origin(answer: &Answer) -> bool {
    let values = answer.headers.get_all("vary").iter();
    let mut names = values.flat_map(|it| it.to_str().unwrap().split(','));
    names.any(|it| it.trim().eq_ignore_ascii_case("origin"))
}

async fn preflight(forge: &HttpForge, origin: &str) -> Answer {
    forge
        .ask("OPTIONS", "/v1/databases/shop/query")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type,prefer",
        )
        .empty()
        .await
}

#[tokio::test]
async fn without_the_setting_no_answer_says_anything_about_origins() {
    let forge = HttpForge::new().await;
    let asked = forge
        .ask("GET", "/v1/databases")
        .token(ROOT)
        .header("origin", PAGE);
    let answer = asked.empty().await;
    assert_eq!(answer.status, 200);
    assert!(told(&answer).is_empty() && !varies_by_origin(&answer));
    let answer = preflight(&forge, PAGE).await;
    assert_eq!((answer.status.as_u16(), told(&answer)), (401, vec![]));
}

#[tokio::test]
async fn a_preflight_of_an_allowed_origin_is_answered_without_a_token() {
    let forge = forge_for(PAGE).await;
    let answer = preflight(&forge, PAGE).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert!(varies_by_origin(&answer));
    let methods = answer.header("access-control-allow-methods");
    assert!(
        ["GET", "POST", "PATCH", "DELETE"]
            .iter()
            .all(|it| methods.contains(it)),
        "{methods}"
    );
    let headers = answer.header("access-control-allow-headers");
    for header in [
        "authorization",
        "x-api-key",
        "content-type",
        "prefer",
        "idempotency-key",
        "if-match",
        "last-event-id",
        "x-request-id",
    ] {
        assert!(
            headers.split(',').any(|it| it == header),
            "{header}: {headers}"
        );
    }
    assert!(
        !answer
            .headers
            .contains_key("access-control-allow-credentials")
    );
}

#[tokio::test]
async fn a_page_may_read_answers_problems_and_their_headers() {
    let forge = forge_for(PAGE).await;
    for (path, status) in [
        ("/v1/databases", 200),
        ("/v1/databases/nowhere", 404),
        ("/nowhere", 404),
    ] {
        let asked = forge.ask("GET", path).token(ROOT).header("origin", PAGE);
        let answer = asked.empty().await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), PAGE, "{path}");
        assert!(varies_by_origin(&answer), "{path}");
        let shown = answer.header("access-control-expose-headers");
        for header in [
            "location",
            "etag",
            "retry-after",
            "x-dbforge-sequence",
            "x-request-id",
        ] {
            assert!(shown.split(',').any(|it| it == header), "{header}: {shown}");
        }
        assert!(
            !answer
                .headers
                .contains_key("access-control-allow-credentials")
        );
    }
    let unknown = forge
        .ask("GET", "/v1/databases")
        .header("origin", PAGE)
        .empty()
        .await;
    assert_eq!(unknown.status, 401);
    assert_eq!(unknown.header("access-control-allow-origin"), PAGE);
}

#[tokio::test]
async fn other_origins_and_null_are_never_allowed() {
    for (origins, others) in [
        (
            PAGE,
            &[
                "null",
                "https://evil.example",
                "http://app.example.com",
                "https://app.example.com.evil",
            ][..],
        ),
        ("*", &["null"]),
    ] {
        let forge = forge_for(origins).await;
        for other in others {
            let asked = forge
                .ask("GET", "/v1/databases")
                .token(ROOT)
                .header("origin", other);
            for answer in [asked.empty().await, preflight(&forge, other).await] {
                assert!(
                    !answer.headers.contains_key("access-control-allow-origin"),
                    "{origins} {other}"
                );
                // A cache must not give it to the pages that are allowed.
                assert!(varies_by_origin(&answer), "{origins} {other}");
            }
        }
    }
}

#[tokio::test]
async fn a_star_allows_every_origin() {
    let forge = forge_for("*").await;
    for origin in [PAGE, "http://localhost:5173"] {
        let answer = preflight(&forge, origin).await;
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(
            !answer
                .headers
                .contains_key("access-control-allow-credentials")
        );
    }
}

#[tokio::test]
async fn options_that_are_no_preflight_are_refused_as_before() {
    let forge = forge_for("*").await;
    let answer = forge
        .ask("OPTIONS", "/v1/databases")
        .token(ROOT)
        .empty()
        .await;
    answer.problem(405, "method_not_allowed");
}
