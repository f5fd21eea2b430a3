//! Databases are found by what is known of them; tokens are shown without what lets them in.
use crate::support::NOON;
use crate::support::history::History;
use crate::support::read_model::{Folder, contents, follow, whole};
use crate::support::sqlite;
use dbforge::clock::timestamp::Timestamp;
use dbforge::domain::command::{Command, DatabaseChange};
use dbforge::domain::database::DatabaseState;
use dbforge::projections::control_db::{ControlDb, DatabaseFilter, Order, TokenFilter};

async fn names(control_db: &ControlDb, filter: &DatabaseFilter) -> Vec<String> {
    let databases = whole!(control_db, list_databases, filter, 2);
    databases.iter().map(|it| it.name.to_string()).collect()
}

#[tokio::test]
async fn databases_are_found_by_state_label_and_a_part_of_their_name() {
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &History::eventful().log).await;
    let all = DatabaseFilter::default();
    assert_eq!(
        names(&control_db, &all).await,
        ["shop", "Ledger", "jammed", "shopping-2", "waiting"],
        "what was abandoned or purged is not listed"
    );
    let now = Timestamp::from_millis(NOON);
    let in_state = |state| DatabaseFilter {
        state: Some((state, now)),
        ..DatabaseFilter::default()
    };
    let labelled = |key: &str, value: &str| DatabaseFilter {
        labels: vec![(key.into(), value.into())],
        ..DatabaseFilter::default()
    };
    let named = |part: &str| DatabaseFilter {
        name_part: Some(part.into()),
        ..DatabaseFilter::default()
    };
    for (filter, expected) in [
        (in_state(DatabaseState::Ready), &["shop"][..]),
        (in_state(DatabaseState::Stopped), &["Ledger"]),
        (in_state(DatabaseState::Failed), &["jammed"]),
        (in_state(DatabaseState::Trashed), &["shopping-2"]),
        (in_state(DatabaseState::Creating), &["waiting"]),
        (labelled("team", "blue"), &["shop", "Ledger"]),
        (labelled("team", "red"), &["waiting"]),
        (labelled("team", "gre"), &[]),
        (named("HOP"), &["shop", "shopping-2"]),
        (named("dge"), &["Ledger"]),
        (named("%"), &[]),
        (
            DatabaseFilter {
                state: Some((DatabaseState::Stopped, now)),
                name_part: Some("e".into()),
                ..labelled("team", "blue")
            },
            &["Ledger"],
        ),
        (
            DatabaseFilter {
                name_part: Some("p".into()),
                order: Order::Descending,
                ..in_state(DatabaseState::Trashed)
            },
            &["shopping-2"],
        ),
    ] {
        assert_eq!(names(&control_db, &filter).await, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn labels_follow_when_they_are_changed() {
    let mut history = History::begin();
    let database = history.create("shop", &[("team", "blue"), ("stage", "test")]);
    let change = DatabaseChange {
        labels: Some([("team".to_owned(), "red".to_owned())].into()),
        ..Default::default()
    };
    history.submit("root", Command::ChangeDatabase { database, change });
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    for (key, value, expected) in [
        ("team", "red", &["shop"][..]),
        ("team", "blue", &[]),
        ("stage", "test", &[]),
    ] {
        let filter = DatabaseFilter {
            labels: vec![(key.into(), value.into())],
            ..DatabaseFilter::default()
        };
        assert_eq!(names(&control_db, &filter).await, expected, "{key}={value}");
    }
}

#[tokio::test]
async fn a_removed_database_keeps_its_row_for_the_history() {
    let folder = Folder::new();
    let (_open, _) = follow(&folder, &History::eventful().log).await;
    let connection = sqlite::open(folder.file());
    let sql = "SELECT group_concat(name || ' ' || state, ', ' ORDER BY requested)
               FROM databases WHERE removed_at IS NOT NULL";
    let removed: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(removed, "doomed abandoned, scratch purged");
}

#[tokio::test]
async fn tokens_are_listed_without_what_would_let_anybody_in() {
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &History::eventful().log).await;
    let filter = TokenFilter::default();
    let accepted = whole!(control_db, list_tokens, filter, 1);
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0].name, "ci");
    assert_eq!(accepted[0].databases, ["pr-*"]);
    assert_eq!(accepted[0].revoked_at, None);
    let filter = TokenFilter {
        include_revoked: true,
        order: Order::Descending,
    };
    let all = whole!(control_db, list_tokens, filter, 1);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].name, "old");
    assert!(all[0].revoked_at > Some(all[0].created_at));
    let text = contents(&folder.file());
    let (_, tokens) = text.split_once("# tokens").unwrap();
    assert!(tokens.contains("pr-*"), "the table is there");
    assert!(!tokens.contains("hash-of"), "{tokens}");
}
