//! What goes wrong in the world: each fault has a clear error, and nothing is lost by it.

use crate::prelude::*;
use shopkeeper::daemon::Listeners;

async fn fails_with(world: &World, part: &str) {
    let failure = "select coalesce(min(error), '') from shopkeeper.document_index where state = 'failed'";
    assert_contains(world.text(failure).await, part);
}

async fn dead_jobs(world: &World) -> i64 {
    world.count("job_history where outcome = 'dead'").await
}

/// Clears the fault: the next full sync indexes the documents that failed.
async fn mend(world: &World) {
    world.script().clear();
    world.run_line("sync --full").await;
    world.drain().await;
    assert_eq!(world.fresh().await, 3);
}

#[tokio::test]
async fn vectors_of_another_dimension_are_refused_with_both_numbers() {
    let world = World::new().await;
    world.script().always(Operation::Embeddings, Fault::WrongDimension);
    world.sync().await;
    fails_with(&world, "63 dimensions").await;
    fails_with(&world, "embedding.dimensions is 64").await;
    assert_eq!((world.count("chunk").await, dead_jobs(&world).await), (0, 3));
    mend(&world).await;
}

#[tokio::test]
async fn every_kind_of_nonsense_from_the_model_is_retried_and_never_stored() {
    let faults = [Fault::WrongCount, Fault::BadJson, Fault::Nonsense, Fault::NotFinite, Fault::CutConnection];
    for fault in faults {
        let world = World::with_kettle().await;
        world.script().queue(Operation::Embeddings, [fault.clone()]);
        world.try_sync().await.unwrap();
        let retried = async {
            world.arrived(Operation::Embeddings, 1).await;
            let tried = "exists (select from shopkeeper.job where last_error is not null)
                 or exists (select from shopkeeper.job_history)";
            world.until("it is retried or waits", tried).await;
            // An outage waits longer than a test does.
            world.hurry().await;
            world.until_none("job").await;
        };
        world.with_workers(retried).await;
        assert_eq!(world.found("kettle").await, ["Kettle"], "after {fault:?}");
    }
}

#[tokio::test]
async fn an_input_that_the_model_has_no_vector_for_fails_alone_in_either_format() {
    let (zeros, nan) = (Fault::Zeros("Kettle".into()), Fault::Nan("Kettle".into()));
    for (fault, says, format) in [
        (&zeros, "a vector of zeros", "base64"),
        (&zeros, "a vector of zeros", "float"),
        (&nan, "not finite", "base64"),
        (&nan, "not finite", "float"),
    ] {
        let mut world = World::new().await;
        let embedding = format!("[embedding]\nencoding_format = \"{format}\"");
        world.change_settings("[embedding]", &embedding).await;
        world.script().always(Operation::Embeddings, fault.clone());
        world.sync().await;
        let fresh = "select key from shopkeeper.document_index where state = 'fresh' order by key";
        assert_eq!(world.values::<String>(fresh).await, ["1", "2"], "{fault:?} {format}");
        fails_with(&world, says).await;
        assert_eq!(world.count("chunk").await, 2);
        assert_eq!(world.count("job_history where outcome = 'dead' and attempts = 3").await, 1);
        assert_eq!(world.script().bodies(Operation::Embeddings).pop().unwrap()["encoding_format"], format);

        mend(&world).await;
        assert_eq!(world.found("kettle").await[0], "Kettle");
    }
}

#[tokio::test]
async fn where_no_input_has_a_vector_the_server_is_at_fault_and_is_not_asked_for_each_alone() {
    let world = World::new().await;
    world.script().always(Operation::Embeddings, Fault::Zeros(String::new()));
    world.sync().await;
    fails_with(&world, "a vector of zeros").await;
    assert_eq!((world.count("chunk").await, dead_jobs(&world).await), (0, 3));
    // Three documents with three attempts each: no request more than if each had been asked for alone.
    assert!(world.embedding_requests() <= 9);
}

#[tokio::test]
async fn vectors_in_another_order_go_to_their_own_chunks() {
    let world = World::with_kettle().await;
    let sentences: String = (0..30).map(|n| format!("Part {n} is made of material{n}. ")).collect();
    world.describe(3, &sentences).await;
    world.script().always(Operation::Embeddings, Fault::WrongOrder);
    world.sync().await;
    let found = world.parts.retriever.look_up("material17", SearchFilter::default(), 1).await.unwrap();
    assert_contains(&found[0].content, "material17");
}

