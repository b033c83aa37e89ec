//! Answers whose products changed after they were given.

use crate::prelude::*;

/// A shop with a daemon, a question about the kettle that was answered from it, and the answer.
async fn answered(world: World) -> (World, TestDaemon, Value) {
    let (world, daemon) = world.with_daemon().await;
    let body = json!({ "question": KETTLE, "session_id": "s", "customer_id": "c" });
    let answer = daemon.ask_for(&world, body).await;
    assert_eq!(answer["outcome"], "answered");
    (world, daemon, answer)
}

async fn mark(world: &World) -> u64 {
    world.parts.outdated.mark("product").await.unwrap()
}

#[tokio::test]
async fn who_was_told_a_price_that_changed_is_named_once_without_his_question() {
    let (received, hooks) = recorder();
    let url = serve(hooks).await;
    let events = "events = [\"answer.outdated\"]\nallow_private_addresses = true";
    let world = World::with_webhooks(&webhook("hook", &format!("{url}/"), events)).await;
    world.sync().await;
    world.drain().await;
    let (world, daemon, answer) = answered(world).await;
    assert_eq!(mark(&world).await, 0, "nothing has changed");
    world.in_shop("update product set price = 49.90 where id = 3").await;
    assert_eq!((mark(&world).await, mark(&world).await), (1, 0));
    let (_, now) = daemon.get(&format!("/v1/answers/{}", id_of(&answer))).await;
    let expected = json!({ "source": "product", "key": "3", "changed": ["price"] });
    assert_fields(&now["outdated"], expected.clone());
    wait_until("no message", async || !received.lock().unwrap().is_empty()).await;
    let told = received.lock().unwrap()[0].clone();
    assert_fields(
        &told,
        json!({ "type": "answer.outdated", "data": { "id": id_of(&answer), "session_id": "s" } }),
    );
    assert_fields(&told["data"]["outdated"], expected);
    assert!(!told.to_string().contains("Kettle"), "{told}");
    let page = crate::visitor::Visitor::new(&daemon).page("/answers?outcome=outdated").await;
    assert_contains(page, id_of(&answer));
    daemon.stop().await;
}

#[tokio::test]
async fn a_changed_text_and_a_removed_product_make_answers_outdated_and_an_equal_one_does_not() {
    let (world, daemon, first) = answered(World::synced().await).await;
    world.describe(3, "Steel kettle that holds three litres.").await;
    world.sync().await;
    world
        .until("the text is indexed", "exists (select from shopkeeper.chunk where content like '%three%')")
        .await;
    assert_eq!(mark(&world).await, 1);
    let second = daemon.ask_for(&world, question(KETTLE)).await;
    world.sync_full().await;
    assert_eq!(mark(&world).await, 0, "it was read again and is the same");
    world.in_shop("delete from product where id = 3").await;
    world.sync().await;
    world.until_none("document where key = '3'").await;
    assert_eq!(mark(&world).await, 1);
    let changed = async |answer: &Value| {
        let (_, now) = daemon.get(&format!("/v1/answers/{}", id_of(answer))).await;
        now["outdated"]["changed"].clone()
    };
    assert_eq!((changed(&first).await, changed(&second).await), (json!(["text"]), json!(["removed"])));
    daemon.stop().await;
}

#[tokio::test]
async fn a_text_that_changed_between_the_search_and_the_answer_is_not_missed() {
    let world = World::synced().await;
    world.execute("update shopkeeper.chunk set content = content || ' Changed.' where key = '3'").await;
    let watched = json!({ "watched": [{ "source": "product", "key": "3", "metadata": { "price": 45.00, "stock": 9 },
        "contents": ["Kettle. Steel kettle that holds two litres."], "version": 1, "seconds": 60 }] });
    world
        .execute(&format!(
            "insert into shopkeeper.answer (client, question, request, status) values ('c', 'q', '{{}}', 'completed');
             select shopkeeper.watch_answer(id, '{watched}') from shopkeeper.answer"
        ))
        .await;
    assert_eq!(mark(&world).await, 1);
    assert_eq!(world.text("select outdated ->> 'changed' from shopkeeper.answer").await, "[\"text\"]");
}

#[tokio::test]
async fn what_is_erased_over_or_switched_off_is_not_watched() {
    let (world, daemon, _) = answered(World::synced().await).await;
    assert_eq!(world.count("answer_watch").await, 1);
    daemon.send(Method::DELETE, "/v1/sessions/s", Value::Null).await;
    assert_eq!(world.count("answer_watch").await, 0);
    daemon.ask_for(&world, question(KETTLE)).await;
    world.execute("update shopkeeper.answer_watch set until = now()").await;
    world.in_shop("update product set price = 1 where id = 3").await;
    assert_eq!(mark(&world).await, 0);
    world.store.prune_watches().await.unwrap();
    assert_eq!(world.count("answer_watch").await, 0);
    // One daemon compares a source, once a minute.
    let take = async || world.store.take_comparison("product", Duration::from_secs(50)).await.unwrap();
    assert_eq!((take().await, take().await), (true, false));
    daemon.stop().await;
    let (world, daemon, _) =
        answered(World::synced_with(SHOP, &format!("{SOURCE}\n")).await.unwatched()).await;
    assert_eq!(world.count("answer_watch").await, 0);
    daemon.stop().await;
}

impl World {
    /// The same, with answers that are not watched.
    fn unwatched(mut self) -> Self {
        self.config.answers.limits.watch_for = Duration::ZERO;
        self
    }
}
