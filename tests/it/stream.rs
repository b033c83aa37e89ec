//! Answers while they are made: events, resumed, taken back, slow, from any daemon.

use crate::prelude::*;
use futures::StreamExt;
use reqwest::Response;

/// One event as a client sees it.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

/// The events of a response, until its end or this many.
async fn events(response: Response, most: usize) -> Vec<Event> {
    let mut bytes = response.bytes_stream();
    let (mut text, mut events) = (String::new(), Vec::new());
    while events.len() < most
        && let Some(piece) = bytes.next().await
    {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        while let Some((frame, rest)) = text.split_once("\n\n") {
            let field = |name: &str| {
                frame.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
            };
            if !field("event:").is_empty() {
                let data = serde_json::from_str(&field("data:")).unwrap();
                events.push(Event { id: field("id:"), name: field("event:"), data });
            }
            text = rest.to_owned();
        }
    }
    events.truncate(most);
    events
}

async fn watch(daemon: &TestDaemon, id: &str, after: Option<&str>) -> Response {
    let mut request = daemon.request(Method::GET, &format!("/v1/answers/{id}/events"));
    if let Some(after) = after {
        request = request.header("Last-Event-ID", after);
    }
    request.send().await.unwrap()
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

/// What a client that follows the events shows in the end.
fn shown(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        match event.name.as_str() {
            "answer.reset" => text.clear(),
            "answer.delta" => text.push_str(event.data["delta"].as_str().unwrap()),
            _ => {}
        }
    }
    text
}

const QUESTION: &str = "How much is the Kettle?";

async fn ask(daemon: &TestDaemon) -> String {
    let (_, answer) = daemon.post(json!({ "question": QUESTION })).await;
    as_text(&answer["id"]).to_owned()
}

