//! What Drizzle, Prisma, better-auth, Django and Alembic write as migrations applies as it is.
use super::{apply, rows, shop};
use serde_json::{Value, json};
use std::path::Path;

/// The migrations of a tool, in the order of their names.
fn written_by(tool: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/migrations");
    let files = std::fs::read_dir(folder.join(tool)).unwrap();
    let read = files.map(|file| {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        (name, std::fs::read_to_string(file.path()).unwrap())
    });
    let mut migrations: Vec<_> = read.collect();
    migrations.sort();
    migrations
}

/// Applies the first migration of a tool, then statements, then the other ones.
async fn with_rows_in_between(tool: &str, statements: &[&str], question: &str) -> Value {
    let forge = shop().await;
    let migrations = written_by(tool);
    assert!(migrations.len() > 1, "{tool}");
    for (at, (name, sql)) in migrations.iter().enumerate() {
        let applied = apply(&forge, name, sql).await;
        assert_eq!(applied.status, 201, "{tool} {name}: {}", applied.text);
        if at == 0 {
            for statement in statements {
                rows(&forge, statement).await;
            }
        }
    }
    let broken = rows(&forge, "PRAGMA foreign_key_check").await;
    assert_eq!(broken, json!([]), "{tool}");
    rows(&forge, question).await
}

#[tokio::test]
async fn what_drizzle_writes_applies_and_keeps_the_rows() {
    let kept = with_rows_in_between(
        "drizzle",
        &[
            "INSERT INTO users (email) VALUES ('a@b')",
            "INSERT INTO posts (id, author) VALUES (7, 1)",
            "INSERT INTO \"post-tags\" VALUES (7, 'new')",
        ],
        "SELECT author, title, tag, role FROM posts, \"post-tags\", users",
    );
    assert_eq!(kept.await, json!([[1, "it's \"new\"", "new", "user"]]));
}

#[tokio::test]
async fn what_prisma_writes_applies_and_keeps_the_rows() {
    let kept = with_rows_in_between(
        "prisma",
        &[
            "INSERT INTO User (email, name) VALUES ('a@b', NULL)",
            "INSERT INTO Post (title, authorId) VALUES ('x', 1)",
        ],
        "SELECT name, title, slug FROM User, Post",
    );
    assert_eq!(kept.await, json!([["none", "x", null]]));
}

#[tokio::test]
async fn what_better_auth_writes_applies_and_keeps_the_rows() {
    let kept = with_rows_in_between(
        "better-auth",
        &["INSERT INTO \"user\" VALUES ('u', 'Ann', 'a@b', 1, NULL, 1, 1)"],
        "SELECT name, twoFactorEnabled FROM \"user\"",
    );
    assert_eq!(kept.await, json!([["Ann", 0]]));
}

#[tokio::test]
async fn what_django_writes_applies_and_keeps_the_rows() {
    let kept = with_rows_in_between(
        "django",
        &[
            "INSERT INTO shop_customer (email, joined) VALUES ('a@b', '2026-01-01')",
            "INSERT INTO shop_order (customer_id) VALUES (1)",
        ],
        "SELECT email, vip, notes, total FROM shop_customer, shop_order",
    );
    assert_eq!(kept.await, json!([["a@b", 0, "it's \"quoted\"", 0]]));
}

#[tokio::test]
async fn what_alembic_writes_applies_and_keeps_the_rows() {
    let kept = with_rows_in_between(
        "alembic",
        &[
            "INSERT INTO user (email) VALUES ('a@b')",
            "INSERT INTO \"order\" (user_id) VALUES (1)",
        ],
        "SELECT email, name, user_id, version_num FROM user, \"order\", alembic_version",
    );
    assert_eq!(kept.await, json!([["a@b", "", 1, "0002"]]));
}
