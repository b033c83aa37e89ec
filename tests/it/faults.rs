//! What goes wrong in the world: each fault has a clear error, and nothing is lost by it.

use crate::prelude::*;
use shopkeeper::daemon::Listeners;

async fn failure(world: &World) -> String {
    world.value("select coalesce(min(error), '') from shopkeeper.document_index where state = 'failed'").await
}

#[tokio::test]
async fn vectors_of_another_dimension_are_refused_with_both_numbers() {
    let world = World::new().await;
    world.script().always(Operation::Embeddings, Fault::WrongDimension);
    world.sync().await;
    let error = failure(&world).await;
    assert!(error.contains("63 dimensions") && error.contains("embedding.dimensions is 64"), "{error}");
    assert_eq!(world.count("chunk").await, 0);
    assert_eq!(world.count("job_history where outcome = 'dead'").await, 3);
    // Mended, the next full sync indexes what failed.
    world.script().clear();
    world.run(&["sync", "--full"]).await;
    world.drain().await;
    assert_eq!(world.fresh().await, 3);
}

#[tokio::test]
async fn every_kind_of_nonsense_from_the_model_is_retried_and_never_stored() {
    let faults = [Fault::WrongCount, Fault::BadJson, Fault::Nonsense, Fault::NotFinite, Fault::CutConnection];
    for fault in faults {
        let world = World::new().await;
        world.in_shop("delete from product where id <> 3").await;
        world.script().queue(Operation::Embeddings, [fault.clone()]);
        world.try_sync().await.unwrap();
        let workers = world.workers();
        world.arrived(Operation::Embeddings, 1).await;
        world.until("it is retried or waits", "exists (select from shopkeeper.job where last_error is not null) or exists (select from shopkeeper.job_history)").await;
        // An outage waits longer than a test does.
        world.execute("update shopkeeper.job set run_at = now()").await;
        world.until_none("job").await;
        workers.stop().await;
        assert_eq!(world.found("kettle").await, ["Kettle"], "after {fault:?}");
    }
}

#[tokio::test]
async fn an_input_that_the_model_has_no_vector_for_fails_alone_in_either_format() {
    for (fault, says) in
        [(Fault::Zeros("Kettle".into()), "a vector of zeros"), (Fault::Nan("Kettle".into()), "not finite")]
    {
        for in_decimals in [false, true] {
            let world = World::new().await;
            if in_decimals {
                // The first answer in base64 cannot be read: the other format is asked for, and kept.
                world.script().queue(Operation::Embeddings, [Fault::BadJson]);
            }
            world.script().always(Operation::Embeddings, fault.clone());
            world.sync().await;
            let fresh: Vec<String> = world
                .values("select key from shopkeeper.document_index where state = 'fresh' order by key")
                .await;
            assert_eq!(fresh, ["1", "2"], "{fault:?}");
            assert!(failure(&world).await.contains(says), "{}", failure(&world).await);
            assert_eq!(world.count("chunk").await, 2);
            assert_eq!(world.count("job_history where outcome = 'dead' and attempts = 3").await, 1);
            let last = world.script().bodies(Operation::Embeddings).pop().unwrap();
            assert_eq!(last["encoding_format"], if in_decimals { "float" } else { "base64" });

            world.script().clear();
            world.run(&["sync", "--full"]).await;
            world.drain().await;
            assert_eq!(world.fresh().await, 3);
            assert_eq!(world.found("kettle").await[0], "Kettle");
        }
    }
}

#[tokio::test]
async fn where_no_input_has_a_vector_the_server_is_at_fault_and_is_not_asked_for_each_alone() {
    let world = World::new().await;
    world.script().always(Operation::Embeddings, Fault::Zeros(String::new()));
    world.sync().await;
    assert!(failure(&world).await.contains("a vector of zeros"), "{}", failure(&world).await);
    assert_eq!((world.count("chunk").await, world.count("job_history where outcome = 'dead'").await), (0, 3));
    // Three documents with three attempts each: no request more than if each had been asked for alone.
    assert!(world.embedding_requests() <= 9);
}

