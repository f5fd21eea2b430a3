//! What clients of the original send beside what its routes are about.
use super::{run_jobs, with_users};
use crate::support::http::{HttpForge, ROOT};

const SPAWN: &str = "/admin/databases/spawn/shop";
const PRUNE: &str = "/admin/databases/prune/shop";

#[tokio::test]
async fn a_body_that_a_route_has_no_use_for_is_ignored_whatever_it_is() {
    let forge = HttpForge::new().await;
    let _jobs = run_jobs(&forge);
    // The C++ client sends as many bytes as its last request had, of memory that is no longer its.
    let stale: &[u8] = b"{\"rows\":[{\"na\x00\xff\xfe\x80";
    let large = vec![b'['; 3 << 20];
    for (headers, body) in [
        (&[("content-type", "application/json")][..], stale),
        (&[("content-type", "application/json")], b"{"),
        (
            &[("content-type", "application/json")],
            br#"[{"name":"x"}]"#,
        ),
        (&[("content-type", "text/html")], b"<p>"),
        (&[("content-encoding", "gzip")], b"not packed"),
        (&[("content-encoding", "br")], b"{}"),
        (&[], &large),
    ] {
        for (method, path) in [
            ("POST", SPAWN),
            ("POST", PRUNE),
            ("POST", SPAWN),
            ("DELETE", "/admin/databases/shop"),
        ] {
            let mut ask = forge.ask(method, path).header("x-api-key", ROOT);
            for (name, value) in headers {
                ask = ask.header(name, value);
            }
            let answer = ask.bytes(body).await;
            assert!(answer.status.is_success(), "{headers:?} {}", answer.text);
        }
    }
    assert_eq!(forge.post(SPAWN, "").await.status, 201);
    for body in [stale, b"{}"] {
        let ask = forge.ask("POST", PRUNE).token(ROOT);
        let answer = ask.header("idempotency-key", "one").bytes(body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_trailing_slash_leads_to_the_same_route() {
    let forge = with_users().await;
    for path in [
        "/admin/databases",
        "/admin/discovery",
        "/admin/databases/shop",
        "/admin/gateway/stats",
        "/admin/stats",
        "/health",
        "/api/db/shop/tables/users/rows",
    ] {
        let answer = forge.get(&format!("{path}/")).await;
        assert_eq!(answer.status, 200, "{path}/: {}", answer.text);
    }
    let filtered = forge.get("/api/db/shop/tables/users/rows/?age=3").await;
    assert_eq!(filtered.json()["rows_affected"], 0);
    let asked = forge.post("/api/db/shop/query/", r#"{"sql":"SELECT 1"}"#);
    assert_eq!(asked.await.status, 200);
    let pruned = forge.post("/admin/databases/prune/nothing/", "").await;
    pruned.problem(404, "database_not_found");

    let counted = forge.get("/admin/gateway/stats/").await;
    let by_route = &counted.json()["requests_by_endpoint"];
    assert_eq!(by_route["GET /admin/databases"], 1, "{by_route}");

    for path in [
        "/v1/databases/",
        "/admin/databases//",
        "/admin/",
        "/api/db/shop/",
    ] {
        forge.get(path).await.problem(404, "route_not_found");
    }
}
