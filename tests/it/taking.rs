//! How workers take questions, whatever happened to them before.

use crate::prelude::*;
use shopkeeper::{answering::job::AnswerQuestion, store::jobs::Lease};

/// A world in which the price is asked for.
async fn asked() -> (World, Uuid) {
    let world = World::new().await;
    let id = world.ask_by_sql(PRICE).await;
    (world, id)
}

#[tokio::test]
async fn a_question_that_is_taken_up_again_and_fails_again_has_one_escalation() {
    let (world, id) = asked().await;
    // As when its worker died too often, and an operator has it tried again.
    for status in ["in_progress", "failed", "in_progress", "failed"] {
        let state = format!("status = '{status}', needs_escalation = {}", status == "failed");
        let change = format!("update shopkeeper.answer set {state}, escalation_reason = 'failed'");
        world.execute(&format!("{change} where id = '{id}'")).await;
    }
    assert_eq!(world.count("escalation where status = 'open'").await, 1);
}

#[tokio::test]
async fn a_question_is_not_taken_back_by_a_worker_whose_claim_is_older() {
    let (world, id) = asked().await;
    let lease = |fence| Lease { job: 1, fence };
    assert!(world.store.take_question(id, 2, lease(6)).await.unwrap().is_some());
    assert!(world.store.take_question(id, 1, lease(5)).await.unwrap().is_none());
    assert!(world.store.take_question(id, 3, lease(7)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_question_that_was_given_up_is_not_taken_by_the_worker_that_was_given_up_with_it() {
    let (world, id) = asked().await;
    let claim = async |worker| {
        let (kind, lease) = (AnswerQuestion::KIND, Duration::from_mins(1));
        let claim = Claim { kind, worker, limit: 1, lease, max_attempts: 1, ..Claim::default() };
        world.store.claim(claim).await.unwrap().remove(0).lease
    };
    let asleep = claim("asleep").await;
    let rescue =
        "update shopkeeper.job set lease_until = now() - interval '1 s'; select shopkeeper.rescue(10)";
    world.execute(rescue).await;
    assert_eq!(world.count("answer where status = 'failed'").await, 1);
    assert!(world.store.take_question(id, 1, asleep).await.unwrap().is_none());
    // A retry gets it.
    assert_eq!(world.store.retry_jobs(&dead("answer_question")).await.unwrap(), 1);
    assert!(world.store.take_question(id, 1, claim("awake").await).await.unwrap().is_some());
}

#[tokio::test]
async fn a_question_by_sql_that_is_too_long_costs_nothing() {
    let world = World::synced().await;
    let id: Uuid = world.value("select shopkeeper.ask(repeat('x', 4001))").await;
    let before = world.embedding_requests();
    world.drain().await;
    let error = world.text(&format!("select error from shopkeeper.answer where id = '{id}'")).await;
    assert_contains(error, "4001 characters; the most is 4000");
    assert_eq!(world.embedding_requests(), before);
}

#[tokio::test]
async fn a_client_that_keeps_its_question_locked_keeps_no_other_past_its_time() {
    let world = World::new().await;
    for (limit, status) in
        [("start_before => now() - interval '1 s'", "expired"), ("cancel_after_s => 0.001", "cancelled")]
    {
        let ask = format!("select shopkeeper.ask('How much is the Kettle?', {limit})");
        let locked: Uuid = world.value(&ask).await;
        let client =
            world.begin(&format!("select from shopkeeper.answer where id = '{locked}' for update")).await;
        world.execute(&ask).await;
        sleep(Duration::from_millis(2)).await;
        assert_eq!(world.store.end_overdue_answers().await.unwrap(), 1);
        client.rollback().await.unwrap();
        assert_eq!(world.store.end_overdue_answers().await.unwrap(), 1);
        assert_eq!(world.count(&format!("answer where status = '{status}'")).await, 2);
    }
    // Nor does a lock by a foreign key hold up a question.
    let ask = "select shopkeeper.ask('How much is the Kettle?', cancel_after_s => 0.001)";
    let id: Uuid = world.value(ask).await;
    let refer = "insert into shopkeeper.answer_event (answer_id, n, kind, data)";
    let client = world.begin(&format!("{refer} values ('{id}', 1, 'delta', '{{}}')")).await;
    assert_eq!(world.store.end_overdue_answers().await.unwrap(), 1);
    client.rollback().await.unwrap();
}