#[tokio::test]
async fn an_answer_is_seen_while_it_is_made_and_a_client_that_was_cut_off_goes_on_at_another_daemon() {
    let world = World::new().await;
    let (daemon, other) = (TestDaemon::start(&world).await, TestDaemon::start(&world).await);
    world.script().queue(Operation::Completions, [Fault::SlowBody(Duration::from_secs(3))]);
    let id = ask(&daemon).await;
    let before = events(watch(&daemon, &id, None).await, 3).await;
    assert_eq!(names(&before), ["answer.started", "answer.sources", "answer.delta"]);
    assert_eq!(before[1].data["sources"][0]["title"], "Kettle");
    let after = events(watch(&other, &id, Some(&before[2].id)).await, usize::MAX).await;
    assert_eq!(names(&after).last(), Some(&"answer.completed"));
    let all = [before, after].concat();
    let answer = &all.last().unwrap().data;
    assert_eq!(shown(&all), as_text(&answer["answer"]["text"]));
    assert_eq!(*answer, daemon.settled(&world, &id).await, "the same object");
    let numbers: Vec<i64> = all.iter().map(|event| event.id.parse().unwrap()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");

    // All of it again, and nothing after the end.
    let again = events(watch(&other, &id, None).await, usize::MAX).await;
    assert_eq!(shown(&again), as_text(&answer["answer"]["text"]));
    let done = watch(&daemon, &id, Some(&all.last().unwrap().id)).await;
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    assert_eq!(watch(&daemon, &id, Some("x")).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(watch(&daemon, "x", None).await.status(), StatusCode::NOT_FOUND);
    daemon.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn an_answer_that_came_at_once_is_told_as_one_piece_and_leaves_no_rows() {
    let (world, daemon) = shop_with_daemon().await;
    let at_once = async || {
        let answer = daemon.ask(&world, json!({ "question": QUESTION })).await;
        let id = as_text(&answer["id"]);
        let seen = events(watch(&daemon, id, None).await, usize::MAX).await;
        assert_eq!(shown(&seen), as_text(&answer["answer"]["text"]));
        names(&seen) == ["answer.started", "answer.delta", "answer.completed"]
            && world.count(&format!("answer_event where answer_id = '{id}'")).await == 0
    };
    // Where the machine is busy, one may take its time.
    let soon = async { while !at_once().await {} };
    timeout(LIMIT, soon).await.expect("none is told as one piece");
    daemon.stop().await;
}

#[tokio::test]
async fn what_was_said_is_taken_back_when_it_is_not_founded_and_when_the_model_breaks_off() {
    let (world, daemon) = shop_with_daemon().await;
    world.script().queue(
        Operation::Completions,
        [
            Fault::SlowBody(Duration::from_millis(500)),
            Fault::Says("It costs 1.23, which is not much at all [1].".into()),
        ],
    );
    // The slow one says something else than what is looked for in the end: it is the second that is withheld.
    let id = ask(&daemon).await;
    let seen = events(watch(&daemon, &id, None).await, usize::MAX).await;
    assert_eq!(names(&seen).last(), Some(&"answer.completed"));
    assert_eq!(shown(&seen), seen.last().unwrap().data["answer"]["text"].as_str().unwrap());

    // The first run breaks off in the middle, the second one answers.
    world.script().reset();
    world.script().queue(Operation::Completions, [Fault::SlowBody(Duration::from_secs(30))]);
    let id = ask(&daemon).await;
    let before = events(watch(&daemon, &id, None).await, 3).await;
    assert_eq!(names(&before)[2], "answer.delta");
    execute(
        &world.url(),
        "update shopkeeper.job set lease_until = now() - interval '1 s', fence = fence + 1, worker = 'gone'",
    )
    .await;
    let after = events(watch(&daemon, &id, Some(&before[2].id)).await, usize::MAX).await;
    assert_eq!(names(&after)[0], "answer.reset", "{after:?}");
    assert_eq!(names(&after).last(), Some(&"answer.completed"));
    assert_eq!(shown(&after), after.last().unwrap().data["answer"]["text"].as_str().unwrap());
    daemon.stop().await;
}

#[tokio::test]
async fn every_end_has_its_event_and_a_client_that_goes_away_or_reads_nothing_holds_nothing_up() {
    let (world, daemon) = shop_with_daemon().await;
    world.script().always(Operation::Completions, Fault::Held);
    let id = ask(&daemon).await;
    world.arrived(Operation::Completions, 1).await;
    let idle: Vec<_> = join_all((0..20).map(|_| watch(&daemon, &id, None))).await;
    drop(watch(&daemon, &id, None).await);
    let watched = watch(&daemon, &id, None).await;
    let cancel = daemon.request(Method::POST, &format!("/v1/answers/{id}/cancel")).send().await.unwrap();
    assert_eq!(cancel.status(), StatusCode::OK);
    assert_eq!(names(&events(watched, usize::MAX).await).last(), Some(&"answer.cancelled"));
    world.script().clear();
    drop(idle);

    let late = json!({ "question": QUESTION, "start_before": "2020-01-01T00:00:00Z" });
    let late = daemon.ask_for(&world, late).await;
    let seen = events(watch(&daemon, as_text(&late["id"]), None).await, usize::MAX).await;
    assert_eq!(names(&seen), ["answer.expired"]);

    world.script().always(Operation::Completions, Fault::BadJson);
    let failed = daemon.ask(&world, json!({ "question": QUESTION })).await;
    let seen = events(watch(&daemon, as_text(&failed["id"]), None).await, usize::MAX).await;
    assert_eq!(names(&seen).last(), Some(&"answer.failed"));
    world.script().clear();

    // A stop ends the events; the answer goes on elsewhere.
    world.script().always(Operation::Completions, Fault::Held);
    let before = world.completion_requests();
    let id = ask(&daemon).await;
    world.arrived(Operation::Completions, before + 1).await;
    let watched = watch(&daemon, &id, None).await;
    let until_the_end = async {
        let seen = events(watched, usize::MAX).await;
        world.script().clear();
        seen
    };
    let (seen, ()) = tokio::join!(until_the_end, daemon.stop());
    assert!(!names(&seen).contains(&"answer.completed"), "{seen:?}");
}
