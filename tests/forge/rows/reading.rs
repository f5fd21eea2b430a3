//! What `select`, filters and embedding answer.
use super::{data, get, run, shop};

#[tokio::test]
async fn filters_find_values_as_their_column_compares_them() {
    let forge = shop().await;
    for (query, ids) in [
        ("users?age=gte.18", "1"),
        ("users?age=not.gte.18", "2"),
        ("users?age=eq.30", "1"),
        ("users?age=is.null", "3"),
        ("users?age=not.is.null", "1 2"),
        ("users?age=is.not_null", "1 2"),
        ("users?age=isdistinct.30", "2 3"),
        ("users?name=eq.30", ""),
        ("users?name=like.*n*", "1"),
        ("users?name=like.a*", ""),
        ("users?name=ilike.a*", "1"),
        ("users?name=like(any).{A*,B*}", "1 2"),
        ("users?name=like(all).{*n*,A*}", "1"),
        ("users?name=match.^[AB]", "1 2"),
        ("users?name=imatch.^c", "3"),
        ("users?active=eq.true", "1 2 3"),
        ("users?active=is.false", ""),
        ("users?id=in.(1,3)", "1 3"),
        ("users?name=in.(\"Ann\",\"x,y\")", "1"),
        ("users?id=in.()", ""),
        ("users?or=(age.lt.18,age.is.null)", "2 3"),
        ("users?not.or=(age.lt.18,age.is.null)", "1"),
        ("users?and=(age.gt.1,or(name.eq.Ann,name.eq.cyd))", "1"),
        ("users?data->>city=eq.Bern", "1"),
        ("users?data->n->>1=eq.2", "1"),
        ("users?ID=eq.1", "1"),
        ("users?rowid=gt.1", "2 3"),
        ("vals?x=eq.5", "1 2"),
        ("vals?x=eq.\\x00ff", "3"),
        ("vals?x=eq.Infinity", "5"),
        ("vals?x=eq.9223372036854775807", "7"),
        ("vals?x=eq.true", "9"),
        ("vals?x=in.(5,1.5)", "1 2 10"),
        ("orders?user_id=eq.1&status=eq.paid", "1"),
        ("grown?name=eq.Ann", "1"),
    ] {
        let joint = if query.contains('?') { "&" } else { "?" };
        let found = data(&forge, &format!("{query}{joint}select=id")).await;
        let ids: Vec<_> = ids
            .split_whitespace()
            .map(|id| format!("{{\"id\":{id}}}"))
            .collect();
        assert_eq!(found, format!("[{}]", ids.join(",")), "{query}");
    }
}

