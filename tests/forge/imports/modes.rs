//! Into tables that are there: insert, upsert, replace, skipped rows.
use super::{brought, csv, refused, refused_csv, rows, run, send, shop};
use crate::support::http::HttpForge;
use serde_json::json;

async fn people() -> HttpForge {
    let forge = shop().await;
    run(
        &forge,
        "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'nobody', \
         mail UNIQUE, twice AS (id * 2))",
    )
    .await;
    run(
        &forge,
        "INSERT INTO p (id, name, mail) VALUES (1, 'Ann', 'a'), (2, 'Bob', 'b')",
    )
    .await;
    forge
}

const ALL: &str = "SELECT id, name, mail FROM p ORDER BY id";

#[tokio::test]
async fn rows_are_added_changed_or_take_the_place_of_all() {
    let forge = people().await;
    for (parameters, expected) in [
        (
            "",
            "[[1,\"Ann\",\"a\"],[2,\"Bob\",\"b\"],[3,\"nobody\",\"c\"]]",
        ),
        (
            "?atomic=false",
            "[[1,\"Ann\",\"a\"],[2,\"Bob\",\"b\"],[3,\"nobody\",\"c\"]]",
        ),
    ] {
        let told = csv(&forge, &format!("p/import{parameters}"), "MAIL,id\nc,3\n").await;
        assert_eq!(told["written"], 1);
        assert_eq!(rows(&forge, ALL).await.to_string(), expected);
        run(&forge, "DELETE FROM p WHERE id = 3").await;
    }
    for parameters in [
        "mode=upsert",
        "mode=upsert&atomic=false",
        "mode=upsert&on_error=skip",
    ] {
        let told = csv(
            &forge,
            &format!("p/import?{parameters}"),
            "id,name\n2,Bea\n4,Dan\n",
        )
        .await;
        assert_eq!(told["written"], 2, "{parameters}");
        assert_eq!(
            rows(&forge, ALL).await,
            json!([[1, "Ann", "a"], [2, "Bea", "b"], [4, "Dan", null]])
        );
        run(&forge, "DELETE FROM p WHERE id = 4").await;
        run(&forge, "UPDATE p SET name = 'Bob' WHERE id = 2").await;
    }
    csv(
        &forge,
        "p/import?mode=upsert&on_conflict=mail",
        "mail,name\na,Amy\n",
    )
    .await;
    assert_eq!(rows(&forge, ALL).await[0], json!([1, "Amy", "a"]));
    let said = refused_csv(&forge, "p/import?mode=replace", "id,name\n7,Gus\n7,Gil\n").await;
    assert!(
        said.contains("Line 3, column `id`: UNIQUE constraint failed: p.id"),
        "{said}"
    );
    assert_eq!(
        rows(&forge, ALL).await.as_array().unwrap().len(),
        2,
        "nothing was deleted"
    );
    csv(&forge, "p/import?mode=replace", "id,name\n7,Gus\n").await;
    assert_eq!(rows(&forge, ALL).await, json!([[7, "Gus", null]]));
    let lines = b"{\"id\":8}\n{\"id\":9,\"name\":\"Ida\",\"mail\":null}\n";
    for atomic in ["", "?atomic=false"] {
        brought(
            &forge,
            &format!("p/import{atomic}"),
            "application/x-ndjson",
            lines,
        )
        .await;
        let last = rows(&forge, "SELECT name, mail FROM p WHERE id > 7").await;
        assert_eq!(
            last,
            json!([["nobody", null], ["Ida", null]]),
            "defaults where a key is missing"
        );
        run(&forge, "DELETE FROM p WHERE id > 7").await;
    }
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_told_by_its_line_and_column_and_leaves_nothing() {
    let forge = people().await;
    let long: String = (10..5_000)
        .map(|id| format!("{id},\"two\nlines\",\n"))
        .collect();
    for (parameters, file, says) in [
        (
            "",
            "id,name,mail\n3,C,c\n4,D,a\n",
            "Line 3, column `mail`: UNIQUE constraint failed: p.mail; nothing was imported",
        ),
        ("", "id,name\n3,\n", "Line 2, column `name`: NOT NULL"),
        ("", "id,name\nx,y\n", "Line 2: datatype mismatch"),
        (
            "",
            "id,name\n3,y\n4\n",
            "Line 3: the row has 1 fields, not 2",
        ),
        (
            "",
            &format!("id,name,mail\n{long}1,Z,\n"),
            "Line 9982, column `id`: UNIQUE",
        ),
        (
            "?atomic=false",
            &format!("id,name,mail\n{long}1,Z,\n"),
            "Line 9982, column `id`: UNIQUE",
        ),
        (
            "?mode=upsert",
            "name\nx\n",
            "mode=upsert needs the column `id`",
        ),
        (
            "",
            "id,nmae\n3,x\n",
            "has no column `nmae`; is `name` meant?",
        ),
        ("", "id,twice\n3,6\n", "The column `twice` is generated"),
        (
            "?header=false",
            "3,x\n",
            "the file has 2 columns, the table has 3",
        ),
    ] {
        let said = refused_csv(&forge, &format!("p/import{parameters}"), file).await;
        let (said, says) = (said.to_lowercase(), says.to_lowercase());
        assert!(said.contains(&says), "{said}");
        if parameters.is_empty() {
            assert_eq!(
                rows(&forge, ALL).await.as_array().unwrap().len(),
                2,
                "{said}"
            );
        } else if said.contains("atomic=false") {
            let kept = rows(&forge, "SELECT count(*) FROM p WHERE id >= 10").await[0][0].clone();
            assert!(
                said.contains(&format!("the {kept} rows before it are kept")),
                "{said}"
            );
            run(&forge, "DELETE FROM p WHERE id > 2").await;
        }
    }
    let said = refused(
        &forge,
        "p/import",
        "application/json",
        b"[{\"id\":3},\n{\"nmae\":1}]",
    )
    .await;
    assert!(
        said.contains("Line 2: there is no column `nmae`; is `name` meant?"),
        "{said}"
    );
    let said = refused_csv(&forge, "nothing/import?create=never", "a\n1\n").await;
    assert!(said.contains("There is no table `nothing`"), "{said}");
    refused_csv(&forge, "fresh/import", "a,b\n1,2\n3\n").await;
    assert_eq!(
        rows(
            &forge,
            "SELECT name FROM sqlite_schema WHERE name = 'fresh'"
        )
        .await,
        json!([])
    );
}

#[tokio::test]
async fn rows_that_do_not_fit_are_left_out_and_told_until_there_are_too_many() {
    let forge = people().await;
    let file = "id,mail,name\n5,v,A\n5,w,B\n6,v,C\nbad\n7,q,\n8,r,D\nx,1,E\n9,s,F\n";
    let told = csv(&forge, "p/import?on_error=skip", file).await;
    assert_eq!(
        (&told["rows"], &told["written"], &told["skipped"]),
        (&json!(8), &json!(3), &json!(5))
    );
    let errors: Vec<_> = told["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            format!(
                "{} {}",
                error["line"],
                error["column"].as_str().unwrap_or("-")
            )
        })
        .collect();
    assert_eq!(errors, ["3 id", "4 mail", "5 -", "6 name", "8 -"]);
    let ids = rows(&forge, "SELECT id FROM p WHERE id > 2").await;
    assert_eq!(ids, json!([[5], [8], [9]]));
    let many: String = (0..50).map(|_| "1,z,Z\n").collect();
    let file = format!("id,mail,name\n{many}");
    let said = refused_csv(&forge, "p/import?on_error=skip&max_errors=20", &file).await;
    assert!(
        said.contains("More than 20 rows do not fit") && said.contains("line 2, column `id`"),
        "{said}"
    );
    let told = csv(&forge, "p/import?on_error=skip", &file).await;
    assert_eq!(
        (&told["written"], &told["skipped"]),
        (&json!(0), &json!(50))
    );
    assert_eq!(told["errors"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn parameters_that_do_not_fit_each_other_are_refused_before_the_file_is_read() {
    let forge = people().await;
    for (parameters, says) in [
        ("?atomic=true&on_error=skip", "exclude each other"),
        ("?mode=replace&atomic=false", "keeps all rows or none"),
        ("?max_errors=5", "only applies to on_error=skip"),
        ("?on_error=skip&max_errors=1000001", "at most 1000000"),
        ("?on_conflict=id", "only applies to mode=upsert"),
        ("?mode=upsert&on_conflict=,", "1 to 32 columns"),
        ("?delimiter=%7C%7C", "one ASCII character"),
        ("?delimiter=%22", "one ASCII character"),
        ("?delimiter=%C3%A9", "one ASCII character"),
        ("?mode=truncate", "unknown variant"),
        ("?nul=x", "unknown field `nul`"),
        ("?format=json&header=false", "only applies to CSV"),
        ("?header=maybe", "header"),
    ] {
        let answer = send(
            &forge,
            &format!("p/import{parameters}"),
            "text/csv",
            b"id\n9\n",
        )
        .await;
        let said = answer.problem(400, "invalid_request");
        assert!(said.contains(says), "{parameters}: {said}");
    }
    let answer = send(
        &forge,
        "p/import",
        "application/x-www-form-urlencoded",
        b"id\n9\n",
    )
    .await;
    answer.problem(415, "unsupported_media_type");
    let reader = forge.token("reader", "\"read\"", "\"*\"").await;
    let ask = forge
        .ask("POST", "/v1/databases/shop/tables/p/import")
        .token(&reader);
    ask.header("content-type", "text/csv")
        .body("id\n9\n")
        .await
        .problem(403, "insufficient_scope");
    assert_eq!(rows(&forge, ALL).await.as_array().unwrap().len(), 2);
}
