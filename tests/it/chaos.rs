//! The queue and the clock while processes are killed and the database falls over.
//!
//! Each test runs for some seconds; in `make chaos` for a minute, alone and with the strict bound on how long a job may be
//! stuck.

#![expect(clippy::print_stderr, reason = "the figures, and what is not tested here")]

use crate::{
    prelude::*,
    worker::{LEASE, TABLES, pick, random, worker},
};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Mutex;

/// One of these at a time: they use whole cores.
static ALONE: Mutex<()> = Mutex::const_new(());

fn is_long() -> bool {
    chaos_rounds() > 1
}

fn duration() -> Duration {
    Duration::from_secs(3) * chaos_rounds()
}

/// A database with workers, and a look at it.
struct Arena {
    url: String,
    pool: PgPool,
    workers: Vec<Option<Process>>,
    slots: u32,
}

impl Arena {
    async fn new(url: String, workers: usize, slots: u32) -> Self {
        execute(&url, TABLES).await;
        let options = PgPoolOptions::new().max_connections(12).acquire_timeout(Duration::from_secs(5));
        let pool = options.connect(&url).await.unwrap();
        let workers = (0..workers).map(|_| Some(worker(&url, slots, &[]))).collect();
        Self { url, pool, workers, slots }
    }

    /// Kills a worker, and starts another in its place.
    fn kill_one(&mut self) -> u32 {
        let place = pick(self.workers.len());
        self.workers[place] = None;
        self.workers[place] = Some(worker(&self.url, self.slots, &[]));
        1
    }

    fn signal(&self, worker: usize, signal: Signal) {
        self.workers[worker].as_ref().unwrap().signal(signal);
    }

    async fn value(&self, statement: &str) -> Option<i64> {
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&self.pool).await.ok().flatten()
    }

    async fn must(&self, statement: &str, expected: i64, what: &str) {
        assert_eq!(self.value(statement).await, Some(expected), "{what}: {statement}");
    }

    /// Waits until no job is left.
    async fn drain(&self) {
        let began = Instant::now();
        while self.value("select count(*) from shopkeeper.job where kind = 'effect'").await != Some(0) {
            if began.elapsed() > LIMIT {
                let left = "select (id, state, group_key, last_error)::text from shopkeeper.job limit 5";
                panic!("jobs are stuck: {:?}", rows::<(String,)>(&self.pool, left).await);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq)]
enum Harm {
    /// A worker is killed each second.
    Kill,
    /// The server falls over and recovers, as after an immediate shutdown, every ten seconds.
    Crash,
    /// All connections are ended each second.
    Terminate,
}

/// 500 jobs a second meet a harm; every job is done, each effect once.
async fn survive(harm: Harm) {
    let _alone = ALONE.lock().await;
    let (mut url, mut own) = (database("template_ours").await, None);
    if harm == Harm::Crash {
        let server = own.insert(start_server(&[]).await);
        url = server.url("postgres");
        Store::open_migrated(&reach(&url)).await.unwrap().close().await;
    }
    let mut arena = Arena::new(url, 2, 10).await;
    let (began, mut enqueued, mut uncertain) = (Instant::now(), 0_i64, Vec::new());
    let (mut harmed, mut harms, mut longest_stuck) = (Instant::now(), 0, 0);
    let every = Duration::from_secs(match harm {
        Harm::Crash if is_long() => 10,
        Harm::Crash => 3,
        Harm::Kill | Harm::Terminate => 1,
    });
    while began.elapsed() < duration() || harms < 2 && began.elapsed() < LIMIT {
        let due = i64::try_from(began.elapsed().as_millis() / 2).unwrap();
        if enqueued < due {
            let statement = "select shopkeeper.enqueue_many('effect', array_agg(n::text),
                 array_agg(jsonb_build_object('n', n, 'ms', 20))) from generate_series($1::bigint, $2::bigint) as n";
            if sqlx::query(statement).bind(enqueued + 1).bind(due).execute(&arena.pool).await.is_err() {
                // Nobody knows whether these were enqueued.
                uncertain.push((enqueued + 1, due));
            }
            enqueued = due;
        }
        let stuck = "select max(extract(epoch from now() - lease_until) * 1000)::bigint from shopkeeper.job where state = 'running'";
        longest_stuck = longest_stuck.max(arena.value(stuck).await.unwrap_or(0));
        if harmed.elapsed() > every {
            harmed = Instant::now();
            harms += match harm {
                Harm::Kill => arena.kill_one(),
                Harm::Crash => crash(&arena.pool).await,
                Harm::Terminate => terminate(&arena.pool).await,
            };
        }
        sleep(Duration::from_millis(20)).await;
    }
    arena.drain().await;
    assert!(harms > 1, "the harm was done {harms} times");
    let sure: Vec<_> =
        (1..=enqueued).filter(|n| !uncertain.iter().any(|(from, to)| (from..=to).contains(&n))).collect();
    assert!(sure.len() > usize::try_from(enqueued / 2).unwrap(), "most were enqueued for sure");
    let missing =
        "select n from unnest($1::bigint[]) as n where not exists (select from effect where effect.n = n.n)";
    let missing = sqlx::query_scalar::<_, i64>(missing).bind(&sure).fetch_all(&arena.pool).await.unwrap();
    assert!(missing.is_empty(), "jobs were lost: {missing:?}");
    let doubled =
        "select count(*) from (select n from effect where n % 2 = 0 group by n having count(*) > 1) as twice";
    arena.must(doubled, 0, "an effect was written by a lost fence").await;
    arena.must("select count(*) from shopkeeper.job_history where outcome <> 'done'", 0, "not done").await;
    let bound = if is_long() { 2000 } else { 15_000 };
    assert!(longest_stuck < bound, "a job was stuck for {longest_stuck} ms beyond its lease of {LEASE:?}");
    eprintln!(
        "{enqueued} jobs, {} uncertain, {harms} harms, stuck beyond the lease at most {longest_stuck} ms",
        uncertain.len()
    );
}