#[tokio::test]
async fn columns_of_odd_names_are_read_filtered_and_sorted() {
    let forge = shop().await;
    let table = "odd \"one\"";
    for filter in [
        "\"select\"=eq.1",
        "\"order\"=eq.x",
        "\"limit\"=lt.6",
        "a b=eq.sp",
        "\"a b\"=eq.sp",
        "a.b=eq.dot",
        "\"a.b\"=eq.dot",
        "\"q\\\"q\"=eq.quo",
        "\"q\"\"q\"=eq.quo",
        "größe=lt.2",
        "50%25=eq.50",
        "or=(\"order\".eq.x,\"select\".eq.7)",
    ] {
        let found = data(&forge, &format!("{table}?{filter}&select=größe")).await;
        assert_eq!(found, r#"[{"größe":1.5}]"#, "{filter}");
    }
    let sorted = data(
        &forge,
        &format!("{table}?order=\"order\".desc&select=\"order\",\"q\"\"q\""),
    )
    .await;
    assert_eq!(
        sorted,
        r#"[{"order":"y","q\"q":"quo2"},{"order":"x","q\"q":"quo"}]"#
    );
    for (wrong, hint) in [
        ("select=eq.1", "\\\"select\\\"=eq.1"),
        ("order=eq.x", "\\\"order\\\"=eq.x"),
        ("limit=gt.5", "\\\"limit\\\"=gt.5"),
    ] {
        let refused = data(&forge, &format!("{table}?{wrong}")).await;
        assert!(refused.contains(hint), "{wrong}: {refused}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_named_with_the_nearest() {
    let forge = shop().await;
    for (query, status, says) in [
        ("users?age=24", 400, "age=eq.24"),
        ("users?agee=eq.3", 400, "did you mean `age`?"),
        ("users?select=id,nmae", 400, "did you mean `name`?"),
        ("users?order=nmae", 400, "did you mean `name`?"),
        ("users?name=eqq.x", 400, "did you mean `eq`?"),
        ("users?name=fts.x", 400, "FTS5"),
        ("users?name=cs.{1}", 400, "SQLite does not have"),
        ("users?select=id::bytea", 400, "not a type"),
        ("users?select=*,nope(*)", 400, "orders!user_id(*)"),
        ("users?select=*,orders(*)", 400, "orders!seller_id(*)"),
        ("users?orders.id=eq.1", 400, "`select=*,orders(*)`"),
        ("users?select=id,id", 400, "two columns are named"),
        ("users?select=*,count()", 400, "beside an aggregate"),
        ("usres", 404, "did you mean `users`?"),
        ("sqlite_schema", 404, "no table"),
        ("users/9", 404, "no row"),
        ("items/1", 400, "order_id,line"),
        ("grown/1", 400, "no key"),
        ("users/1?limit=1", 400, "the path names one"),
        ("users?limit=x", 400, "whole number"),
    ] {
        let answer = get(&forge, query).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
        assert!(
            answer.text.to_lowercase().contains(&says.to_lowercase()),
            "{query}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn values_are_what_they_are_also_inside_of_other_rows() {
    let forge = shop().await;
    run(
        &forge,
        "CREATE TABLE holder (id INTEGER PRIMARY KEY, v INTEGER REFERENCES vals)",
    )
    .await;
    run(&forge, "INSERT INTO holder SELECT id, id FROM vals").await;
    let plain = data(&forge, "vals").await;
    assert!(
        plain.contains("9223372036854775807") && plain.contains("$text_base64"),
        "{plain}"
    );
    let inside = get(&forge, "holder?select=vals(*)").await.text;
    let inside = inside
        .replace("{\"vals\":{", "{")
        .replace("}},", "},")
        .replace("}}]", "}]");
    for part in plain.trim_matches(['[', ']']).split("},{") {
        let part = part.trim_matches(['{', '}']);
        assert!(inside.contains(part), "{part}: {inside}");
    }
}

#[tokio::test]
async fn rows_of_other_tables_are_embedded_along_foreign_keys() {
    let forge = shop().await;
    for (query, answer) in [
        (
            "orders?select=id,users!user_id(name)&id=eq.1",
            r#"[{"id":1,"users":{"name":"Ann"}}]"#,
        ),
        (
            "orders?select=id,seller:users!seller_id(name)&id=eq.3",
            r#"[{"id":3,"seller":null}]"#,
        ),
        (
            "orders?select=id,user_id(name)&id=eq.1",
            r#"[{"id":1,"user_id":{"name":"Ann"}}]"#,
        ),
        (
            "orders?select=id,...users!user_id(buyer:name)&id=eq.3",
            r#"[{"buyer":"Bob","id":3}]"#,
        ),
        (
            "users?select=id,orders!user_id(id)",
            r#"[{"id":1,"orders":[{"id":1},{"id":2}]},{"id":2,"orders":[{"id":3}]},{"id":3,"orders":[]}]"#,
        ),
        (
            "users?select=id,o:orders!user_id(id)&o.order=id.desc&o.limit=1&id=eq.1",
            r#"[{"id":1,"o":[{"id":2}]}]"#,
        ),
        (
            "users?select=id,orders!user_id(id)&orders.status=eq.new&id=eq.1",
            r#"[{"id":1,"orders":[{"id":2}]}]"#,
        ),
        (
            "users?select=id,orders!user_id!inner(id)&orders.status=eq.new",
            r#"[{"id":1,"orders":[{"id":2}]}]"#,
        ),
        (
            "users?select=id,orders!user_id()&orders=is.null",
            r#"[{"id":3}]"#,
        ),
        (
            "users?select=id,orders!user_id(count)",
            r#"[{"id":1,"orders":[{"count":2}]},{"id":2,"orders":[{"count":1}]},{"id":3,"orders":[{"count":0}]}]"#,
        ),
        (
            "users?select=id,orders!user_id(status,total:amount.sum())&id=eq.1",
            r#"[{"id":1,"orders":[{"status":"new","total":20.0},{"status":"paid","total":9.5}]}]"#,
        ),
        (
            "users?select=id,orders!user_id(id,items(sku))&id=eq.1",
            r#"[{"id":1,"orders":[{"id":1,"items":[{"sku":"a"},{"sku":"b,c"}]},{"id":2,"items":[{"sku":"x"}]}]}]"#,
        ),
        (
            "users?select=id,tags(label)&id=eq.2",
            r#"[{"id":2,"tags":[{"label":"new"}]}]"#,
        ),
        (
            "emp?select=name,boss:boss_id(name)&id=eq.2",
            r#"[{"boss":{"name":"Boss"},"name":"Kim"}]"#,
        ),
        (
            "emp?select=name,team:emp!boss_id(name)&id=eq.1",
            r#"[{"name":"Boss","team":[{"name":"Kim"},{"name":"Lee"}]}]"#,
        ),
        (
            "orders?select=id,users!user_id(name)&order=users(name).desc&limit=1",
            r#"[{"id":3,"users":{"name":"Bob"}}]"#,
        ),
    ] {
        let found: serde_json::Value = serde_json::from_str(&data(&forge, query).await).unwrap();
        let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
        assert_eq!(found, answer, "{query}");
    }
}

#[tokio::test]
async fn groups_are_counted_summed_and_sorted() {
    let forge = shop().await;
    for (query, answer) in [
        ("users?select=count()", r#"[{"count":3}]"#),
        ("users?select=count", r#"[{"count":3}]"#),
        (
            "orders?select=status,n:count(),amount.sum(),top:amount.max()&order=n.desc",
            r#"[{"amount.sum":0}]"#,
        ),
        (
            "users?select=active,age.avg()",
            r#"[{"active":1,"avg":23.5}]"#,
        ),
        ("users?select=age.min()::text", r#"[{"min":"17"}]"#),
    ] {
        let found = data(&forge, query).await;
        if query.starts_with("orders") {
            assert_eq!(
                found,
                r#"[{"n":2,"status":"paid","sum":14.5,"top":9.5},{"n":1,"status":"new","sum":20.0,"top":20.0}]"#
            );
        } else {
            assert_eq!(found, answer, "{query}");
        }
    }
}

#[tokio::test]
async fn json_is_read_by_arrows_and_casts() {
    let forge = shop().await;
    let found = data(
        &forge,
        "users?id=eq.1&select=data->>city,data->n,first:data->n->0,all:data::json,id::text",
    )
    .await;
    assert_eq!(
        found,
        r#"[{"all":{"city":"Bern","n":[1,2]},"city":"Bern","first":1,"id":"1","n":[1,2]}]"#
    );
}

#[tokio::test]
async fn values_in_json_are_compared_and_sorted_as_what_they_are() {
    let forge = shop().await;
    run(&forge, "CREATE TABLE docs (id INTEGER PRIMARY KEY, d TEXT)").await;
    run(
        &forge,
        "INSERT INTO docs (d) VALUES ('{\"n\":5}'), ('{\"n\":30}'), ('{\"n\":-7}'), ('{\"n\":100}'), \
         ('{\"n\":\"x\"}'), ('{\"n\":null}')",
    )
    .await;
    for (query, ids) in [
        ("d->n=gt.20&d->n=lt.1000", [2, 4].as_slice()),
        ("d->>n=gt.20&d->>n=lt.1000", &[2, 4]),
        ("d->n=lt.6", &[1, 3]),
        ("d->n=in.(5,100)", &[1, 4]),
        ("d->n=eq.x", &[5]),
        ("d->n=neq.5&d->n=lt.1000", &[2, 3, 4]),
        ("d->>n=is.null", &[6]),
        ("d->n=not.is.null", &[1, 2, 3, 4, 5, 6]),
    ] {
        let found = data(&forge, &format!("docs?select=id&order=id&{query}")).await;
        let expected: Vec<String> = ids.iter().map(|id| format!(r#"{{"id":{id}}}"#)).collect();
        assert_eq!(found, format!("[{}]", expected.join(",")), "{query}");
    }
    let sorted = data(&forge, "docs?select=id&order=d->n&id=lt.5").await;
    assert_eq!(sorted, r#"[{"id":3},{"id":1},{"id":2},{"id":4}]"#);
}

#[tokio::test]
async fn one_row_is_read_by_its_key_and_known_by_its_mark() {
    let forge = shop().await;
    for (path, row) in [
        ("users/1?select=name", r#"{"data":{"name":"Ann"}}"#),
        (
            "items/1,2",
            r#"{"data":{"order_id":1,"line":2,"sku":"b,c"}}"#,
        ),
        ("strict/1", ""),
    ] {
        let answer = get(&forge, path).await;
        if row.is_empty() {
            answer.problem(404, "row_not_found");
            continue;
        }
        assert_eq!(answer.text, row, "{path}");
        let known = forge
            .ask("GET", &super::rows(path))
            .token(crate::support::http::ROOT);
        let known = known
            .header("if-none-match", answer.header("etag"))
            .empty()
            .await;
        assert_eq!(
            (known.status.as_u16(), known.text.as_str()),
            (304, ""),
            "{path}"
        );
    }
}
