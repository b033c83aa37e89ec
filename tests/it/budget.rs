//! What may be asked of a model server, by all daemons together.

use crate::prelude::*;
use shopkeeper::{
    indexing::fill::REFRESHING,
    model::{Message, Prompt, Role},
    store::budgets::{ModelAddress, Rates},
};
use sqlx::Connection;

const RATES: Rates = Rates { requests: Some(60), tokens: Some(6000) };

/// A small shop whose model server has these limits.
async fn limited(limits: &str) -> World {
    let mut world = World::new().await;
    world.change_settings("timeout = \"20s\"", &format!("timeout = \"20s\"\n{limits}")).await;
    world
}

fn model(server: &str, model: &str) -> ModelAddress {
    ModelAddress { server: server.to_owned(), model: model.to_owned() }
}

/// How long a request of so many tokens has to wait, of which a share is reserved for others.
async fn take(world: &World, model: &ModelAddress, rates: Rates, tokens: u64, reserve: f64) -> Duration {
    world.store.take_budget(model, rates, 1, tokens, reserve).await.unwrap()
}

#[tokio::test]
async fn a_budget_is_shared_fills_up_steadily_and_leaves_answers_their_share() {
    let world = World::new().await;
    let began = Instant::now();
    // As long as this takes, a budget fills and a wait passes.
    let meanwhile = || began.elapsed();
    let (one, another) = (model("server", "m"), model("another", "m"));
    let take_of_one = async |tokens, reserve| take(&world, &one, RATES, tokens, reserve).await;
    // Ten seconds bring ten requests, of which backfill leaves some.
    let mut taken = 0;
    while take_of_one(1, 0.5).await.is_zero() {
        taken += 1;
    }
    assert!((5..=5 + meanwhile().as_secs() + 1).contains(&taken), "{taken}");
    assert!(take_of_one(1, 0.5).await <= Duration::from_secs(1));
    assert!(take_of_one(1, 0.0).await.is_zero(), "answers go on");
    // More tokens than ten seconds bring are lent, and paid back before the next request.
    assert!(take_of_one(2000, 0.0).await.is_zero());
    let wait = take_of_one(1, 0.0).await;
    assert!(wait + meanwhile() > Duration::from_secs(8) && wait < Duration::from_secs(11), "{wait:?}");
    assert!(take(&world, &another, RATES, 1, 0.0).await.is_zero());
    world.store.hold_budget(&another, Duration::from_secs(30)).await.unwrap();
    let wait = take(&world, &another, RATES, 1, 0.0).await;
    assert!(wait + meanwhile() > Duration::from_secs(29) && wait < Duration::from_secs(32), "{wait:?}");
    world.store.hold_budget(&another, Duration::from_secs(1)).await.unwrap();
    let wait = take(&world, &another, RATES, 1, 0.0).await;
    assert!(wait + meanwhile() > Duration::from_secs(25), "what it said before holds: {wait:?}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_holds_no_budget() {
    let world = World::new().await;
    let model = model("server", "m");
    let ahead = "update shopkeeper.model_budget set at = clock_timestamp() + interval '1 hour'";
    for _ in 0..2 {
        assert!(take(&world, &model, RATES, 1, 0.0).await.is_zero());
        world.execute(ahead).await;
    }
    world.store.hold_budget(&model, Duration::from_secs(2)).await.unwrap();
    let wait = take(&world, &model, RATES, 1, 0.0).await;
    assert!(wait < Duration::from_secs(5), "{wait:?}");
}

#[tokio::test]
async fn a_server_that_asks_for_patience_is_left_alone_by_all() {
    let world = World::new().await;
    world.script().queue(Operation::Embeddings, [back_after(429, Duration::from_mins(10))]);
    world.try_sync().await.unwrap();
    let workers = world.workers();
    world.until_count(3, "job where last_error is not null").await;
    world.in_shop("insert into product values (9, 'Lamp', 'Shines.', 9, 1)").await;
    world.try_sync().await.unwrap();
    world.until_count(4, "job where last_error is not null").await;
    workers.stop().await;
    assert_eq!(world.embedding_requests(), 1, "nobody asked again");
    assert_eq!(world.count("job where attempts = 0 and run_at > now() + interval '9 min'").await, 4);
}

#[tokio::test]
async fn the_money_of_a_day_stops_the_backfill_and_not_the_answers() {
    let mut world = World::with(SHOP, &(SOURCE.to_owned() + "[budget]\nembedding_usd = 0.001\n")).await;
    world.sync().await;
    assert!(world.count("usage where usd > 0.001").await > 0, "the first request was free to go over it");
    world.describe(3, "Too dear.").await;
    world.try_sync().await.unwrap();
    world.with_workers(world.until_some("job where last_error like 'today%dollars%'")).await;
    let midnight = "job where run_at >= ((now() at time zone 'UTC')::date + 1)::timestamp at time zone 'UTC'";
    assert_eq!(world.count(midnight).await, 1);
    world.answer_by_sql(KETTLE).await;
    // While no money is left, the job waits; when the budget is raised, a daemon that starts resumes it.
    for (limit, waiting) in [("0.001", 1), ("0.002", 1), ("1000", 0)] {
        world.change_settings("embedding_usd = ", &format!("embedding_usd = {limit} #")).await;
        world.parts.versions.first_model().backfill.resume(REFRESHING).await.unwrap();
        assert_eq!(world.count(midnight).await, waiting, "{limit}");
    }
}

#[tokio::test]
async fn what_a_search_and_an_answer_that_fails_cost_is_counted() {
    let world = World::synced().await;
    let tokens = "select coalesce(sum(tokens), 0)::bigint from shopkeeper.usage where operation = 'answer'";
    assert_eq!(world.value::<i64>(tokens).await, 0);
    world.found(KETTLE).await;
    let searched: i64 = world.value(tokens).await;
    assert!(searched > 0);

    // Its question is embedded twice, and the model answers neither, but is paid.
    world.script().always(Operation::Completions, Fault::WrongCount);
    let id = world.ask_by_sql(KETTLE).await;
    let workers = world.workers();
    world.until_some(&format!("answer where outcome = 'fallback' and id = '{id}'")).await;
    let chat = format!(
        "select (usage ->> 'input_tokens')::bigint + (usage ->> 'output_tokens')::bigint from shopkeeper.answer
         where id = '{id}'"
    );
    let chat: i64 = world.value(&chat).await;
    let before: i64 = world.value(tokens).await;
    assert_eq!((before, chat > 0), (3 * searched + chat, true));

    // A cancelled one is charged for its last attempt.
    world.script().always(Operation::Completions, status(500));
    let id = world.ask_by_sql(KETTLE).await;
    world.until_some(&format!("job where last_error is not null and key = '{id}'")).await;
    world.value::<bool>(&format!("select shopkeeper.cancel_answer('{id}')")).await;
    workers.stop().await;
    assert_eq!(world.value::<i64>(tokens).await, before + searched);
}

#[tokio::test]
async fn what_a_server_says_is_left_holds_for_all() {
    let world = limited("requests_per_minute = 3000\ntokens_per_minute = 1000000").await;
    world.script().queue(Operation::Embeddings, [Fault::Left { requests: 400, tokens: 7 }]);
    world.sync().await;
    let left: (f64, f64) = world.row("select requests, tokens from shopkeeper.model_budget").await;
    assert!(left.0 > 300.0 && (left.1 - 7.0).abs() < 0.1, "{left:?}");
    world.script().queue(Operation::Embeddings, [Fault::Left { requests: 0, tokens: 1_000_000 }]);
    world.sync_after(world.describe(3, "Glass kettle.")).await;
    let requests: f64 = world.value("select requests from shopkeeper.model_budget").await;
    assert!(requests.abs() < 0.1, "{requests}");
}

#[tokio::test]
async fn requests_at_the_same_time_share_what_one_of_them_draws() {
    // What a process draws at once is ten requests.
    let world = limited("requests_per_minute = 6000\ntokens_per_minute = 100000000").await;
    world.sync().await;
    join_all((0..20).map(|n| world.found(["kettle", "lamp"][n % 2]))).await;
    let left: f64 = world.value("select requests from shopkeeper.model_budget").await;
    assert!(left > 900.0, "{left} of 1000 are left");
}

#[tokio::test]
async fn each_model_of_a_server_has_a_budget_of_its_own() {
    let world = World::new().await;
    let (chat, embedding) = (model("server", "chat"), model("server", "embedding"));
    let large = Rates { requests: Some(3000), tokens: Some(1_000_000) };
    let small = Rates { requests: Some(6), tokens: Some(30_000) };
    let take = async |model, rates| take(&world, model, rates, 1000, 0.0).await;
    assert!(take(&chat, small).await.is_zero());
    assert!(!take(&chat, small).await.is_zero(), "its one request is spent");
    world.store.hold_budget(&chat, Duration::from_mins(10)).await.unwrap();
    for _ in 0..24 {
        assert!(take(&embedding, large).await.is_zero());
    }
    world.store.correct_budget(&chat, Some(0), Some(0)).await.unwrap();
    assert!(take(&embedding, large).await.is_zero());
    world.store.correct_budget(&embedding, Some(0), Some(0)).await.unwrap();
    let left = "select requests from shopkeeper.model_budget where model = 'embedding'";
    assert!(world.value::<f64>(left).await.abs() < 0.1);
}

#[tokio::test]
async fn a_model_without_limits_is_asked_at_once_unless_its_server_wants_patience() {
    let world = World::new().await;
    let unlimited = model("server", "m");
    let free = Rates { requests: None, tokens: None };
    for _ in 0..100 {
        assert_eq!(take(&world, &unlimited, free, 1_000_000, 0.9).await, Duration::ZERO);
    }
    world.store.hold_budget(&unlimited, Duration::from_mins(10)).await.unwrap();
    assert!(take(&world, &unlimited, free, 1, 0.0).await > Duration::from_mins(1));
    // One limit alone holds by itself.
    let (requests, tokens) = (Rates { requests: Some(6), ..free }, Rates { tokens: Some(60), ..free });
    for (name, rates) in [("requests", requests), ("tokens", tokens)] {
        let limited = model(name, "m");
        assert!(take(&world, &limited, rates, 100, 0.0).await.is_zero(), "{name}");
        assert!(!take(&world, &limited, rates, 100, 0.0).await.is_zero(), "{name}");
    }
    // A server on a loopback address has no limits by default.
    assert_eq!(world.parts.composer.budget.rates(), free);
}

#[tokio::test]
async fn an_overloaded_server_that_names_no_time_or_none_is_left_alone_all_the_same() {
    for (retry_after, least) in [(Some(Duration::ZERO), 1), (None, 5)] {
        for code in [429, 503] {
            let world = World::new().await;
            world.script().always(Operation::Embeddings, Fault::Status { code, retry_after });
            world.try_sync().await.unwrap();
            let workers = world.workers();
            world.until_count(3, "job where last_error is not null").await;
            let early = format!("job where run_at < started_at + interval '{least} seconds'");
            assert_eq!(world.count(&early).await, 0, "{code} {retry_after:?}");
            let others = format!(
                "select at + held * interval '1 s' >= (select min(created_at) from shopkeeper.job) + interval '{least} s'
                 from shopkeeper.model_budget"
            );
            assert!(world.value::<bool>(&others).await, "others wait too");
            workers.stop().await;
        }
    }
}

#[tokio::test]
async fn a_server_without_a_key_gets_no_authorization_and_one_with_a_key_gets_it() {
    let mut world = World::with_files(SHOP, SOURCE, &[("openai.key", "sk-test\n")]).await;
    let sent = async |world: &World| {
        world.sync().await;
        world.answer_by_sql(KETTLE).await;
        let headers = [Operation::Embeddings, Operation::Completions]
            .map(|operation| world.script().headers(operation).pop().unwrap().remove("authorization"));
        headers.map(|header| header.map(|header| header.to_str().unwrap().to_owned()))
    };
    assert_eq!(sent(&world).await, [None, None]);
    let with_key = "timeout = \"20s\"\napi_key = { file = \"openai.key\" }";
    world.change_settings("timeout = \"20s\"", with_key).await;
    let bearer = Some("Bearer sk-test".to_owned());
    assert_eq!(sent(&world).await, [bearer.clone(), bearer]);
}

/// A model server that takes no vectors in base64.
fn refuses_base64() -> Fault {
    Fault::Refuses(r#""encoding_format":"base64""#.to_owned())
}

#[tokio::test]
async fn a_request_is_sent_in_another_form_once_and_then_never_again_in_the_first() {
    let world = World::new().await;
    world.script().always(Operation::Embeddings, refuses_base64());
    world.script().always(Operation::Completions, Fault::Refuses(r#""stream":true"#.to_owned()));
    world.sync().await;
    assert_eq!(world.fresh().await, 3);
    assert_eq!(world.embedding_requests(), 2);
    for (asked, sent) in [(1, 2), (2, 3)] {
        world.ask_by_sql(KETTLE).await;
        world.with_workers(world.until_none("answer where status <> 'completed'")).await;
        assert_eq!((world.embedding_requests(), world.completion_requests()), (2 + asked, sent));
    }
}

#[tokio::test]
async fn a_second_request_in_another_form_waits_for_the_budget_like_any_other() {
    // One request, and the next after ten seconds.
    let world = limited("requests_per_minute = 6").await;
    world.script().always(Operation::Embeddings, refuses_base64());
    world.try_sync().await.unwrap();
    world.with_workers(world.until_count(3, "job where waits_for = 'rate_limit'")).await;
    assert_eq!(world.embedding_requests(), 1);
    let waits: (String, String) =
        world.row("select distinct waits_server, waits_model from shopkeeper.job").await;
    assert_eq!(waits, (world.models.base_url().to_owned(), "hash".to_owned()));
}

#[tokio::test]
async fn a_rejected_text_is_asked_once_and_again_only_when_something_changed_or_somebody_wants_it() {
    let world = World::synced().await;
    let poisoned = Fault::Rejected("poison".to_owned());
    world.script().always(Operation::Embeddings, poisoned.clone());
    world.describe(3, "Full of poison.").await;
    let requests = || world.embedding_requests();
    let before = requests();
    world.sync().await;
    assert_eq!(requests(), before + 1, "the form is known, so the text is to blame");
    assert_eq!(world.count("document_index where state = 'failed'").await, 1);
    let rejecting = "select rejected_by from shopkeeper.document_index where state = 'failed'";
    assert_eq!(world.text(rejecting).await, world.models.base_url());

    assert_eq!(world.sync().await.enqueued, 0);
    assert_eq!(requests(), before + 1);
    // What else fails is tried by each sync.
    world.script().always(Operation::Embeddings, Fault::WrongDimension);
    world.sync_after(world.describe(2, "Sound.")).await;
    assert_eq!(world.sync().await.enqueued, 1);
    world.script().always(Operation::Embeddings, poisoned);
    world.sync().await;
    assert_eq!(world.count("document_index where state = 'failed'").await, 1);

    let before = requests();
    world.sync_full().await;
    assert_eq!(requests(), before + 1);
    world.execute("select shopkeeper.refresh('product', '3')").await;
    world.drain().await;
    assert_eq!(requests(), before + 2);
    // Another server may take it.
    let other = ["http://another/v1".to_owned()];
    assert_eq!(world.store.retry_failed("product", &other, "refresh_document").await.unwrap(), 1);
    world.drain().await;
    assert_eq!(requests(), before + 3);
    world.sync_after(world.describe(3, "Harmless.")).await;
    assert_eq!(requests(), before + 4);
    assert_eq!(world.fresh().await, 3);
    assert_eq!(world.sync().await.enqueued, 0);
}

#[tokio::test]
async fn tokens_that_an_answer_did_not_use_come_back() {
    let world = limited("tokens_per_minute = 6000").await;
    world.sync().await;
    let prompt = Prompt {
        system: "Answer.".to_owned(),
        messages: vec![Message { role: Role::User, content: "Is it blue?".to_owned() }],
        temperature: Some(0.0),
        max_tokens: 50,
        thought_tokens: 0,
    };
    let composer = &world.parts.composer;
    let left = "select tokens from shopkeeper.model_budget where model = 'extractive'";
    let mut tokens = Vec::new();
    for _ in 0..2 {
        composer.budget.complete(&*composer.completer, &prompt, None, 500, &[]).await.unwrap();
        tokens.push(world.value::<f64>(left).await);
    }
    assert!((tokens[0] - 500.0).abs() < 0.1, "of a thousand: {tokens:?}");
    assert!(tokens[1] > 400.0, "the second takes what the first did not use: {tokens:?}");
}

/// The one wait for a budget that `status --json` and `queue list --json` name, and `status` in words.
async fn waiting(world: &World) -> (Value, String) {
    let [status, listed] = [world.run_json("status").await, world.run_json("queue list").await];
    let ([wait], [same]) = (as_list(&status["waiting"]), as_list(&listed["waiting"])) else {
        panic!("{status} {listed}");
    };
    assert_eq!((&wait["kind"], &wait["model"]), (&same["kind"], &same["model"]));
    (wait.clone(), world.run_ok("status").await)
}

/// A small shop with a daemon that may ask the chat model so often, and questions for it.
async fn asked(questions: usize, per_minute: u32) -> (World, TestDaemon) {
    let mut world = World::new().await;
    world.change_settings("[answers]", &format!("[answers]\nrequests_per_minute = {per_minute}")).await;
    let (world, daemon) = world.with_daemon().await;
    for _ in 0..questions {
        world.ask_by_sql(KETTLE).await;
    }
    (world, daemon)
}

#[tokio::test]
async fn it_is_said_which_jobs_were_put_off_for_which_budget_and_since_when() {
    // One answer, and the next after a minute.
    let (world, daemon) = asked(4, 1).await;
    world.until_count(3, "job where waits_for = 'rate_limit'").await;
    let (wait, text) = waiting(&world).await;
    let server = world.models.base_url();
    let expected = json!({ "kind": "answer_question", "jobs": 3, "waits_for": "rate_limit", "server": server,
                           "model": "extractive" });
    assert_fields(&wait, expected);
    let since: DateTime<Utc> = serde_json::from_value(wait["since"].clone()).unwrap();
    let first = "select min(waits_since) from shopkeeper.job";
    assert_eq!(world.value::<DateTime<Utc>>(first).await, since);
    assert_contains(text, &format!("answer_question: 3 wait for the budget of extractive at {server}"));
    let metrics = daemon.metrics().await;
    let labels = format!(
        "{{kind=\"answer_question\",waits_for=\"rate_limit\",server=\"{server}\",model=\"extractive\"}}"
    );
    assert_contains(&metrics, &format!("shopkeeper_budget_waiting_jobs{labels} 3\n"));
    assert_contains(&metrics, &format!("shopkeeper_budget_waiting_age_seconds{labels} "));
    // Put off once more for the same, they still wait since then.
    world.hurry().await;
    world.until("they were tried", "bool_and(waits_since < started_at) from shopkeeper.job").await;
    world.until_count(3, "job where state = 'scheduled'").await;
    assert_eq!(world.value::<DateTime<Utc>>(first).await, since);
    daemon.stop().await;
}

#[tokio::test]
async fn it_is_said_which_jobs_wait_in_their_slots_for_which_budget() {
    // An answer every three seconds: no job is put off.
    let (world, daemon) = asked(20, 20).await;
    world.until_some("budget_wait where jobs > 5").await;
    let (wait, text) = waiting(&world).await;
    assert_fields(&wait, json!({ "kind": "answer_question", "model": "extractive" }));
    assert!(wait["jobs"].as_i64() > Some(1), "{wait}");
    let since: DateTime<Utc> = world.value("select since from shopkeeper.budget_wait").await;
    assert_eq!(serde_json::from_value::<DateTime<Utc>>(wait["since"].clone()).unwrap(), since);
    assert_contains(text, " wait for the budget of extractive at ");
    // The rows of a daemon that died without removing them soon expire.
    let gone = "insert into shopkeeper.budget_wait (worker, kind, server, model, jobs, seen_at)
        values ('gone', 'eval', 's', 'm', 5, now() - interval '1 minute')";
    world.execute(gone).await;
    assert_eq!(waiting(&world).await.0["kind"], "answer_question");
    world.execute("select shopkeeper.cancel_answer(id) from shopkeeper.answer").await;
    daemon.stop().await;
    assert_eq!(world.count("budget_wait").await, 0, "a daemon that stops takes back what it said");
}

/// Pages that letting ten jobs go on touches.
async fn pages(world: &World) -> i64 {
    let hasten = "select shopkeeper.hasten('refresh_document', 'daily_budget', 10)";
    let mut connection = world.ours.acquire().await.unwrap();
    let (_, pages) = touched(&mut connection, hasten).await;
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query(hasten).execute(&mut *transaction).await.unwrap();
    let ready = "select count(*) from shopkeeper.job where state = 'ready'";
    let hastened: i64 = sqlx::query_scalar(ready).fetch_one(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(hastened, 10);
    pages
}

#[tokio::test]
async fn letting_jobs_go_on_touches_no_more_pages_beside_many_that_wait_for_something_else() {
    let world = World::new().await;
    let fill = async |jobs: u32, waits_for: &str, hours: u32| {
        let statement = format!(
            "insert into shopkeeper.job (kind, state, run_at, last_error, waits_for)
             select 'refresh_document', 'scheduled', now() + interval '{hours} hours', 'it waits', {waits_for}
             from generate_series(1, {jobs})"
        );
        world.execute(&statement).await;
    };
    fill(1000, "'daily_budget'", 2).await;
    // The planner keeps believing that there are a thousand.
    world.execute(FREEZE_STATISTICS).await;
    let few = pages(&world).await;
    fill(50_000, "null", 1).await;
    fill(50_000, "'rate_limit'", 1).await;
    let many = pages(&world).await;
    assert!(many <= few + 30, "{few} pages, and {many} beside a hundred thousand");
}
