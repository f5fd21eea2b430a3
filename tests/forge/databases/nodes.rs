//! Where databases belong: the founding node alone does the work of its own.
use crate::support::commit;
use crate::support::test_forge::{INSTANCE, TestForge};
use dbforge::domain::event::{DatabasePlaced, Event, NodeJoined};
use dbforge::domain::ids::{DatabaseId, NodeId};
use uuid::Uuid;

const OTHER: NodeId = NodeId(Uuid::from_u128(0xb0));

/// Has the log tell what a later version will write.
async fn tell(forge: TestForge, n: u64, events: Vec<Event>) -> TestForge {
    let head = forge.kept.log.head();
    let told = forge
        .kept
        .log
        .append(head.sequence, vec![commit(n, events)]);
    told.unwrap();
    forge.restart()
}

fn placed(database: DatabaseId, node: NodeId) -> Event {
    DatabasePlaced { database, node }.into()
}

#[tokio::test]
async fn a_database_belongs_on_the_founding_node_until_it_is_placed_elsewhere() {
    let forge = TestForge::new().await;
    let shop = forge.ready("shop").await;
    let node_of = |forge: &TestForge| {
        let current = forge.control.current();
        current.state.node_of(&forge.database(shop))
    };
    assert_eq!(node_of(&forge), Some(NodeId::founding(INSTANCE)));
    let joined = NodeJoined {
        node: OTHER,
        name: "attic".to_owned(),
    };
    let forge = tell(forge, 1, vec![joined.into(), placed(shop, OTHER)]).await;
    assert_eq!(node_of(&forge), Some(OTHER));
    let text = forge.control.current().state.to_string();
    assert!(
        text.contains(&format!("node      {OTHER} (attic)")),
        "{text}"
    );
    assert!(text.contains(&format!("node        {OTHER}")), "{text}");
}

#[tokio::test]
async fn jobs_and_workers_of_another_node_are_left_to_it() {
    let forge = TestForge::new().await;
    let shop = forge.ready("shop").await;
    let (waiting, _) = forge.request("waiting").await;
    let elsewhere = vec![placed(shop, OTHER), placed(waiting, OTHER)];
    let forge = tell(forge, 1, elsewhere).await;
    assert!(!forge.runner.run_until_idle().await.unwrap());
    assert_eq!(forge.database(waiting).state().as_str(), "creating");
    let folder = forge.kept.folder.path().join(format!("databases/{shop}"));
    std::fs::remove_file(folder.join("main.db")).unwrap();
    for _ in 0..3 {
        assert_eq!(forge.reconcile().await, []);
    }

    let own = NodeId::founding(INSTANCE);
    let forge = tell(forge, 2, vec![placed(waiting, own)]).await;
    forge.settle().await;
    assert_eq!(forge.database(waiting).state().as_str(), "ready");
}
