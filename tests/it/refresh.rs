//! Refreshing many documents at once, while others read, change the shop, and everything fails now and then.

use crate::{
    given_up::{known, product, write, written},
    nets::watch,
    prelude::*,
};
use proptest::prelude::*;
use shopkeeper::{
    demo::models::Quirk,
    indexing::{
        fill::FillIndex,
        refresh::{RefreshDocument, Request},
    },
    job::BatchJob,
    model::rate_limit::JobRef,
    store::documents::{DocumentWrite, WriteOutcome},
    sync::watch::WatchCatalogue,
};

/// A shop of so many products with one short text each.
fn many(products: u32) -> String {
    format!(
        "{} insert into product select n, 'Product ' || n, 'It has the number ' || n || '.', n, 1
         from generate_series(1, {products}) as n",
        product_table()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_products_are_embedded_in_at_most_ten_requests() {
    let world = World::synced_with(&many(2000), SOURCE).await;
    assert_eq!(world.fresh().await, 2000);
    assert_eq!(world.script().inputs(), 2000);
    let requests = world.embedding_requests();
    assert!(requests <= 10, "{requests} requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_sees_a_document_without_chunks_or_with_chunks_of_two_texts() {
    const DOCUMENTS: i64 = 20;
    let world = World::with(&many(20), SOURCE).await;
    let write = async |generation: u32| {
        let sentence = format!("is of generation{generation} and of nothing else. ");
        let text: String = (0..20).map(|n| format!("Sentence {n} {sentence}")).collect();
        world.in_shop(&format!("update product set description = '{text}'")).await;
        world.try_sync().await.unwrap();
    };
    write(0).await;
    let workers = world.workers();
    world.until_none("job").await;
    assert!(world.count("chunk").await > 4 * DOCUMENTS);
    let done = CancellationToken::new();
    let reader = async {
        let pool = PgPool::connect(&world.url()).await.unwrap();
        let mixed = "select count(*), min(generations), max(generations) from (
             select count(distinct substring(content from 'generation[0-9]+')) as generations
             from shopkeeper.document left join shopkeeper.chunk using (source, key) group by document.key
         ) as documents";
        let mut looks = 0;
        while !done.is_cancelled() {
            let seen: (i64, i64, i64) = sqlx::query_as(mixed).fetch_one(&pool).await.unwrap();
            assert_eq!(seen, (DOCUMENTS, 1, 1), "after {looks} looks");
            looks += 1;
        }
        looks
    };
    let writer = async {
        for generation in 1..=50 {
            write(generation).await;
            world.until_none("job").await;
        }
        done.cancel();
    };
    let (looks, ()) = tokio::join!(reader, writer);
    workers.stop().await;
    assert!(looks > 100, "only {looks} looks");
    assert_eq!(world.count("job_history where kind = 'refresh_document'").await, 51 * DOCUMENTS);
}

#[tokio::test]
async fn one_bad_input_does_not_keep_its_neighbours() {
    let world = World::with(&many(60), SOURCE).await;
    // The server rejects every request with this text in it.
    world.describe(7, "Reject me.").await;
    world.script().always(Operation::Embeddings, Fault::Rejected("Reject me".into()));
    world.sync().await;
    assert_eq!(world.fresh().await, 59);
    let failed = "select key from shopkeeper.document_index where state = 'failed'";
    assert_eq!(world.values::<String>(failed).await, ["7"]);
}

#[tokio::test]
async fn of_two_daemons_at_one_document_the_older_that_ends_last_writes_nothing() {
    let world = World::synced().await;
    world.describe(3, "New.").await;
    world.try_sync().await.unwrap();
    let lost = world.claim(RefreshDocument::KIND, "older", 1, Duration::ZERO).await[0].lease;
    world.drain().await;
    let id = product("3");
    let late = written(&id, &known(&world.store, &id).await, "Old.");
    let late = DocumentWrite { lease: Some(lost), ..late };
    assert_eq!(write(&world.store, late).await.unwrap(), [WriteOutcome::NotHeld]);
    assert_eq!(world.content("3").await, "Kettle. New.");
}

#[tokio::test]
async fn a_daemon_that_is_killed_between_embedding_and_storing_loses_nothing() {
    let world = World::new().await;
    world.script().queue(Operation::Embeddings, [Fault::Held]);
    let daemon = || Process::start(world.command("run").stderr(Stdio::null()));
    let first = daemon();
    world.arrived(Operation::Embeddings, 1).await;
    drop(first);
    assert_eq!(world.count("chunk").await, 0);
    let _second = daemon();
    world.until_count(3, "document_index where state = 'fresh'").await;
}

#[tokio::test]
async fn the_good_half_of_a_batch_is_kept_if_the_daemon_is_killed_before_the_other() {
    let world = World::with(&many(60), SOURCE).await;
    world.describe(59, "It is poison.").await;
    world.try_sync().await.unwrap();
    world.script().add_quirk(Quirk::named("poison-400").unwrap());
    // The batch, a probe and a half of the batch are not delayed.
    let passing = std::iter::repeat_n(Fault::Slow(Duration::ZERO), 3);
    world.script().queue(Operation::Embeddings, passing.chain([Fault::Held]));
    let daemon = || Process::start(world.command("run").stderr(Stdio::null()));
    let first = daemon();
    world.arrived(Operation::Embeddings, 4).await;
    world.until_count(30, "document_index where state = 'fresh'").await;
    drop(first);
    let kept = world.contents().await;
    let _second = daemon();
    world.until_count(59, "document_index where state = 'fresh'").await;
    world.until_count(1, "document_index where state = 'failed'").await;
    let later = world.script().bodies(Operation::Embeddings).split_off(4);
    let inputs: Vec<_> = later.iter().flat_map(|body| as_list(&body["input"])).map(as_text).collect();
    assert!(inputs.len() >= 30 && !kept.iter().any(|text| inputs.contains(&text.as_str())), "{inputs:?}");
}

#[tokio::test]
async fn a_model_server_that_is_away_in_the_middle_costs_no_document_an_attempt() {
    let world = World::with(&many(300), SOURCE).await;
    world.try_sync().await.unwrap();
    world.script().always(Operation::Embeddings, back_after(503, Duration::from_secs(1)));
    let tried = async {
        world.until("all have tried", "bool_and(last_error is not null) from shopkeeper.job").await;
        assert_eq!(world.count("job where attempts > 1").await, 0);
        world.script().clear();
        world.until_none("job").await;
    };
    world.with_workers(tried).await;
    assert_eq!(world.fresh().await, 300);
}

#[tokio::test]
async fn a_lock_costs_a_batch_one_time_out_and_no_document_an_attempt() {
    // Of the whole partition, and of one document; against our time limit, and one of the role.
    for (lock, limit) in [
        ("lock table shopkeeper.chunk_1 in share mode", "statement_timeout"),
        ("select from shopkeeper.document where key = '7' for update", "statement_timeout"),
        ("lock table shopkeeper.chunk_1 in share mode", "lock_timeout"),
    ] {
        let world = World::synced_with(&many(200), SOURCE).await;
        world.in_shop("update product set description = 'It is new.'").await;
        world.try_sync().await.unwrap();
        let mut reach = reach(&world.url());
        if limit == "statement_timeout" {
            reach.statement_timeout = Duration::from_secs(1);
        } else {
            let name = database_name(&world.url());
            world.execute(&format!("alter database {name} set lock_timeout = '1s'")).await;
        }
        let store = Store::open(&reach).await.unwrap();
        let parts = daemon::assemble(&world.config, &store).await.unwrap();
        let holder = world.begin(lock).await;
        let rolled_back = "select xact_rollback from pg_stat_database where datname = current_database()";
        let before: i64 = world.value(rolled_back).await;

        let workers = Workers::new(&store);
        workers.start_refreshing(&parts, &world.config.queue);
        let all_wait = "count(*) = 200 and bool_and(last_error ~ 'timed out') from shopkeeper.job";
        world.until("all wait", all_wait).await;
        workers.stop().await;
        // What a connection counts is seen when it ends.
        store.close().await;
        assert_eq!(world.count("job where attempts > 0").await, 0, "{lock}, {limit}");
        let time_outs = world.value::<i64>(rolled_back).await - before;
        assert!(time_outs < 20, "{lock}, {limit}: {time_outs} time-outs");

        holder.rollback().await.unwrap();
        world.hurry().await;
        world.drain().await;
        assert_eq!(world.count("chunk where content ~ 'It is new'").await, 200, "{lock}, {limit}");
        assert_eq!(world.count("job_history where outcome = 'dead'").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_import_is_filled_in_without_a_job_for_each_document_and_what_fails_gets_one() {
    let world = World::with(&many(2300), SOURCE).await;
    let report = world.try_sync().await.unwrap();
    assert_eq!((report.added, report.enqueued), (2300, 2300));
    assert_eq!(world.count("job where kind = 'fill_index'").await, 1);
    assert_eq!(world.count("job where kind = 'refresh_document'").await, 300);
    let pending = async || {
        world.store.backlog(RefreshDocument::KIND, FillIndex::KIND, "product").await.unwrap().pending
    };
    assert_eq!(pending().await, 2300);
    // Of those that the model rejects each is tried again by itself, until it is dead.
    world.script().always(Operation::Embeddings, Fault::Rejected("the number 17.".to_owned()));
    world.drain().await;
    assert_eq!(pending().await, 0);
    assert_eq!(world.fresh().await, 2299);
    let one_by_one = world.count("job_history where kind = 'refresh_document' and outcome = 'done'").await;
    assert!(one_by_one <= 300, "{one_by_one} documents had a job");
    assert_eq!(world.count("job_history where kind = 'refresh_document' and outcome = 'dead'").await, 1);
    // A full listing tries it again, and it stays one dead job.
    world.sync_full().await;
    assert_eq!(world.count("job_history where outcome = 'dead'").await, 1);
    world.script().clear();
    world.sync_full().await;
    assert_eq!(world.fresh().await, 2300);
}

/// Refreshes these documents together, without a queue.
pub(crate) async fn index(world: &World, source: &str, keys: &[&str]) -> Result<(), JobError> {
    let request = |key: &&str| Request {
        key: (*key).to_owned(),
        lease: None,
        job: JobRef { kind: RefreshDocument::KIND, id: 0 },
        lost: CancellationToken::new(),
    };
    let ended = world.parts.refresh.refresh(source, keys.iter().map(request).collect()).await;
    ended.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
}

/// Two batches of the same documents at once.
async fn twice(world: &World) -> [Result<(), JobError>; 2] {
    world.parts.versions.written().await.unwrap();
    let run = || index(world, "product", &["1", "2", "3"]);
    tokio::join!(run(), run()).into()
}

#[tokio::test]
async fn a_document_that_two_batches_have_at_once_is_there_for_both() {
    let world = World::synced().await;
    let before = world.index().await;
    for ended in twice(&world).await {
        assert_eq!(ended, Ok(()));
    }
    assert_eq!(world.index().await, before);
    world.in_shop("update product set description = 'New.'").await;
    // One of them may have to start again, which is not charged as an attempt.
    for ended in twice(&world).await {
        assert!(matches!(ended, Ok(()) | Err(JobError::Snooze { .. })), "{ended:?}");
    }
    assert_eq!(world.count("chunk where content like '%New.'").await, 3);
    let before = world.embedding_requests();
    assert!(twice(&world).await.iter().all(|ended| *ended == Ok(())));
    assert_eq!(world.embedding_requests(), before);
}

#[tokio::test]
async fn a_document_that_another_job_wrote_meanwhile_is_looked_at_once_more() {
    let world = World::synced().await;
    let id = product("1");
    let known = known(&world.store, &id).await;
    let other = written(&id, &known, "Of another job.");
    assert_eq!(write(&world.store, other).await.unwrap(), [WriteOutcome::Fresh]);
    let before = world.index().await;
    for text in ["A text of its own.", ""] {
        let mut late = written(&id, &known, text);
        if let (Some(content), "") = (&mut late.content, text) {
            // As when the text was the one that was indexed.
            (content.chunks, content.fingerprint) = (None, known.fingerprint.unwrap());
        }
        let error = write(&world.store, late).await.unwrap_err();
        assert!(matches!(error, StoreError::Overtaken), "{error}");
        assert_eq!(world.index().await, before);
    }
}

#[tokio::test]
async fn vectors_that_are_paid_for_are_kept_when_their_cost_cannot_be_noted() {
    let world = World::new().await;
    world.execute("alter table shopkeeper.usage rename to usage_away").await;
    world.sync().await;
    assert_eq!(world.fresh().await, 3);
    assert_eq!(world.script().inputs(), 3);
}

/// What happens next in the world.
#[derive(Clone, Debug)]
enum Event {
    /// A statement in the shop.
    Shop(String),
    Sync,
    Poll,
    Hear,
    /// The next requests to the model fail so.
    Fault(Fault),
    /// A refresh of a document is requested.
    Refresh(u32),
    /// Jobs run for a moment, and are stopped.
    Work(u64),
    /// Jobs run until none is left.
    Drain,
    /// Jobs run for a moment, lose their leases and go on a little.
    Lose(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let id = 1..8_u32;
    let text = (id.clone(), 0..6_u32).prop_map(|(id, n)| {
        format!(
            "insert into product values ({id}, 'P{n}', 'Text {n}.', 1, 1)
                 on conflict (id) do update set name = excluded.name, description = excluded.description"
        )
    });
    let statement = |statement: &'static str| {
        id.clone().prop_map(move |id| Event::Shop(statement.replace("{id}", &id.to_string())))
    };
    let key = (id.clone(), 8..12_u32).prop_map(|(id, to)| {
        format!("delete from product where id = {to}; update product set id = {to} where id = {id}")
    });
    let fault =
        prop_oneof![Just(AWAY), Just(status(429)), Just(Fault::WrongCount), Just(Fault::CutConnection),];
    prop_oneof![
        4 => text.prop_map(Event::Shop),
        1 => statement("update product set price = price + 1 where id = {id}"),
        1 => statement("update product set stock = 1 - stock where id = {id}"),
        1 => statement("delete from product where id = {id}"),
        1 => key.prop_map(Event::Shop),
        1 => Just(Event::Sync),
        2 => Just(Event::Poll),
        2 => Just(Event::Hear),
        1 => fault.prop_map(Event::Fault),
        1 => id.clone().prop_map(Event::Refresh),
        3 => (0..30_u64).prop_map(Event::Work),
        2 => Just(Event::Drain),
        1 => (0..30_u64).prop_map(Event::Lose),
    ]
}

impl World {
    async fn happens(&self, watch: &WatchCatalogue, event: Event) {
        match event {
            Event::Shop(statement) => self.in_shop(&statement).await,
            Event::Sync => drop(self.try_sync().await.unwrap()),
            Event::Hear => {
                self.execute("update shopkeeper.source set polled_at = now()").await;
                watch.look().await.unwrap();
            }
            Event::Poll => {
                self.execute("update shopkeeper.source set polled_at = '2000-01-01'").await;
                watch.look().await.unwrap();
            }
            Event::Fault(fault) => self.script().queue(Operation::Embeddings, [fault]),
            Event::Refresh(id) => self.store.refresh_one(&product(&id.to_string())).await.unwrap(),
            Event::Drain => self.drain().await,
            Event::Work(milliseconds) => {
                self.with_workers(sleep(Duration::from_millis(milliseconds))).await;
                self.hurry().await;
            }
            Event::Lose(milliseconds) => {
                let workers = self.workers();
                sleep(Duration::from_millis(milliseconds)).await;
                let lose =
                    "update shopkeeper.job set lease_until = now() - interval '1 s' where state = 'running';
                     select shopkeeper.rescue(100)";
                self.execute(lose).await;
                sleep(Duration::from_millis(milliseconds)).await;
                workers.stop().await;
                self.hurry().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_quiet_the_index_equals_a_fresh_build_whatever_happened() {
    let source = SOURCE.to_owned() + "where = \"stock > 0\"\n";
    let world = World::with(SHOP, &source).await;
    let watch = watch(&world, Duration::from_mins(1));
    world.install().await;
    // What a failure leaves in this world fails the next case as well.
    let config = ProptestConfig { max_shrink_iters: 0, ..cases(8 * chaos_rounds()) };
    let check = async move |events| {
        for event in events {
            world.happens(&watch, event).await;
        }
        world.script().clear();
        world.try_sync().await.unwrap();
        world.hurry().await;
        world.with_workers(world.until_none("job")).await;
        let fresh = World::on(world.shop.clone(), &source).await;
        fresh.sync().await;
        assert_eq!(world.index().await, fresh.index().await);
    };
    for_cases(config, || proptest::collection::vec(event(), 1..30), check).await;
}
