//! What an operator does by the command line to what the daemons share: jobs, kinds of jobs, schedules.

use std::io::{BufRead, BufReader};

use crate::prelude::*;
use shopkeeper::daemon::Listeners;

#[tokio::test]
async fn jobs_are_listed_shown_retried_cancelled_and_discarded() {
    let world = World::new().await;
    let dead = "insert into shopkeeper.job_history
         (id, kind, key, payload, priority, outcome, error, attempts, max_attempts, created_at, run_at)
         values (1000, 'refresh_document', 'product/1', '{\"a\": 1}', 0, 'dead', 'no luck', 3, 3, now(), now())";
    world.execute(dead).await;
    let listed = world.run_json("jobs list").await;
    let job = &listed["jobs"][0];
    for (field, value) in
        [("id", "1000"), ("state", "\"dead\""), ("last_error", "\"no luck\""), ("max_attempts", "3")]
    {
        assert_eq!(job[field].to_string(), value, "{listed}");
    }
    let shown = world.run_json("jobs show 1000").await;
    assert_eq!(shown["payload"]["a"], 1, "{shown}");
    assert_eq!(world.run_ok("jobs retry 1000").await, "1 jobs to be run again\n");
    let id: i64 = world.value("select id from shopkeeper.job").await;
    assert_eq!(stdout(&world.run(&["jobs", "cancel", &id.to_string()]).await), "1 jobs cancelled\n");
    assert_eq!(world.count("job").await, 0);
    world.run_failing("jobs discard 77", 2, "no such job in a state where this can be done: 77").await;
    for verb in ["list", "retry", "discard"] {
        let unknown = world.run(&["jobs", verb, "--kind", "refresh_documents"]).await;
        assert_eq!(unknown.status.code(), Some(2), "{verb}");
        assert!(stderr(&unknown).contains("there is no kind of job \"refresh_documents\""), "{verb}");
    }
    let none = world.run(&["jobs", "retry", "--kind", "refresh_document"]).await;
    assert_eq!(stdout(&none), "0 jobs to be run again\n");
}

#[tokio::test]
async fn kinds_are_paused_and_resumed() {
    let world = World::new().await;
    world.run_ok("queue pause refresh_document").await;
    let listed = world.run_json("queue list").await;
    let kinds = as_list(&listed["queue"]);
    let paused: Vec<_> =
        kinds.iter().filter(|kind| kind["paused"] == true).map(|kind| &kind["kind"]).collect();
    assert_eq!(paused, ["refresh_document"], "{listed}");
    world.run_ok("queue resume refresh_document").await;
    world.run_failing("queue pause refresh", 2, "there is no kind of job \"refresh\"").await;
}

#[tokio::test]
async fn who_waits_for_what_is_stopped_is_told_once() {
    let world = World::new().await;
    let waits = async |arguments: &[&str]| {
        let mut all = vec!["--config".to_owned(), world.settings().display().to_string()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let mut waiting = Process::start(command(&all, &[]).stdout(Stdio::null()).stderr(Stdio::piped()));
        let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines();
        let line = said.next().unwrap().unwrap();
        (waiting, line, said)
    };
    world.run(&["queue", "pause", "refresh_document"]).await;
    world.run(&["queue", "pause", "fill_index"]).await;
    world.run(&["queue", "pause", "answer_question"]).await;
    let (synced, line, mut said) = waits(&["sync", "--wait"]).await;
    assert_eq!(line, "fill_index is paused: `shopkeeper queue resume fill_index` goes on");
    let line = said.next().unwrap().unwrap();
    assert_eq!(line, "refresh_document is paused: `shopkeeper queue resume refresh_document` goes on");
    let (asked, line, answered) = waits(&["ask", "How much is the Kettle?"]).await;
    assert_eq!(line, "answer_question is paused: `shopkeeper queue resume answer_question` goes on");
    for kind in ["refresh_document", "fill_index"] {
        world.run(&["queue", "resume", kind]).await;
    }
    assert!(synced.ended().await.success());
    world.run(&["queue", "resume", "answer_question"]).await;
    assert!(asked.ended().await.success());
    let again: Vec<_> = said.chain(answered).map(Result::unwrap).collect();
    assert!(!again.iter().any(|line| line.contains("is paused")), "{again:?}");

    world.run(&["pause"]).await;
    world.describe(3, "Glass.").await;
    let (_synced, line, _) = waits(&["sync", "--wait"]).await;
    assert_eq!(line, "the stop button is pressed, and no model is asked: `shopkeeper resume` goes on");
}

#[tokio::test]
async fn schedules_are_listed_run_paused_and_resumed() {
    let schedule = "[[schedule]]\nname = \"nightly\"\ncron = \"0 3 * * *\"\ntimezone = \"Europe/Berlin\"\njob = \"sync_catalogue\"\n";
    let world = World::with(SHOP, &format!("{}{schedule}", SOURCE)).await;
    let list = async || -> Value {
        let printed = world.run_ok("schedule list --json").await;
        serde_json::from_str::<Value>(&printed).unwrap()["schedules"][0].take()
    };
    let listed = list().await;
    assert_fields(&listed, json!({ "name": "nightly", "job": "sync_catalogue" }));
    let next = as_text(&listed["next_at"]);
    assert!(next.contains("T01:00:00Z") || next.contains("T02:00:00Z"), "{next}");
    world.run_ok("schedule run nightly").await;
    assert_eq!(world.count("job where kind = 'sync_catalogue' and key = 'product'").await, 1);
    world.run_ok("schedule pause nightly").await;
    assert_eq!(list().await["paused"], true);
    world.run_ok("schedule resume nightly").await;
    assert_eq!(list().await["paused"], false);
    let unknown = world.run(&["schedule", "run", "hourly"]).await;
    assert_contains(stderr(&unknown), "there is no schedule \"hourly\"; there are nightly");
}

#[tokio::test]
async fn a_daemon_without_the_role_for_it_takes_no_address_of_the_api() {
    let world = World::new().await;
    let listens = |roles: &[Role]| Listeners::bind(&world.config, Roles::of(roles)).unwrap();
    let (with, without) = (listens(&[Role::Http]), listens(&[Role::Sync, Role::Refresh]));
    assert!(with.api.is_some() && with.admin.is_some());
    assert!(without.api.is_none() && without.admin.is_some());
    let again = without.rebind(&world.config, &world.config, Roles::of(&[Role::Sync])).unwrap();
    assert!(again.api.is_none());
}
