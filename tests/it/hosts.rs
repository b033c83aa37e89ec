//! Three daemons that share one PostgreSQL, each on a host of its own, while hosts are cut off from the network.
//!
//! Where the system does not allow the sandbox that this needs, these tests are skipped with a message.

use crate::{
    prelude::*,
    sandbox::{Host, Middle, Net, SLOTS, in_sandbox, ticks_after},
};

/// How long a claim of these daemons holds.
const LEASE: Duration = Duration::from_secs(2);
/// How long after its lease a job of a host that is cut off may lack its answer: others see it within a second, and need
/// less to answer.
const TAKE_OVER: Duration = Duration::from_secs(8);
/// How long after a healed cut a daemon may be without work: a pending connection waits for its next attempt, at growing
/// intervals, or is given up after ten seconds.
const RECOVERY: Duration = Duration::from_secs(15);
/// How long a host that is cut off in a transaction may keep what it has locked.
const LOCKED: Duration = Duration::from_secs(15);

/// Extends a limit that holds where nothing else runs, as in `make chaos`. To wait until the system gives up a dead
/// connection takes many minutes.
fn within(alone: Duration) -> Duration {
    if chaos_rounds() > 1 { alone } else { 8 * alone }
}

/// A job that a host held when it was cut off.
#[derive(sqlx::FromRow)]
struct Lost {
    id: i64,
    fence: i64,
    key: String,
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Answer {
    id: String,
    status: String,
    text: Option<String>,
    attempt: i32,
    fence: i64,
    completed_at: Option<String>,
}

/// The stored answers of some jobs.
async fn answers_of(middle: &Middle, lost: &[Lost]) -> Vec<Answer> {
    let answers = "select id::text, status, answer::text as text, attempt, fence, completed_at::text
         from shopkeeper.answer where id::text = any ($1) order by id";
    let keys: Vec<_> = lost.iter().map(|lost| lost.key.clone()).collect();
    sqlx::query_as(answers).bind(keys).fetch_all(&middle.pool).await.unwrap()
}

/// Cuts a host off from some networks while it waits for the model's answers, and heals that: the others give the
/// answers, once, and the host writes none of its own. The cut lasts until this is seen, and at least so long.
async fn lose(middle: &Middle, host: &Host, nets: &[Net], seconds: u32) {
    let before = middle.script.requests(Operation::Completions);
    middle.script.always(Operation::Completions, Fault::Held);
    let held_at = middle.now().await;
    let held = middle.script.arrived(Operation::Completions, before + middle.hosts.len() * SLOTS);
    in_time("no question comes to the model", held).await;
    // A question that is not held is answered sooner.
    let running = format!(
        "from shopkeeper.job where kind = 'answer_question' and {} and not shared
             and started_at < clock_timestamp() - interval '0.7 s'",
        host.its()
    );
    middle.until("the host waits for the model", &format!("count(*) = {SLOTS} {running}")).await;
    host.cut(nets);
    let cut = Instant::now();
    let lost: Vec<Lost> = middle.rows(&format!("select id, fence, key {running}")).await;
    assert_eq!(lost.len(), SLOTS, "nothing was ended meanwhile");
    middle.script.clear();

    let ids = lost.iter().map(|lost| lost.id.to_string()).collect::<Vec<_>>().join(", ");
    let of_them = format!("from shopkeeper.job_history where id in ({ids})");
    middle.until("the others have answered", &format!("count(*) = {} {of_them}", lost.len())).await;
    let taken_over = cut.elapsed();
    let ends: Vec<(String, String, i32)> =
        middle.rows(&format!("select worker, outcome, attempts {of_them}")).await;
    for (worker, outcome, attempts) in ends {
        assert!(outcome == "done" && attempts > 1, "{outcome} after {attempts} attempts");
        let is_other = |other: &Host| other.number != host.number && other.is_of(&worker);
        assert!(middle.hosts.iter().any(is_other), "{worker} was cut off");
    }
    assert!(taken_over < within(LEASE + TAKE_OVER), "the others took {taken_over:?}");
    let answers = answers_of(middle, &lost).await;
    for answer in &answers {
        let old = lost.iter().find(|lost| lost.key == answer.id).unwrap().fence;
        assert!(answer.status == "completed" && answer.attempt > 1 && answer.fence > old, "{answer:?}");
    }

    middle.until("ticks go on", &ticks_after(&held_at, seconds)).await;
    let healed_at = middle.now().await;
    let lasted = cut.elapsed();
    host.heal(nets);
    let healed = Instant::now();
    let says = |lost: &Lost| host.log().contains(&format!("job {} is no longer ours", lost.id));
    while !lost.iter().all(says) {
        assert!(healed.elapsed() < LIMIT, "it does not say that its leases are lost:\n{}", host.last_words());
        sleep(Duration::from_millis(20)).await;
    }
    let heard = healed.elapsed();
    let again = format!(
        "exists (select from shopkeeper.job_history
             where kind = 'answer_question' and outcome = 'done' and started_at > '{healed_at}' and {})",
        host.its()
    );
    middle.until("the host answers again", &again).await;
    let back = healed.elapsed();
    assert!(back < within(RECOVERY), "it took {back:?} until the host did something again");
    assert_eq!(answers_of(middle, &lost).await, answers, "nothing was written under the lost leases");
    let ended: i64 = middle.value(&format!("select count(*) {of_them}")).await;
    assert_eq!(usize::try_from(ended).unwrap(), lost.len(), "each has ended once");
    aloud(&format!(
        "cut off for {lasted:.1?} with {} jobs, which were taken over after {taken_over:.1?}; when it was healed, the \
         host knew after {heard:.1?} that they were lost, and worked again after {back:.1?}",
        lost.len()
    ));
}

