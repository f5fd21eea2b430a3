//! Texts that try to become SQL, in every place where a request has text.
use super::{run, shop};
use crate::support::http::{HttpForge, ROOT};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

const TEXTS: &[&str] = &[
    "1; DROP TABLE users",
    "1 OR 1=1",
    "1' OR '1'='1",
    "x\" FROM users; DELETE FROM users; --",
    "\") FROM sqlite_schema --",
    "'; DELETE FROM users; --",
    "name/**/,(SELECT sql FROM sqlite_schema)",
    "(SELECT sql FROM sqlite_schema)",
    "id) UNION SELECT name, sql FROM sqlite_schema --",
    "\\\"; DROP TABLE users; --",
    "\u{0}",
    "a\u{0}\"; DROP TABLE users",
    "?1",
    ":name",
    "dbforge_object('{', 1)",
    "randomblob(1000000000)",
    "null::text); DROP TABLE users; --",
    "id->>'a'; DROP TABLE users",
    "\u{202e}users",
];

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    escaped(&format!("\"{text}\""))
}

/// Requests with a text in each place of an address.
fn addresses(text: &str) -> Vec<String> {
    let mut addresses = Vec::new();
    for text in [escaped(text), quoted(text)] {
        for query in [
            format!("?{text}=eq.1"),
            format!("?name=eq.{text}"),
            format!("?name=in.({text})"),
            format!("?name=like.{text}"),
            format!("?name=match.{text}"),
            format!("?name=is.{text}"),
            format!("?name={text}"),
            format!("?data-%3E%3E{text}=eq.1"),
            format!("?or=({text}.eq.1,name.eq.{text})"),
            format!("?select={text}"),
            format!("?select={text}:name"),
            format!("?select=name::{text}"),
            format!("?select=age.{text}()"),
            format!("?select=data-%3E{text}"),
            format!("?select=id,{text}(*)"),
            format!("?select=id,orders!{text}(*)"),
            format!("?select=id,{text}:orders!user_id(*)"),
            format!("?select=id,orders!user_id({text})"),
            format!("?select=id,orders!user_id(*)&orders.{text}=eq.1"),
            format!("?select=id,orders!user_id(*)&orders.order={text}"),
            format!("?order={text}"),
            format!("?order=name.{text}"),
            format!("?order={text}(name)"),
            format!("?limit={text}"),
            format!("?offset={text}"),
            format!("?cursor={text}"),
            format!("/{text}"),
        ] {
            addresses.push(format!("/v1/databases/shop/tables/users/rows{query}"));
        }
        addresses.push(format!("/v1/databases/shop/tables/{text}/rows"));
        addresses.push(format!("/v1/databases/shop/rest/{text}"));
    }
    addresses
}

async fn is_whole(forge: &HttpForge) -> String {
    run(forge, "SELECT (SELECT group_concat(name) FROM sqlite_schema), (SELECT json_group_array(name) FROM users)")
        .await
        .json()["rows"]
        .to_string()
}

#[tokio::test]
async fn no_text_in_an_address_becomes_sql() {
    let forge = shop().await;
    let before = is_whole(&forge).await;
    for text in TEXTS {
        for address in addresses(text) {
            let answer = forge.get(&address).await;
            let status = answer.status.as_u16();
            assert!(
                matches!(status, 200 | 400 | 404),
                "{address}: {status} {}",
                answer.text
            );
            assert!(
                !answer.text.contains("CREATE TABLE"),
                "{address}: {}",
                answer.text
            );
            if status == 400 && answer.json()["code"] == "sql_error" {
                let detail = answer.json()["detail"].to_string();
                let is_known = [
                    "malformed JSON",
                    "REGEXP",
                    "regexp",
                    "bad JSON path",
                    "no such table: main",
                ];
                assert!(
                    is_known.iter().any(|known| detail.contains(known)),
                    "{address}: {detail}"
                );
            }
        }
    }
    assert_eq!(is_whole(&forge).await, before);
}

#[tokio::test]
async fn no_text_in_a_write_becomes_sql() {
    let forge = shop().await;
    let before = is_whole(&forge).await;
    for text in TEXTS {
        let json = serde_json::to_string(text).unwrap();
        for text in [escaped(text), quoted(text)] {
            for (method, query, body) in [
                ("POST", String::new(), format!("{{{json}:1}}")),
                (
                    "POST",
                    format!("?columns={text}"),
                    r#"{"name":"x"}"#.to_owned(),
                ),
                (
                    "POST",
                    format!("?on_conflict={text}"),
                    r#"{"name":"x"}"#.to_owned(),
                ),
                (
                    "POST",
                    format!("?select={text}"),
                    r#"{"name":"x"}"#.to_owned(),
                ),
                ("PATCH", "?id=eq.1".to_owned(), format!("{{{json}:1}}")),
                (
                    "PATCH",
                    format!("?{text}=eq.1"),
                    r#"{"name":"x"}"#.to_owned(),
                ),
                ("PATCH", format!("/{text}"), r#"{"name":"x"}"#.to_owned()),
                ("DELETE", format!("?name=eq.{text}"), String::new()),
                ("DELETE", format!("/{text}"), String::new()),
            ] {
                let path = format!("/v1/databases/shop/tables/users/rows{query}");
                let ask = forge.ask(method, &path).token(ROOT);
                let prefer = "tx=rollback,return=representation,resolution=merge-duplicates";
                let answer = ask.header("prefer", prefer).body(&body).await;
                let status = answer.status.as_u16();
                assert!(
                    matches!(status, 200 | 201 | 400 | 404 | 409),
                    "{method} {path} {body}: {status} {}",
                    answer.text
                );
                assert!(
                    !answer.text.contains("CREATE TABLE"),
                    "{path}: {}",
                    answer.text
                );
            }
        }
    }
    // As values, all of them are kept as they are.
    for text in TEXTS {
        let row = serde_json::json!({"name": text}).to_string();
        let path = "/v1/databases/shop/tables/users/rows?select=name";
        let ask = forge.ask("POST", path).token(ROOT);
        let prefer = "tx=rollback,return=representation";
        let kept = ask.header("prefer", prefer).body(&row).await;
        assert_eq!(kept.json()["data"][0]["name"], *text);
    }
    assert_eq!(is_whole(&forge).await, before);
}
