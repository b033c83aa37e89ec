//! What may be asked of a model server, by all daemons together.

use std::time::{Duration, Instant};

use shopkeeper::{
    jobs::index_documents::REFRESHING,
    offline::{Fault, Operation},
    store::usage::Rates,
};

use crate::support::{SOURCE, World, execute};

const RATES: Rates = Rates { requests: 60, tokens: 6000 };

#[tokio::test]
async fn a_budget_is_shared_fills_up_steadily_and_leaves_answers_their_share() {
    let world = World::new().await;
    let began = Instant::now();
    // As long as this takes, a budget fills and a wait passes.
    let meanwhile = || began.elapsed();
    let take =
        async |tokens, reserve| world.store.take_budget("server", RATES, 1, tokens, reserve).await.unwrap();
    // Ten seconds bring ten requests, of which backfill leaves some.
    let mut taken = 0;
    while take(1, 0.5).await.is_zero() {
        taken += 1;
    }
    assert!((5..=5 + meanwhile().as_secs() + 1).contains(&taken), "{taken}");
    assert!(take(1, 0.5).await <= Duration::from_secs(1));
    assert!(take(1, 0.0).await.is_zero(), "answers go on");
    // More tokens than ten seconds bring are lent, and paid back before the next request.
    assert!(take(2000, 0.0).await.is_zero());
    let wait = take(1, 0.0).await;
    assert!(wait + meanwhile() > Duration::from_secs(8) && wait < Duration::from_secs(11), "{wait:?}");
    assert!(world.store.take_budget("another", RATES, 1, 1, 0.0).await.unwrap().is_zero());
    world.store.hold_budget("another", RATES, Duration::from_secs(30)).await.unwrap();
    let wait = world.store.take_budget("another", RATES, 1, 1, 0.0).await.unwrap();
    assert!(wait + meanwhile() > Duration::from_secs(29) && wait < Duration::from_secs(32), "{wait:?}");
    world.store.hold_budget("another", RATES, Duration::from_secs(1)).await.unwrap();
    let wait = world.store.take_budget("another", RATES, 1, 1, 0.0).await.unwrap();
    assert!(wait + meanwhile() > Duration::from_secs(25), "what it said before holds: {wait:?}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_holds_no_budget() {
    let world = World::new().await;
    let take = async || world.store.take_budget("server", RATES, 1, 1, 0.0).await.unwrap();
    assert!(take().await.is_zero());
    let ahead = "update shopkeeper.model_budget set at = clock_timestamp() + interval '1 hour'";
    execute(&world.url(), ahead).await;
    assert!(take().await.is_zero());
    execute(&world.url(), ahead).await;
    world.store.hold_budget("server", RATES, Duration::from_secs(2)).await.unwrap();
    let wait = take().await;
    assert!(wait < Duration::from_secs(5), "{wait:?}");
}

#[tokio::test]
async fn a_server_that_asks_for_patience_is_left_alone_by_all() {
    let world = World::new().await;
    let retry_after = Some(Duration::from_mins(10));
    world.script().queue(Operation::Embeddings, [Fault::Status { code: 429, retry_after }]);
    world.try_sync().await.unwrap();
    let workers = world.workers();
    world.until("all wait", "count(*) = 3 from shopkeeper.job where last_error is not null").await;
    world.in_shop("insert into product values (9, 'Lamp', 'Shines.', 9, 1)").await;
    world.try_sync().await.unwrap();
    world.until("so does the next", "count(*) = 4 from shopkeeper.job where last_error is not null").await;
    workers.stop().await;
    assert_eq!(world.script().requests(Operation::Embeddings), 1, "nobody asked again");
    assert_eq!(world.count("job where attempts = 0 and run_at > now() + interval '9 min'").await, 4);
}

#[tokio::test]
async fn the_money_of_a_day_stops_the_backfill_and_not_the_answers() {
    let mut world =
        World::with(crate::support::SHOP, &(SOURCE.to_owned() + "[budget]\nembedding_usd = 0.001\n")).await;
    world.sync().await;
    assert!(world.count("usage where usd > 0.001").await > 0, "the first request was free to go over it");
    world.in_shop("update product set description = 'Too dear.' where id = 3").await;
    world.try_sync().await.unwrap();
    let workers = world.workers();
    world
        .until("it waits", "exists (select from shopkeeper.job where last_error like 'today%dollars%')")
        .await;
    let midnight = "job where run_at >= ((now() at time zone 'UTC')::date + 1)::timestamp at time zone 'UTC'";
    assert_eq!(world.count(midnight).await, 1);
    let id: uuid::Uuid = world.value("select shopkeeper.ask('Which kettle holds two litres?')").await;
    world
        .until("it is answered", &format!("status = 'completed' from shopkeeper.answer where id = '{id}'"))
        .await;
    workers.stop().await;
    // As long as there is none, it waits on; when there is more, a daemon that starts lets it go on.
    for (limit, waiting) in [("0.001", 1), ("0.002", 1), ("1000", 0)] {
        let (part, other) = ("embedding_usd = ", format!("embedding_usd = {limit} #"));
        world.change_settings(part, &other).await;
        world.parts.versions.models()[0].backfill.resume(REFRESHING).await.unwrap();
        assert_eq!(world.count(midnight).await, waiting, "{limit}");
    }
}

#[tokio::test]
async fn what_a_search_and_an_answer_that_fails_cost_is_counted() {
    let world = World::new().await;
    world.sync().await;
    let tokens = "select coalesce(sum(tokens), 0)::bigint from shopkeeper.usage where operation = 'answer'";
    assert_eq!(world.value::<i64>(tokens).await, 0);
    world.found("Which kettle holds two litres?").await;
    let searched: i64 = world.value(tokens).await;
    assert!(searched > 0);

    // Its question is embedded three times, and the model answers none of them.
    let failure = Fault::Status { code: 500, retry_after: None };
    world.script().always(Operation::Completions, Fault::WrongCount);
    let id: uuid::Uuid = world.value("select shopkeeper.ask('Which kettle holds two litres?')").await;
    let workers = world.workers();
    world.until("it failed", &format!("status = 'failed' from shopkeeper.answer where id = '{id}'")).await;
    assert_eq!(world.value::<i64>(tokens).await, 4 * searched);

    // One that nobody waits for any longer.
    world.script().always(Operation::Completions, failure);
    let id: uuid::Uuid = world.value("select shopkeeper.ask('Which kettle holds two litres?')").await;
    world.until("it waits", &format!("last_error is not null from shopkeeper.job where key = '{id}'")).await;
    world.value::<bool>(&format!("select shopkeeper.cancel_answer('{id}')")).await;
    workers.stop().await;
    assert_eq!(world.value::<i64>(tokens).await, 5 * searched);
}

#[tokio::test]
async fn what_a_server_says_is_left_holds_for_all() {
    let world = World::new().await;
    world.script().queue(Operation::Embeddings, [Fault::Left { requests: 400, tokens: 7 }]);
    world.sync().await;
    let left: (f64, f64) = sqlx::query_as("select requests, tokens from shopkeeper.model_budget")
        .fetch_one(&world.ours)
        .await
        .unwrap();
    assert!(left.0 > 300.0 && (left.1 - 7.0).abs() < 0.1, "{left:?}");
    world.script().queue(Operation::Embeddings, [Fault::Left { requests: 0, tokens: 1_000_000 }]);
    world.in_shop("update product set description = 'Glass kettle.' where id = 3").await;
    world.sync().await;
    let requests: f64 = world.value("select requests from shopkeeper.model_budget").await;
    assert!(requests.abs() < 0.1, "{requests}");
}
