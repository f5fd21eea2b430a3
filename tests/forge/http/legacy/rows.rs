//! Tables and rows as the original routes know them.
use crate::support::sql::{Sql, soon};
use dbforge::data::QueryError;
use dbforge::data::legacy_rows::{RowSelection, create_table, insert_rows, schema, select_rows};

#[tokio::test]
async fn a_table_is_made_filled_read_and_listed() {
    let sql = Sql::new();
    let (plane, target) = (&sql.plane, &sql.target);
    let guard = plane.enter(target.database, soon()).await.unwrap();
    let table = serde_json::from_str(
        r#"{"table_name":"users","columns":[
            {"name":"id","type":"INTEGER","primary_key":true},
            {"name":"name","type":"TEXT","not_null":true},
            {"name":"age","type":"INTEGER","default":18}]}"#,
    )
    .unwrap();
    create_table(plane, &guard, target, &table).await.unwrap();
    let rows = r#"[{"name":"Ann","age":24},{"name":"Bob"},{"age":24,"name":"Cy"}]"#;
    let rows = serde_json::from_str(rows).unwrap();
    let inserted = insert_rows(plane, &guard, target, "users", rows).await;
    assert_eq!(inserted.unwrap(), 3);
    sql.ask("CREATE INDEX by_age ON users (age)").await.unwrap();

    let filter = [("age".to_owned(), "24".to_owned())];
    for (filters, limit, offset, expected) in [
        (
            &filter[..],
            None,
            None,
            r#"{"data":[{"id":1,"name":"Ann","age":24},{"id":3,"name":"Cy","age":24}],"rows_affected":2,"message":null}"#,
        ),
        (
            &[],
            Some(1),
            Some(1),
            r#"{"data":[{"id":2,"name":"Bob","age":18}],"rows_affected":1,"message":null}"#,
        ),
        (
            &filter[..],
            Some(0),
            None,
            r#"{"data":[],"rows_affected":0,"message":null}"#,
        ),
        (
            &[],
            None,
            Some(2),
            r#"{"data":[{"id":3,"name":"Cy","age":24}],"rows_affected":1,"message":null}"#,
        ),
    ] {
        let selection = RowSelection {
            filters: filters.to_vec(),
            limit,
            offset,
            ..RowSelection::default()
        };
        let answer = select_rows(plane, &guard, target, "users", &selection)
            .await
            .unwrap();
        assert_eq!(str::from_utf8(&answer.body).unwrap(), expected);
    }

    let facts = schema(plane, &guard, target).await.unwrap();
    assert_eq!(facts.tables.len(), 1);
    assert_eq!(facts.tables[0].name, "users");
    assert_eq!(facts.tables[0].row_count, 3);
    assert_eq!(facts.indexes, ["by_age"]);
}

#[tokio::test]
async fn rows_of_which_one_is_wrong_leave_nothing_behind() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a UNIQUE)").await.unwrap();
    let guard = sql.plane.enter(sql.target.database, soon()).await.unwrap();
    let rows = serde_json::from_str(r#"[{"a":1},{"a":2},{"a":1}]"#).unwrap();
    let error = insert_rows(&sql.plane, &guard, &sql.target, "t", rows)
        .await
        .unwrap_err();
    assert_eq!(error.statement, 2);
    assert!(
        matches!(error.error, QueryError::Constraint { .. }),
        "{error}"
    );
    let facts = schema(&sql.plane, &guard, &sql.target).await.unwrap();
    assert_eq!(facts.tables[0].row_count, 0);
}

#[tokio::test]
async fn a_name_cannot_carry_sql() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    let guard = sql.plane.enter(sql.target.database, soon()).await.unwrap();
    let selection = RowSelection {
        filters: vec![("a\" = '' OR 1 --".to_owned(), String::new())],
        ..RowSelection::default()
    };
    let error = select_rows(&sql.plane, &guard, &sql.target, "t", &selection)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no such column"), "{error}");
    let error = select_rows(
        &sql.plane,
        &guard,
        &sql.target,
        "t\"; DROP TABLE t --",
        &RowSelection::default(),
    )
    .await
    .unwrap_err();
    assert!(error.to_string().contains("no such table"), "{error}");
    sql.ask("SELECT * FROM t").await.unwrap();
}