#[tokio::test]
async fn jobs_of_a_host_that_is_cut_off_are_done_once_by_others_and_no_tick_is_left_out() {
    in_sandbox("cut_off").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a sandbox that another test makes"]
async fn cut_off() {
    let Some(mut middle) = Middle::with_hosts().await else { return };
    let cuts = async {
        // It has its answers, and cannot write them.
        lose(&middle, &middle.hosts[0], &[Net::Database], 0).await;
        // Long enough that what it does is given up, and tried again over other connections.
        lose(&middle, &middle.hosts[1], Net::ALL, 11).await;
    };
    middle.under_load(cuts).await;
    let questions = "kind in ('answer_question', 'refresh_document', 'fill_index')";
    let drained = format!("not exists (select from shopkeeper.job where {questions})");
    middle.until("no question is left", &drained).await;
    let counts = "select count(*), count(*) filter (where status = 'completed'),
             (select count(*) from shopkeeper.job_history where kind = 'answer_question' and outcome = 'done')
         from shopkeeper.answer";
    let [(asked, answered, jobs)]: [(i64, i64, i64); 1] = middle.rows(counts).await.try_into().unwrap();
    assert_eq!((answered, jobs), (asked, asked), "each question is answered, by one job");
    let twice = "select count(*) - count(distinct id) + count(*) filter (where outcome <> 'done')
         from shopkeeper.job_history";
    assert_eq!(middle.value::<i64>(twice).await, 0, "no job ended twice, or otherwise than done");

    every_tick_once(&middle).await;
    middle.leave_only(2).await;
    let asked: String = middle.value("select shopkeeper.ask('How much is the Shirt?')::text").await;
    let answered = format!("status = 'completed' from shopkeeper.answer where id = '{asked}'");
    middle.until("it answers", &answered).await;
}

/// Checks that no tick is missing and none fired twice.
async fn every_tick_once(middle: &Middle) {
    let counts = "select count(*), extract(epoch from max(tick) - min(tick))::bigint, sum(enqueued),
             (select count(*) from shopkeeper.job_history where kind = 'prune_history'),
             max(extract(epoch from fired_at - tick))::double precision
         from shopkeeper.schedule_tick where schedule = 'each-second'";
    let [(ticks, seconds, enqueued, runs, late)]: [(i64, i64, i64, i64, f64); 1] =
        middle.rows(counts).await.try_into().unwrap();
    assert_eq!(seconds, ticks - 1, "no second is missing");
    assert_eq!(enqueued, ticks, "each tick enqueued its job");
    assert!(runs <= ticks, "{runs} runs of {ticks} ticks");
    let mut fired = BTreeMap::<String, u32>::new();
    let logs: String = middle.hosts.iter().map(Host::log).collect();
    for line in logs.lines().filter(|line| line.contains("schedule `each-second` fired")) {
        let line: Value = serde_json::from_str(line).unwrap();
        *fired.entry(as_text(&line["tick"]).to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = fired.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "these fired twice: {twice:?}");
    // Who is cut off while a tick is committed cannot know that it was.
    assert!(i64::try_from(fired.len()).unwrap() + 2 >= ticks, "{} of {ticks} ticks were said", fired.len());
    aloud(&format!(
        "{ticks} ticks in {seconds} s, the most belated one after {late:.1} s, {runs} runs of their job"
    ));
}

#[tokio::test]
async fn a_host_that_is_cut_off_in_a_transaction_keeps_no_lock_and_fires_again_when_it_is_back() {
    in_sandbox("cut_off_in_a_transaction").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a sandbox that another test makes"]
async fn cut_off_in_a_transaction() {
    let Some(mut middle) = Middle::with_hosts().await else { return };
    // The server is not to go on for minutes to say that it has ended a connection.
    fs::write("/proc/sys/net/ipv4/tcp_orphan_retries", "1").unwrap();
    // A tick writes its own row, then the schedule's: it waits for us between the two.
    let mut ours = middle.pool.begin().await.unwrap();
    let lock = "select pg_backend_pid() from shopkeeper.schedule for update";
    let pid: i32 = sqlx::query_scalar(lock).fetch_one(&mut *ours).await.unwrap();
    // So long that its host knows that its statement has arrived, and says no more.
    let waits = format!(
        "from pg_stat_activity where {pid} = any (pg_blocking_pids(pid)) and client_addr is not null
             and clock_timestamp() - state_change > interval '0.5 s'"
    );
    middle.until("a tick waits for us", &format!("exists (select {waits})")).await;
    let address: String = middle.value(&format!("select host(client_addr) {waits} limit 1")).await;
    let host = middle.hosts.iter().find(|host| address == format!("10.99.0.1{}", host.number)).unwrap();
    let number = host.number;
    host.cut(Net::ALL);
    let (cut, cut_at) = (Instant::now(), middle.now().await);
    // Its statement is done now, and the server waits for its next one, which does not come.
    ours.rollback().await.unwrap();
    middle.until("the others fire", &ticks_after(&cut_at, 0)).await;
    let waited = cut.elapsed();
    assert!(waited < within(LOCKED), "the tick was locked for {waited:?}");
    middle.until("they go on", &ticks_after(&cut_at, 7)).await;
    every_tick_once(&middle).await;

    // It hears nothing of its connection's end, neither now nor when it is there again.
    wait_until("the server does not forget the connection", async || !is_closing()).await;
    let lasted = cut.elapsed();
    middle.hosts[number - 1].heal(Net::ALL);
    let healed = Instant::now();
    middle.leave_only(number).await;
    let back = healed.elapsed();
    assert!(back < within(RECOVERY), "it took {back:?} until the host saw to ticks again");
    aloud(&format!(
        "cut off for {lasted:.1?} in a transaction, whose locks were held for {waited:.1?}; when it was healed, the \
         host saw to ticks alone after {back:.1?}"
    ));
}

/// Whether a connection of the middle has ended (`FIN_WAIT1`), and its other side has not heard of it.
fn is_closing() -> bool {
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    sockets.lines().any(|socket| socket.split_whitespace().nth(3) == Some("04"))
}