/// One backend dies; the server ends all others and recovers from its log. Says whether it did.
async fn crash(pool: &PgPool) -> u32 {
    let backend = "select pid from pg_stat_activity
         where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1";
    let Ok(mut connection) = pool.acquire().await else { return 0 };
    let Ok(pid) = sqlx::query_scalar::<_, i32>(backend).fetch_one(&mut *connection).await else { return 0 };
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
    // By the end of this the others are gone, and this connection with them.
    u32::from(sqlx::query("select pg_sleep(5)").execute(&mut *connection).await.is_err())
}

/// Ends all connections, and says whether there were any besides this one.
async fn terminate(pool: &PgPool) -> u32 {
    let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::query_scalar::<_, i64>(all).fetch_one(pool).await.map_or(0, |ended| u32::from(ended > 1))
}

#[tokio::test]
async fn every_job_is_done_and_no_effect_doubled_while_workers_are_killed() {
    survive(Harm::Kill).await;
}

#[tokio::test]
async fn every_job_is_done_and_no_effect_doubled_while_the_server_falls_over() {
    survive(Harm::Crash).await;
}

#[tokio::test]
async fn every_job_is_done_and_no_effect_doubled_while_connections_are_ended() {
    survive(Harm::Terminate).await;
}

#[tokio::test]
async fn groups_keep_their_order_through_failures_and_kills() {
    let _alone = ALONE.lock().await;
    let mut arena = Arena::new(database("template_ours").await, 2, 6).await;
    let until = Instant::now() + duration();
    let pool = arena.pool.clone();
    let producers = (0..8).map(|producer| {
        let pool = pool.clone();
        async move {
            let mut n = producer * 1_000_000;
            while Instant::now() < until {
                // Some commit late: their jobs have lower numbers than others that are seen before.
                let mut transaction = pool.begin().await.unwrap();
                let group = format!("g{}", (random() * 60.0).floor());
                n += 1;
                sqlx::query("select shopkeeper.enqueue('effect', payload => $1, group_key => $2)")
                    .bind(json!({ "n": n, "grp": group, "ms": 8, "fails": 10 }))
                    .bind(&group)
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                sleep(Duration::from_millis(40).mul_f64(random())).await;
                transaction.commit().await.unwrap();
            }
            n - producer * 1_000_000
        }
    });
    let mut kills = tokio::time::interval(Duration::from_secs(1));
    let kill = async {
        loop {
            kills.tick().await;
            arena.kill_one();
        }
    };
    let produced: i64 = tokio::select! {
        produced = join_all(producers) => produced.into_iter().sum(),
        () = kill => unreachable!("it never ends"),
    };
    arena.drain().await;
    let missing = produced - arena.value("select count(distinct n) from effect").await.unwrap();
    assert_eq!(missing, 0, "of {produced}");
    let disordered = "select count(*) from (
             select job, lag(job) over (partition by grp order by id) as before from effect where n % 2 = 0
         ) as ordered where job < before";
    arena.must(disordered, 0, "the order was broken").await;
    let overlapping = "select count(*) from run as one join run as other using (grp)
         where one.id <> other.id and one.n % 2 = 0 and one.ended is not null
             and other.started > one.started and other.started < one.ended";
    arena.must(overlapping, 0, "two ran at once").await;
    eprintln!("{produced} jobs in 60 groups");
}

