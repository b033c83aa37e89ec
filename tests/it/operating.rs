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
    let expected = json!({ "id": 1000, "state": "dead", "last_error": "no luck", "max_attempts": 3 });
    assert_fields(&listed["jobs"][0], expected);
    assert_fields(&world.run_json("jobs show 1000").await, json!({ "payload": { "a": 1 } }));
    assert_eq!(world.run_ok("jobs retry 1000").await, "1 jobs to be run again\n");
    let id: i64 = world.value("select id from shopkeeper.job").await;
    assert_eq!(world.run_ok(&format!("jobs cancel {id}")).await, "1 jobs cancelled\n");
    assert_eq!(world.count("job").await, 0);
    world.run_failing("jobs discard 77", 2, "no such job in a state where this can be done: 77").await;
    for verb in ["list", "retry", "discard"] {
        let unknown = format!("jobs {verb} --kind refresh_documents");
        world.run_failing(&unknown, 2, "there is no kind of job \"refresh_documents\"").await;
    }
    assert_eq!(world.run_ok("jobs retry --kind refresh_document").await, "0 jobs to be run again\n");
}

#[tokio::test]
async fn kinds_are_paused_and_resumed() {
    let world = World::new().await;
    world.run_ok("queue pause refresh_document").await;
    let listed = world.run_json("queue list").await;
    let paused = as_list(&listed["queue"]).iter().filter(|kind| kind["paused"] == true);
    assert_eq!(paused.map(|kind| &kind["kind"]).collect::<Vec<_>>(), ["refresh_document"], "{listed}");
    world.run_ok("queue resume refresh_document").await;
    world.run_failing("queue pause refresh", 2, "there is no kind of job \"refresh\"").await;
}

#[tokio::test]
async fn who_waits_for_what_is_stopped_is_told_once() {
    let world = World::new().await;
    let waits = |line: &str| {
        let mut waiting = Process::start(world.command(line).stdout(Stdio::null()).stderr(Stdio::piped()));
        let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines();
        (waiting, said.next().unwrap().unwrap(), said)
    };
    for kind in ["refresh_document", "fill_index", "answer_question"] {
        world.run_ok(&format!("queue pause {kind}")).await;
    }
    let (synced, line, mut said) = waits("sync --wait");
    assert_eq!(line, "fill_index is paused: `shopkeeper queue resume fill_index` goes on");
    let line = said.next().unwrap().unwrap();
    assert_eq!(line, "refresh_document is paused: `shopkeeper queue resume refresh_document` goes on");
    let (asked, line, answered) = waits("ask 'How much is the Kettle?'");
    assert_eq!(line, "answer_question is paused: `shopkeeper queue resume answer_question` goes on");
    for kind in ["refresh_document", "fill_index"] {
        world.run_ok(&format!("queue resume {kind}")).await;
    }
    assert!(synced.ended().await.success());
    world.run_ok("queue resume answer_question").await;
    assert!(asked.ended().await.success());
    let again: Vec<_> = said.chain(answered).map(Result::unwrap).collect();
    assert!(!again.iter().any(|line| line.contains("is paused")), "{again:?}");

    world.run_ok("pause").await;
    world.describe(3, "Glass.").await;
    let (_synced, line, _) = waits("sync --wait");
    assert_eq!(line, "model requests are paused: run `shopkeeper resume` to continue");
}

#[tokio::test]
async fn schedules_are_listed_run_paused_and_resumed() {
    let schedule = "[[schedule]]\nname = \"nightly\"\ncron = \"0 3 * * *\"\ntimezone = \"Europe/Berlin\"\n\
                    job = \"sync_catalogue\"\n";
    let world = World::with(SHOP, &format!("{SOURCE}{schedule}")).await;
    let list = async || world.run_json("schedule list").await["schedules"][0].take();
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
    world.run_failing("schedule run hourly", 2, "there is no schedule \"hourly\"; there are nightly").await;
}

#[tokio::test]
async fn a_daemon_without_the_role_for_it_takes_no_address_of_the_api() {
    let world = World::new().await;
    let listens = |roles: &[Role]| Listeners::bind(&world.config, Roles::of(roles)).unwrap();
    let (with, without) = (listens(&[Role::Http]), listens(&[Role::Sync, Role::Refresh]));
    assert!(with.api.is_some() && with.admin.is_some());
    assert!(without.api.is_none() && without.admin.is_some());
    assert!(without.rebind(&world.config, &world.config, Roles::of(&[Role::Sync])).unwrap().api.is_none());
}