#[tokio::test]
async fn vectors_in_another_order_go_to_their_own_chunks() {
    let world = World::new().await;
    let sentences: String = (0..30).map(|n| format!("Part {n} is made of material{n}. ")).collect();
    world
        .in_shop(&format!(
            "delete from product where id <> 3; update product set description = '{sentences}'"
        ))
        .await;
    world.script().always(Operation::Embeddings, Fault::WrongOrder);
    world.sync().await;
    let found = world.parts.retriever.look_up("material17", SearchFilter::default(), 1).await.unwrap();
    assert!(found[0].content.contains("material17"), "{}", found[0].content);
}

#[tokio::test]
async fn a_model_server_that_is_down_leaves_the_old_chunks_searchable_and_charges_no_attempt() {
    let world = World::new().await;
    world.sync().await;
    world.describe(3, "New words.").await;
    world.script().always(Operation::Embeddings, Fault::Status { code: 503, retry_after: None });
    world.try_sync().await.unwrap();
    let workers = world.workers();
    world.until_some("job where last_error is not null").await;
    assert_eq!(world.count("chunk where content like '%litres%'").await, 1);
    let (attempts, error): (i32, String) = world.row("select attempts, last_error from shopkeeper.job").await;
    assert_eq!(attempts, 0);
    assert!(error.contains(world.models.base_url()) && error.contains("503"), "{error}");
    world.script().clear();
    world.execute("update shopkeeper.job set run_at = now()").await;
    world.until_none("job").await;
    workers.stop().await;
    assert_eq!(world.found("new words").await[0], "Kettle");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_the_server_asks() {
    let world = World::new().await;
    world.in_shop("delete from product where id <> 3").await;
    let retry_after = Some(Duration::from_mins(10));
    world.script().queue(Operation::Embeddings, [Fault::Status { code: 429, retry_after }]);
    world.try_sync().await.unwrap();
    let workers = world.workers();
    world.until_some("job where last_error is not null").await;
    workers.stop().await;
    let waits: bool = world.value("select run_at > now() + interval '590 seconds' from shopkeeper.job").await;
    assert!(waits);
}

#[tokio::test]
async fn a_slow_model_server_is_given_up_in_time() {
    let mut world = World::new().await;
    world.change_settings("timeout = \"20s\"", "timeout = \"5s\"").await;
    world.in_shop("delete from product where id <> 3").await;
    world.script().always(Operation::Embeddings, Fault::Held);
    let started = Instant::now();
    world.try_sync().await.unwrap();
    let workers = world.workers();
    world.until_some("job where last_error like '%no answer in time%'").await;
    assert!(started.elapsed() >= Duration::from_secs(4), "openai.timeout is 5 s");
    world.script().clear();
    workers.stop().await;
}

#[tokio::test]
async fn a_row_that_cannot_be_rendered_fails_alone() {
    let source = SOURCE.replace("{{ name }}. {{ description }}", "{{ name }} {{ 10 // stock }}");
    let world = World::with(
        "create table product (id int primary key, name text, price numeric, stock int);
         insert into product values (1, 'A', 1, 5), (2, 'B', 1, 0)",
        &source,
    )
    .await;
    world.sync().await;
    assert_eq!(world.fresh().await, 1);
    assert!(failure(&world).await.contains("text:"), "{}", failure(&world).await);
}

async fn misfit(shop: &str, section: &str) -> String {
    let world = World::with(shop, section).await;
    let error = world.try_sync().await.unwrap_err();
    assert!(matches!(error, SyncError::Catalogue(_)), "{error}");
    assert_eq!(world.count("job").await, 0);
    error.to_string()
}

const TINY: &str = "create table product (id int, name text, description text, price numeric, stock int);
    insert into product values (1, 'A', '', 1, 1), (1, 'B', '', 1, 1), (null, 'C', '', 1, 1)";

#[tokio::test]
async fn a_template_that_names_a_missing_column_is_told_which_there_are() {
    let error = misfit(TINY, &SOURCE.replace("{{ description }}", "{{ desciption }}")).await;
    assert!(error.contains("`desciption`") && error.contains("id, name, description"), "{error}");
}

#[tokio::test]
async fn duplicate_keys_are_refused_by_name() {
    let world = World::with(TINY, SOURCE).await;
    world.in_shop("delete from product where id is null").await;
    let error = world.try_sync().await.unwrap_err().to_string();
    assert!(error.contains("\"1\" is listed more than once"), "{error}");
}

#[tokio::test]
async fn a_null_key_is_refused() {
    let world = World::with(TINY, SOURCE).await;
    world.in_shop("delete from product where id is not null").await;
    let error = world.try_sync().await.unwrap_err().to_string();
    assert!(error.contains("the key column is null"), "{error}");
}

#[tokio::test]
async fn a_wrong_where_is_the_shop_databases_own_words() {
    let source = SOURCE.replace("key = \"id\"", "key = \"id\"\nwhere = \"is_live\"");
    let error = misfit(TINY, &source).await;
    assert!(error.contains("source `product`") && error.contains("is_live"), "{error}");
}

#[tokio::test]
async fn a_source_that_does_not_fit_any_more_keeps_no_answer_from_being_given() {
    let world = World::new().await;
    world.sync().await;
    world.in_shop("alter table product rename column description to words").await;
    let stop = CancellationToken::new();
    let listeners = Listeners::bind(&world.config, Roles::ALL).unwrap();
    let running = daemon::run(&world.config, listeners, Roles::ALL, stop.clone(), |_| {});
    let asking = async {
        let id = world.ask_by_sql("Which kettle holds two litres?").await;
        let answered = format!("status = 'completed' from shopkeeper.answer where id = '{id}'");
        world.until("it is answered", &answered).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(running, asking);
    ended.unwrap();
}

#[tokio::test]
async fn a_role_without_rights_is_told_what_to_grant() {
    let url = database("template1").await;
    let server = server().await;
    execute(&server.url("postgres"), "do $$ begin create role weak login password 'weak'; exception when duplicate_object then null; end $$").await;
    let weak = url.replacen(url.split('@').next().unwrap(), "postgres://weak:weak", 1);
    let error = Store::open_migrated(&reach(&weak)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unsuitable(text) if text.contains("create extension vector")),
        "{error}"
    );
    execute(&url, "create extension vector").await;
    let error = Store::open_migrated(&reach(&weak)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unsuitable(text) if text.contains("grant create on database")),
        "{error}"
    );
}

