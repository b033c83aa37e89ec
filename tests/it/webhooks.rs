//! Webhooks: signed, delivered once, repeated until they succeed, and never sent to private addresses.

use std::{collections::VecDeque, sync::Mutex};

use crate::prelude::*;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::post,
};
use shopkeeper::webhook::job::DeliverWebhook;

/// A message as it came.
#[derive(Clone, Debug)]
struct Message {
    id: String,
    body: Value,
    is_signed: bool,
}

/// How the receiver answers, one after the other; with success when nothing is left.
#[derive(Clone, Debug)]
enum Reply {
    Status(u16),
    RetryAfter(u64),
    Redirect(String),
    Hang,
}

#[derive(Clone, Default)]
struct Receiver {
    messages: Arc<Mutex<Vec<Message>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl Receiver {
    /// Listens on loopback; returns the URL.
    async fn start(&self) -> String {
        serve(Router::new().route("/hook", post(receive)).with_state(self.clone())).await + "/hook"
    }

    fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.replies.lock().unwrap().extend(replies);
    }

    fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    async fn until(&self, count: usize) -> Vec<Message> {
        wait_until(&format!("{count} messages do not come"), async || self.messages().len() >= count).await;
        self.messages()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let is_signed = standardwebhooks::Webhook::new(WEBHOOK_SECRET).unwrap().verify(&body, &headers).is_ok();
    let body = serde_json::from_slice(&body).unwrap();
    receiver.messages.lock().unwrap().push(Message { id, body, is_signed });
    let reply = receiver.replies.lock().unwrap().pop_front();
    match reply.unwrap_or(Reply::Status(204)) {
        Reply::Status(code) => StatusCode::from_u16(code).unwrap().into_response(),
        Reply::RetryAfter(seconds) => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
        Reply::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Reply::Hang => std::future::pending().await,
    }
}

/// A shop whose daemon knows one receiver.
async fn shop_with_receiver() -> (Receiver, World, TestDaemon) {
    let receiver = Receiver::default();
    let hook = webhook("hook", &receiver.start().await, ON_LOOPBACK);
    let (world, daemon) = World::with_webhooks(&hook).await.with_daemon().await;
    (receiver, world, daemon)
}

async fn redeliver(daemon: &TestDaemon, id: impl std::fmt::Display) {
    let path = format!("/v1/webhooks/deliveries/{id}/redeliver");
    assert_eq!(daemon.send(Method::POST, &path, Value::Null).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_receiver_is_told_the_answer_object_signed_and_only_what_it_wants() {
    let (all, failures) = (Receiver::default(), Receiver::default());
    let only_failures = format!("{ON_LOOPBACK}\nevents = [\"answer.failed\"]");
    let sections = webhook("all", &all.start().await, ON_LOOPBACK)
        + &webhook("failures", &failures.start().await, &only_failures);
    let (world, daemon) = World::with_webhooks(&sections).await.with_daemon().await;
    let answer = daemon.ask(&world, question(PRICE)).await;
    let told = all.until(1).await;
    assert!(told[0].is_signed);
    let data = &told[0].body["data"];
    assert_fields(&told[0].body, json!({ "type": "answer.completed", "data": { "id": answer["id"] } }));
    assert_eq!(data["answer"], answer["answer"]);
    assert_eq!(data.as_object().unwrap().len(), answer.as_object().unwrap().len());

    world.script().always(Operation::Completions, status(400));
    let failed = daemon.ask(&world, question(PRICE)).await;
    let told = all.until(3).await;
    let mut types: Vec<_> = told[1..].iter().map(|message| as_text(&message.body["type"])).collect();
    types.sort_unstable();
    assert_eq!(types, ["answer.escalated", "answer.failed"]);
    assert_eq!(failures.until(1).await[0].body["data"]["id"], failed["id"]);
    world.script().clear();

    // A question that names a webhook is delivered to that one alone.
    daemon.ask(&world, json!({ "question": PRICE, "webhook": "failures" })).await;
    let unknown = daemon.post(json!({ "question": PRICE, "webhook": "nobody" })).await;
    assert_contains(assert_problem(unknown, 400, "invalid_request"), "nobody");
    let unknown = world.refusal("select shopkeeper.ask('a', webhook => 'nobody')").await;
    assert_contains(unknown, "no webhook 'nobody'; there are: all, failures");
    world.until_none("delivery where status = 'pending'").await;
    assert_eq!((all.messages().len(), failures.messages().len()), (3, 1));
    daemon.stop().await;
}

#[tokio::test]
async fn a_receiver_that_fails_is_told_again_the_same_until_it_has_it() {
    let (receiver, world, daemon) = shop_with_receiver().await;
    let redirect = Reply::Redirect(receiver.start().await);
    receiver.reply([Reply::Status(500), Reply::RetryAfter(3600), redirect, Reply::Status(404)]);
    daemon.ask(&world, question(PRICE)).await;
    for (attempt, seconds) in (1..).zip([5.0, 3600.0, 1800.0, 7200.0]) {
        let failed = format!("attempts = {attempt} and status = 'pending' and error is not null");
        world.until_some(&format!("delivery where {failed}")).await;
        world.until_count(1, "job where state = 'scheduled'").await;
        // The queue spreads what waits a little.
        let wait = format!("interval '{seconds} s'");
        let waits = format!("job where run_at >= started_at + {wait} and run_at < now() + 1.3 * {wait}");
        assert_eq!(world.count(&waits).await, 1, "after {attempt}");
        if attempt < 4 {
            world.hurry().await;
            world.store.ring("deliver_webhook").await.unwrap();
        } else {
            // An operator redelivers without waiting.
            redeliver(&daemon, world.value::<Uuid>("select id from shopkeeper.delivery").await).await;
        }
    }
    let told = receiver.until(5).await;
    assert!(told.iter().all(|message| message.is_signed && message.id == told[0].id));
    assert!(told.iter().all(|message| message.body == told[0].body), "one id has one content");
    world.until("it is delivered", "status = 'delivered' and code = 204 from shopkeeper.delivery").await;

    // An operator has it sent once more: the same message.
    let listed = daemon.get("/v1/webhooks/deliveries?status=delivered").await;
    assert_eq!(as_list(&assert_reply(listed, 200, json!({}))["data"]).len(), 1);
    redeliver(&daemon, &told[0].id).await;
    let again = receiver.until(6).await;
    assert_eq!((&again[5].id, &again[5].body), (&told[0].id, &told[0].body));

    // A receiver that replies 410 is not tried again.
    receiver.reply([Reply::Status(410)]);
    daemon.ask(&world, question(PRICE)).await;
    world.until_count(1, "delivery where status = 'failed' and code = 410").await;
    assert_eq!(world.count("job").await, 0);
    daemon.stop().await;
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_answer_and_no_other_receiver() {
    let (hanging, well) = (Receiver::default(), Receiver::default());
    let sections = webhook("hanging", &hanging.start().await, ON_LOOPBACK)
        + &webhook("well", &well.start().await, ON_LOOPBACK);
    let (world, daemon) = World::with_webhooks(&sections).await.with_daemon().await;
    hanging.reply((0..100).map(|_| Reply::Hang));
    for _ in 0..5 {
        assert_eq!(daemon.ask(&world, question(PRICE)).await["status"], "completed");
    }
    well.until(5).await;
    world.until_count(5, "delivery where error like '%no answer in time'").await;
    daemon.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_into_a_private_network_whatever_its_name_or_way() {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let port = url.rsplit_once(':').unwrap().1;
    let ways = [
        ("literal", format!("http://127.0.0.1:{port}")),
        ("name", format!("http://localhost:{port}")),
        ("mapped", format!("http://[::ffff:127.0.0.1]:{port}")),
        ("short", format!("http://127.1:{port}")),
        ("number", format!("http://2130706433:{port}")),
        ("private", "http://10.0.0.1/hook".to_owned()),
        ("link", "http://169.254.169.254/latest/meta-data".to_owned()),
        ("unique", "http://[fd00::1]/hook".to_owned()),
    ];
    let sections: String = ways.iter().map(|(name, url)| webhook(name, url, "")).collect();
    let (world, daemon) = World::with_webhooks(&sections).await.with_daemon().await;
    daemon.ask(&world, question(PRICE)).await;
    world.until_count(ways.len(), "delivery where error like '%is an address of a private network%'").await;
    assert!(receiver.messages().is_empty());
    daemon.stop().await;

    // A redirect of a public receiver would be another way in: redirects are not followed.
    let inner = Receiver::default();
    let (public, world, daemon) = shop_with_receiver().await;
    public.reply([Reply::Redirect(inner.start().await)]);
    daemon.ask(&world, question(PRICE)).await;
    world.until("it failed", "code = 302 from shopkeeper.delivery").await;
    assert!(inner.messages().is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_told_is_written_with_the_result_and_erased_with_it() {
    let (receiver, world, daemon) = shop_with_receiver().await;
    receiver.reply([Reply::Status(500)]);
    daemon.ask(&world, json!({ "question": PRICE, "session_id": "zebra77" })).await;
    receiver.until(1).await;
    world.until_count(1, "job where state = 'scheduled'").await;
    daemon.send(Method::DELETE, "/v1/sessions/zebra77", Value::Null).await;
    for left in ["delivery", "job", "job_history where kind in ('answer_question', 'deliver_webhook')"] {
        assert_eq!(world.count(left).await, 0, "{left}");
    }

    // A result that is not committed is not delivered.
    world.execute("begin; update shopkeeper.answer set status = 'failed'; rollback").await;
    world.ask_by_sql("Anybody?").await;
    receiver.until(2).await;
    world.until_none("job").await;
    assert_eq!(receiver.messages().len(), 1 + usize::try_from(world.count("delivery").await).unwrap());
    daemon.stop().await;
}

#[tokio::test]
async fn a_command_with_other_settings_stops_no_deliveries() {
    let hook = webhook("hook", "http://127.0.0.1:9/", "");
    let world = World::with_webhooks(&hook).await;
    world.edit_settings(&hook, "");
    world.edit_settings("name = \"product\"", "name = \"copy\"");
    for command in ["plan", "search kettle", "ask 'How much is the Kettle?'"] {
        world.run_ok(command).await;
        assert_eq!((world.count("webhook").await, world.count("source").await), (1, 1), "{command}");
    }
}

#[tokio::test]
async fn a_message_whose_job_an_operator_cancels_is_not_waited_for() {
    let (receiver, world, daemon) = shop_with_receiver().await;
    receiver.reply([Reply::Status(500)]);
    daemon.ask(&world, question(PRICE)).await;
    world.until_count(1, "job where state = 'scheduled'").await;
    let job = world.value("select id from shopkeeper.job").await;
    assert_eq!(world.store.cancel_jobs(&[job]).await.unwrap(), 1);
    assert_starts(world.text("select status || ': ' || error from shopkeeper.delivery").await, "failed: ");
    daemon.stop().await;
}

#[tokio::test]
async fn a_message_for_a_webhook_that_this_daemon_does_not_know_waits_for_one_that_does() {
    let receiver = Receiver::default();
    let world = World::with_webhooks(&webhook("bot", &receiver.start().await, ON_LOOPBACK)).await;
    world.sync().await;
    // As an older daemon, started before the webhook was added.
    let old = DeliverWebhook { store: world.store.clone(), webhooks: BTreeMap::new() };
    let workers = Workers::new(&world.store);
    workers.start(&Arc::new(old), &world.config.queue.deliver_webhook);
    workers.start(&world.parts.answer, &world.config.queue.answer_question);
    world.execute("select shopkeeper.ask('Kettle?', webhook => 'bot')").await;
    world.until_some("delivery where attempts = 1").await;
    workers.stop().await;
    let status = world.text("select status || ': ' || error from shopkeeper.delivery").await;
    assert_eq!(status, "pending: the settings of this daemon have no webhook `bot`");
    world.hurry().await;
    world.drain().await;
    assert_eq!(receiver.until(1).await[0].body["type"], "answer.completed");
}

#[tokio::test]
async fn nobody_is_told_what_a_model_thinks_and_nobody_reads_it_in_a_draft() {
    let (receiver, world, daemon) = shop_with_receiver().await;
    let invented = "<think>It may hold 7777 litres.</think>The Kettle holds 9999 litres. [1]";
    world.script().always(Operation::Completions, Fault::Says(invented.to_owned()));
    let answer = daemon.ask(&world, question(PRICE)).await;
    let told = receiver.until(2).await;
    assert!(!format!("{answer} {told:?}").contains("7777"), "{answer} {told:?}");
    assert_eq!(world.text("select draft from shopkeeper.answer").await, "The Kettle holds 9999 litres. [1]");
    daemon.stop().await;
}