#[tokio::test]
async fn a_worker_that_was_stopped_for_longer_than_its_lease_writes_nothing() {
    let _alone = ALONE.lock().await;
    let mut arena = Arena::new(database("template_ours").await, 1, 1).await;
    let mut n = 0;
    // It is stopped in the middle of a run.
    loop {
        n += 2;
        let enqueue = format!("select shopkeeper.enqueue('effect', 'k', '{{\"n\": {n}, \"ms\": 2000}}')");
        execute(&arena.url, &enqueue).await;
        let begun = format!("exists (select from run where n = {n})");
        assert!(comes_true(&arena.pool, &begun).await, "nobody runs it");
        arena.signal(0, Signal::STOP);
        // What it sent before is done by now.
        sleep(Duration::from_millis(100)).await;
        let runs = format!("select count(*) from run where n = {n} and ended is null");
        if arena.value(&runs).await == Some(1) {
            break;
        }
        arena.signal(0, Signal::CONT);
        arena.drain().await;
    }
    arena.workers.push(Some(worker(&arena.url, 1, &[])));
    arena.drain().await;
    arena.workers[1] = None;
    arena.signal(0, Signal::CONT);
    // It has one slot, and there is no other worker: its run has ended when the next job is done.
    execute(&arena.url, "select shopkeeper.enqueue('effect', 'l', '{\"n\": 0}')").await;
    arena.drain().await;
    let effects = format!("select count(*) from effect where n = {n}");
    arena.must(&effects, 1, "the effect of the lost lease").await;
    arena.must(&format!("select count(*) from run where n = {n}"), 2, "both began").await;
}

#[tokio::test]
async fn each_tick_of_a_schedule_fires_once_on_six_hosts_that_die_and_disagree_about_the_time() {
    let _alone = ALONE.lock().await;
    let url = database("template_ours").await;
    execute(&url, TABLES).await;
    let pool = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    let has_library = std::path::Path::new(library).exists();
    if !has_library {
        eprintln!("not tested: clocks that differ, because {library} is not installed (package faketime)");
    }
    let start = |host: usize| {
        let offset = ["+0s", "+1h", "-1h", "+7s", "-3d", "+0s"][host];
        let environment: &[_] =
            &[("LD_PRELOAD", library), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        worker(&url, 1, if has_library { environment } else { &[] })
    };
    let mut hosts: Vec<_> = (0..6).map(|host| Some(start(host))).collect();
    let began = Instant::now();
    while began.elapsed() < duration() {
        sleep(Duration::from_millis(700)).await;
        let host = pick(6);
        hosts[host] = None;
        hosts[host] = Some(start(host));
    }
    let most = duration().as_secs();
    let now: String = value(&pool, "select clock_timestamp()::text").await;
    let fired = format!("count(*) >= {most} and max(tick) > '{now}' from shopkeeper.schedule_tick");
    assert!(comes_true(&pool, &fired).await, "they do not go on");
    drop(hosts);
    let counts = "select count(*), extract(epoch from max(tick) - min(tick))::bigint, sum(enqueued),
             max(extract(epoch from fired_at - tick) * 1000)::bigint
         from shopkeeper.schedule_tick where schedule = 'each-second'";
    let (ticks, seconds, enqueued, late): (i64, i64, i64, i64) = rows(&pool, counts).await[0];
    eprintln!("{ticks} ticks, the latest {late} ms late");
    assert_eq!(seconds, ticks - 1, "no second is missing");
    assert_eq!(enqueued, ticks, "each tick enqueued its job");
    assert!(late < 10_000, "{late}");
}