#[tokio::test]
async fn an_index_of_another_model_is_not_mixed_with_this_one() {
    let world = World::new().await;
    // One that holds nothing is made anew.
    let settings = fs::read_to_string(world.settings()).unwrap();
    fs::write(world.settings(), settings.replace("dimensions = 64", "dimensions = 32")).unwrap();
    world.run_ok("sync").await;
    assert_eq!(world.value::<i32>("select dimensions from shopkeeper.index_version").await, 32);
    fs::write(world.settings(), settings).unwrap();
    world.run_ok("sync --wait").await;
    let settings = fs::read_to_string(world.settings()).unwrap();
    fs::write(world.settings(), settings.replace("model = \"hash\"", "model = \"other\"")).unwrap();
    let output = world.run(&["search", "shirt"]).await;
    let error = stderr(&output);
    assert!(!output.status.success() && error.contains("[embedding.next]"), "{error}");
    assert!(error.contains("hash with 64 dimensions") && error.contains("other with 64"), "{error}");
}

#[tokio::test]
async fn several_daemons_that_start_at_once_make_one_index() {
    let url = database("template_ours").await;
    let store = Store::open(&reach(&url)).await.unwrap();
    let opened = (0..8).map(|_| store.open_index("hash", 64));
    let versions = futures::future::try_join_all(opened).await.unwrap();
    assert!(versions.iter().all(|version| version.id == versions[0].id));
}

#[tokio::test]
async fn workers_survive_that_every_connection_is_ended() {
    let world = World::new().await;
    let workers = world.workers();
    for round in 0..3 {
        world.in_shop(&format!("update product set description = 'Round {round}.'")).await;
        let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        let _: i64 = world.value(end).await;
        let mut synced = world.try_sync().await;
        while matches!(synced, Err(SyncError::Store(StoreError::Unreachable(_)))) {
            synced = world.try_sync().await;
        }
        synced.unwrap();
        let _: i64 = world.value(end).await;
        let wanted = format!("count(*) = 3 from shopkeeper.chunk where content like '%Round {round}.'");
        world.until("all is fresh", &wanted).await;
    }
    workers.stop().await;
}
