//! Answers while they are made: events, resumed, taken back, slow, from any daemon.

use crate::prelude::*;
use futures::StreamExt;
use reqwest::Response;
use shopkeeper::demo::models::Quirk;

/// One event as a client sees it.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Event {
    fn parse(frame: &str) -> Option<Self> {
        let field =
            |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let (id, name) = (field("id:").to_owned(), field("event:").to_owned());
        (!name.is_empty()).then(|| Self { id, name, data: serde_json::from_str(field("data:")).unwrap() })
    }
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
            events.extend(Event::parse(frame));
            text = rest.to_owned();
        }
    }
    events.truncate(most);
    events
}

/// All events of an answer, and the name of the last one.
async fn all_events(daemon: &TestDaemon, id: &str, after: Option<&str>) -> (Vec<Event>, String) {
    let events = events(watch(daemon, id, after).await, usize::MAX).await;
    let last = events.last().unwrap().name.clone();
    (events, last)
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
            "answer.delta" => text.push_str(as_text(&event.data["delta"])),
            _ => {}
        }
    }
    text
}

/// Checks that what a client shows in the end is the text of the answer.
fn shows_answer(events: &[Event]) {
    assert_eq!(shown(events), as_text(&events.last().unwrap().data["answer"]["text"]), "{events:?}");
}

async fn ask(daemon: &TestDaemon) -> String {
    id_of(&daemon.post(question(PRICE)).await.1).to_owned()
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
    let (after, last) = all_events(&other, &id, Some(&before[2].id)).await;
    assert_eq!(last, "answer.completed");
    let all = [before, after].concat();
    let answer = &all.last().unwrap().data;
    shows_answer(&all);
    assert_eq!(*answer, daemon.settled(&world, &id).await, "the same object");
    let numbers: Vec<i64> = all.iter().map(|event| event.id.parse().unwrap()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");

    // All of it again, and nothing after the end.
    let (again, _) = all_events(&other, &id, None).await;
    assert_eq!(shown(&again), as_text(&answer["answer"]["text"]));
    assert_eq!(watch(&daemon, &id, Some(&all.last().unwrap().id)).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(watch(&daemon, &id, Some("x")).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(watch(&daemon, "x", None).await.status(), StatusCode::NOT_FOUND);
    daemon.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn an_answer_that_came_at_once_is_told_as_one_piece_and_leaves_no_rows() {
    let (world, daemon) = shop_with_daemon().await;
    let at_once = async || {
        let answer = daemon.ask(&world, question(PRICE)).await;
        let id = id_of(&answer);
        let (seen, _) = all_events(&daemon, id, None).await;
        shows_answer(&seen);
        names(&seen) == ["answer.started", "answer.delta", "answer.completed"]
            && world.count(&format!("answer_event where answer_id = '{id}'")).await == 0
    };
    // Where the machine is busy, one may take its time.
    in_time("none is told as one piece", async { while !at_once().await {} }).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_was_said_is_taken_back_when_it_is_not_founded_and_when_the_model_breaks_off() {
    let (world, daemon) = shop_with_daemon().await;
    let slow = Fault::SlowBody(Duration::from_millis(500));
    let invented = says("It costs 1.23, which is not much at all [1].");
    world.script().queue(Operation::Completions, [slow, invented]);
    // The slow answer is taken back, because the second one is withheld.
    let id = ask(&daemon).await;
    let (seen, last) = all_events(&daemon, &id, None).await;
    assert_eq!(last, "answer.completed");
    shows_answer(&seen);

    // The first run breaks off in the middle, the second one answers.
    world.script().reset();
    world.script().queue(Operation::Completions, [Fault::SlowBody(Duration::from_secs(30))]);
    let id = ask(&daemon).await;
    let before = events(watch(&daemon, &id, None).await, 3).await;
    assert_eq!(names(&before)[2], "answer.delta");
    let gone = "lease_until = now() - interval '1 s', fence = fence + 1, worker = 'gone'";
    world.execute(&format!("update shopkeeper.job set {gone}")).await;
    let (after, last) = all_events(&daemon, &id, Some(&before[2].id)).await;
    assert_eq!((names(&after)[0], last.as_str()), ("answer.reset", "answer.completed"), "{after:?}");
    shows_answer(&after);
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
    let cancelled = daemon.send(Method::POST, &format!("/v1/answers/{id}/cancel"), Value::Null).await;
    assert_reply(cancelled, 200, json!({}));
    assert_eq!(names(&events(watched, usize::MAX).await).last(), Some(&"answer.cancelled"));
    world.script().clear();
    drop(idle);

    let late = json!({ "question": PRICE, "start_before": "2020-01-01T00:00:00Z" });
    let (seen, _) = all_events(&daemon, id_of(&daemon.ask_for(&world, late).await), None).await;
    assert_eq!(names(&seen), ["answer.expired"]);

    world.script().always(Operation::Completions, status(400));
    let failed = daemon.ask(&world, question(PRICE)).await;
    assert_eq!(all_events(&daemon, id_of(&failed), None).await.1, "answer.failed");
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

#[tokio::test]
async fn thoughts_that_no_tag_begins_are_taken_back_once_and_after_that_never_shown() {
    let (world, daemon) = shop_with_daemon().await;
    world.script().add_quirk(Quirk::named("qwen-think-unopened").unwrap());
    let mut streams = Vec::new();
    for _ in 0..2 {
        world.script().queue(Operation::Completions, [Fault::SlowBody(Duration::from_secs(1))]);
        let id = ask(&daemon).await;
        let (seen, last) = all_events(&daemon, &id, None).await;
        assert_eq!(last, "answer.completed");
        shows_answer(&seen);
        assert!(!shown(&seen).contains("7777"), "{seen:?}");
        streams.push(seen);
    }
    assert!(names(&streams[0]).contains(&"answer.reset"), "{:?}", streams[0]);
    assert!(!names(&streams[1]).contains(&"answer.reset"), "{:?}", streams[1]);
    assert!(!format!("{:?}", streams[1]).contains("may pay"), "{:?}", streams[1]);
    daemon.stop().await;
}