#[tokio::test]
async fn a_model_server_that_is_down_leaves_the_old_chunks_searchable_and_charges_no_attempt() {
    let world = World::synced().await;
    world.describe(3, "New words.").await;
    world.script().always(Operation::Embeddings, AWAY);
    world.try_sync().await.unwrap();
    let survived = async {
        world.until_some("job where last_error is not null").await;
        assert_eq!(world.count("chunk where content like '%litres%'").await, 1);
        let error = world.text("select last_error from shopkeeper.job where attempts = 0").await;
        assert!(error.contains(world.models.base_url()) && error.contains("503"), "{error}");
        world.script().clear();
        world.hurry().await;
        world.until_none("job").await;
    };
    world.with_workers(survived).await;
    assert_eq!(world.found("new words").await[0], "Kettle");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_the_server_asks() {
    let world = World::with_kettle().await;
    world.script().queue(Operation::Embeddings, [back_after(429, Duration::from_mins(10))]);
    world.try_sync().await.unwrap();
    world.with_workers(world.until_some("job where last_error is not null")).await;
    assert_eq!(world.count("job where run_at > now() + interval '590 seconds'").await, 1);
}

#[tokio::test]
async fn a_slow_model_server_is_given_up_in_time() {
    let mut world = World::with_kettle().await;
    world.change_settings("timeout = \"20s\"", "timeout = \"5s\"").await;
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
    let shop = "create table product (id int primary key, name text, price numeric, stock int);
         insert into product values (1, 'A', 1, 5), (2, 'B', 1, 0)";
    let world = World::synced_with(shop, &source).await;
    assert_eq!(world.fresh().await, 1);
    fails_with(&world, "text:").await;
}

#[tokio::test]
async fn a_source_that_does_not_fit_is_refused_in_words_that_name_the_fault() {
    let rows = [(1, "A"), (1, "B")].map(|(id, name)| format!("({id}, '{name}', '', 1, 1)")).join(", ");
    let misspelt = SOURCE.replace("{{ description }}", "{{ desciption }}");
    let wrong_where = SOURCE.replace("key = \"id\"", "key = \"id\"\nwhere = \"is_live\"");
    for (rows, source, words) in [
        (rows.as_str(), misspelt.as_str(), ["`desciption`", "id, name, description"]),
        (&rows, &wrong_where, ["source `product`", "is_live"]),
        (&rows, SOURCE, ["a row before it has the same key", "rows = \"group\""]),
        ("(null, 'C', '', 1, 1)", SOURCE, ["its key is null", ""]),
    ] {
        let table = "create table product (id int, name text, description text, price numeric, stock int)";
        let world = World::with(&format!("{table}; insert into product values {rows}"), source).await;
        let error = world.try_sync().await.unwrap_err();
        assert!(matches!(error, SyncError::Catalogue(_)), "{error}");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        assert_eq!(world.count("job").await, 0, "{error}");
    }
}

#[tokio::test]
async fn a_source_that_does_not_fit_any_more_keeps_no_answer_from_being_given() {
    let world = World::synced().await;
    world.in_shop("alter table product rename column description to words").await;
    let stop = CancellationToken::new();
    let listeners = Listeners::bind(&world.config, Roles::ALL).unwrap();
    let running = daemon::run(&world.config, listeners, Roles::ALL, stop.clone(), |_| {});
    let asking = async {
        world.until_completed(world.ask_by_sql(KETTLE).await).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(running, asking);
    ended.unwrap();
}

#[tokio::test]
async fn a_role_without_rights_is_told_what_to_grant() {
    let url = database("template1").await;
    let role = "do $$ begin create role weak login password 'weak'; exception when duplicate_object then null; end $$";
    execute(&url, role).await;
    let weak = url.replacen(url.split('@').next().unwrap(), "postgres://weak:weak", 1);
    let refused = async |words: &str| {
        let error = Store::open_migrated(&reach(&weak)).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unsuitable(text) if text.contains(words)), "{error}");
    };
    refused("create extension vector").await;
    execute(&url, "create extension vector").await;
    refused("grant create on database").await;
}

#[tokio::test]
async fn an_index_of_another_model_is_not_mixed_with_this_one() {
    let world = World::new().await;
    // One that holds nothing is made anew.
    let settings = world.edit_settings("dimensions = 64", "dimensions = 32");
    world.run_ok("sync").await;
    assert_eq!(world.value::<i32>("select dimensions from shopkeeper.index_version").await, 32);
    world.write("jobs.toml", &settings);
    world.run_ok("sync --wait").await;
    world.edit_settings("model = \"hash\"", "model = \"other\"");
    let output = world.run_line("search shirt").await;
    let error = stderr(&output);
    assert!(!output.status.success() && error.contains("[embedding.next]"), "{error}");
    assert!(error.contains("hash with 64 dimensions") && error.contains("other with 64"), "{error}");
}

#[tokio::test]
async fn several_daemons_that_start_at_once_make_one_index() {
    let store = Store::open(&reach(&database("template_ours").await)).await.unwrap();
    let versions = futures::future::try_join_all((0..8).map(|_| store.open_index("hash", 64))).await.unwrap();
    assert!(versions.iter().all(|version| version.id == versions[0].id));
}

#[tokio::test]
async fn workers_survive_that_every_connection_is_ended() {
    let world = World::new().await;
    let workers = world.workers();
    for round in 0..3 {
        world.in_shop(&format!("update product set description = 'Round {round}.'")).await;
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()";
        world.values::<bool>(end).await;
        let mut synced = world.try_sync().await;
        while matches!(synced, Err(SyncError::Store(StoreError::Unreachable(_)))) {
            synced = world.try_sync().await;
        }
        synced.unwrap();
        world.values::<bool>(end).await;
        world.until_count(3, &format!("chunk where content like '%Round {round}.'")).await;
    }
    workers.stop().await;
}
