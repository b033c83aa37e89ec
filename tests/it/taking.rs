//! How questions are taken up by workers, whatever became of them before.

use shopkeeper::{offline::Operation, store::jobs::Lease};

use crate::support::{World, execute};

#[tokio::test]
async fn a_question_that_is_taken_up_again_and_fails_again_has_one_escalation() {
    let world = World::new().await;
    let id: uuid::Uuid = world.value("select shopkeeper.ask('How much is the Kettle?')").await;
    for _ in 0..2 {
        // As when its worker died too often, and an operator has it tried again.
        for state in
            ["status = 'in_progress', needs_escalation = false", "status = 'failed', needs_escalation = true"]
        {
            let change = format!(
                "update shopkeeper.answer set {state}, escalation_reason = 'failed' where id = '{id}'"
            );
            execute(&world.url(), &change).await;
        }
    }
    assert_eq!(world.count("escalation where status = 'open'").await, 1);
}

#[tokio::test]
async fn a_question_is_not_taken_back_by_a_worker_whose_claim_is_older() {
    let world = World::new().await;
    let id: uuid::Uuid = world.value("select shopkeeper.ask('How much is the Kettle?')").await;
    let lease = |fence| Lease { job: 1, fence };
    assert!(world.store.take_question(id, 2, lease(6)).await.unwrap().is_some());
    assert!(world.store.take_question(id, 1, lease(5)).await.unwrap().is_none());
    assert!(world.store.take_question(id, 3, lease(7)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_question_by_sql_that_is_too_long_costs_nothing() {
    let world = World::new().await;
    world.sync().await;
    let id: uuid::Uuid = world.value("select shopkeeper.ask(repeat('x', 4001))").await;
    let before = world.script().requests(Operation::Embeddings);
    world.drain().await;
    let error: String = world.value(&format!("select error from shopkeeper.answer where id = '{id}'")).await;
    assert!(error.contains("4001 characters; the most is 4000"), "{error}");
    assert_eq!(world.script().requests(Operation::Embeddings), before);
}
