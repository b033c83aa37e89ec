//! The daemon as a service manager handles it: ready, reload, watchdog, stop; and its traces.

use std::sync::Mutex;

use crate::{prelude::*, proxy::Proxy};
use axum::{Router, body::Bytes, routing::post};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span};
use prost::Message;
use reqwest::RequestBuilder;
use rustix::process::Signal;
use tokio::net::UnixDatagram;

/// A daemon with a socket of a service manager.
struct Managed {
    child: Process,
    socket: UnixDatagram,
    _folder: TempDir,
}

impl Managed {
    fn start(world: &World, environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut run = world.command("run");
        run.env("NOTIFY_SOCKET", &path).envs(environment.iter().copied());
        let log = fs::File::create(world.path("log")).unwrap();
        let child = Process::start(run.stdout(Stdio::null()).stderr(log));
        Self { child, socket, _folder: folder }
    }

    /// The next message that holds this.
    async fn hears(&self, wanted: &str) -> String {
        in_time(wanted, self.next(wanted)).await
    }

    async fn hears_within(&self, wanted: &str, time: Duration) -> bool {
        timeout(time, self.next(wanted)).await.is_ok()
    }

    async fn next(&self, wanted: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).await.unwrap();
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.lines().any(|line| line.starts_with(wanted)) {
                return message;
            }
        }
    }

    /// Waits until it is ready; returns where the API is, as the status says it.
    async fn ready(&self) -> String {
        let message = self.hears("READY=1").await;
        let (_, url) = message.split_once("API at ").unwrap();
        url.lines().next().unwrap().to_owned()
    }

    async fn ended(self) -> i32 {
        self.child.ended().await.code().unwrap()
    }

    /// Has it reload its settings, and waits until it begins to.
    async fn reload(&self) -> String {
        self.child.signal(Signal::HUP);
        self.hears("RELOADING=1").await
    }

    /// Has it stop, and waits until it begins to.
    async fn stop(&self) {
        self.child.signal(Signal::TERM);
        self.hears("STOPPING=1").await;
    }
}

/// A request to the API that waits for the answer.
fn ask(url: &str, text: &str) -> RequestBuilder {
    reqwest::Client::new().post(format!("{url}/v1/answers")).header("prefer", "wait=20").json(&question(text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_manager_hears_of_start_reload_and_stop_and_bad_settings_change_nothing() {
    let world = World::new().await;
    let daemon = Managed::start(&world, &[]);
    daemon.hears("EXTEND_TIMEOUT_USEC=").await;
    let url = daemon.ready().await;
    world.until_count(3, "document_index").await;
    let say = async |text: &str| reply(ask(&url, text)).await;
    assert_eq!(say(PRICE).await.1["status"], "completed");

    let settings = world.edit_settings("[answers]", "[answers]\nnothing = 1");
    assert_contains(daemon.reload().await, "MONOTONIC_USEC=");
    daemon.ready().await;
    assert_eq!(say(PRICE).await.1["status"], "completed", "the old settings apply");

    // A question that is under way is finished by the daemon with the old settings; the address stays.
    world.script().always(Operation::Completions, Fault::Held);
    let before = world.completion_requests();
    let under_way = say("How much is the Shirt?");
    let reload = async {
        world.arrived(Operation::Completions, before + 1).await;
        world.write("jobs.toml", &settings.replace("[answers]", "[answers]\nmax_question_chars = 10"));
        daemon.reload().await;
        daemon.ready().await;
        world.script().clear();
    };
    // A waiting client gets the unfinished answer when the old daemon ends, and asks the new one again.
    let ((_, answer), ()) = tokio::join!(under_way, reload);
    world.until_completed(id_of(&answer)).await;
    // The new settings apply.
    assert_problem(say(PRICE).await, 422, "question_too_long");

    daemon.stop().await;
    assert_eq!(daemon.ended().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watchdog_is_fed_only_while_workers_get_through_and_a_second_signal_stops_at_once() {
    let world = World::new().await;
    let proxy = Proxy::start(&world.url()).await;
    world.write("database.url", &proxy.url());
    let daemon = Managed::start(&world, &[("WATCHDOG_USEC", "3000000")]);
    daemon.ready().await;
    daemon.hears("WATCHDOG=1").await;
    daemon.hears("WATCHDOG=1").await;
    proxy.swallow();
    // A short interruption does not stop the feeding.
    let fed = async { while daemon.hears_within("WATCHDOG=1", Duration::from_secs(4)).await {} };
    in_time("it is still fed", fed).await;
    daemon.stop().await;
    daemon.child.signal(Signal::TERM);
    assert_eq!(daemon.ended().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_takes_long_keeps_the_watchdog_fed_and_ends_with_everything_else() {
    let world = World::new().await;
    let daemon = Managed::start(&world, &[("WATCHDOG_USEC", "1500000")]);
    daemon.ready().await;
    let proxy = Proxy::start(&world.shop).await;
    proxy.swallow();
    world.write("shop.url", &proxy.url());
    // The new daemon waits for this before it takes work.
    let lock = world.begin("lock table shopkeeper.source").await;
    daemon.reload().await;
    // It is fed while the new daemon starts.
    daemon.hears("WATCHDOG=1").await;
    daemon.stop().await;
    lock.rollback().await.unwrap();
    assert_eq!(daemon.ended().await, 0, "the new daemon ends too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_word_of_a_customer_stands_in_the_log() {
    let hook = webhook("hook", "http://127.0.0.1:9/planted-path", "");
    let secret = ("secret", "whsec_cGxhbnRlZHBsYW50ZWRwbGFudGVkcGxhbnRlZA==");
    let world = World::with_files(SHOP, &(SOURCE.to_owned() + &hook), &[secret]).await;
    let key = ("OPENAI_API_KEY", "sk-planted");
    let daemon = Managed::start(&world, &[key, ("SHOPKEEPER_TELEMETRY__LOG", "debug")]);
    let url = daemon.ready().await;
    world.until_count(3, "document_index").await;
    let faults = [Fault::BadJson, Fault::CutConnection, status(400), says("planted-answer costs 1.23 [1].")];
    // The server quotes what it was asked.
    world.script().queue(Operation::Embeddings, [Fault::Rejected("planted-question".to_owned())]);
    for fault in faults {
        world.script().queue(Operation::Completions, [fault.clone(), fault]);
        let refused = reply(ask(&url, "planted-question").bearer_auth("skt_planted")).await;
        assert_eq!(refused.0, StatusCode::UNAUTHORIZED);
        let ask = "select shopkeeper.ask('planted-question Kettle?', customer_id => 'planted-customer')";
        world.execute(ask).await;
        world.until_none("job where kind = 'answer_question'").await;
        world.script().clear();
    }
    daemon.child.signal(Signal::TERM);
    assert_eq!(daemon.ended().await, 0);
    let log = fs::read_to_string(world.path("log")).unwrap();
    let password = world.url().split(':').nth(2).unwrap().split('@').next().unwrap().to_owned();
    let words =
        ["sk-planted", "cGxhbnRlZ", "skt_planted", "planted-question", "planted-answer", "planted-customer"];
    for planted in words.into_iter().chain([password.as_str()]) {
        assert_eq!(log.lines().find(|line| line.contains(planted)), None, "{planted}");
    }
    assert!(log.contains("running"), "there is a log");
    let errors = world.text("select string_agg(error, ' ') from shopkeeper.answer").await;
    assert!(errors.contains("400") && !errors.contains("planted"), "{errors}");
}

/// Serves a collector of spans, which keeps them as they came; all else is a receiver of webhooks.
async fn collector(bodies: Arc<Mutex<Vec<Bytes>>>) -> String {
    let receive = async move |body: Bytes| bodies.lock().unwrap().push(body);
    serve(Router::new().route("/v1/traces", post(receive)).fallback(async || StatusCode::NO_CONTENT)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_a_client_begins_goes_on_in_the_job_its_search_its_model_and_its_webhook() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let url = collector(bodies.clone()).await;
    let hook = webhook("hook", &format!("{url}/"), ON_LOOPBACK);
    let world = World::with_webhooks(&format!("{hook}\n[telemetry]\notlp_endpoint = \"{url}\"\n")).await;
    let daemon = Managed::start(&world, &[]);
    let url = daemon.ready().await;
    world.until_none("job").await;
    let (http, sql) = ("0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319d");
    let traceparent = |trace: &str| format!("00-{trace}-b7ad6b7169203331-01");
    let answer = reply(ask(&url, PRICE).header("traceparent", traceparent(http))).await;
    assert_eq!(answer.0, StatusCode::OK);
    let by_sql = async |trace: &str| {
        let arguments = format!("'And the Shirt?', traceparent => '{}'", traceparent(trace));
        world.execute(&format!("select shopkeeper.ask({arguments})")).await;
    };
    by_sql(sql).await;
    world.until_count(2, "delivery where status = 'delivered'").await;
    let retried = "2bf7651916cd43dd8448eb211c80319e";
    let asked = world.completion_requests();
    world.script().queue(Operation::Completions, [Fault::Held]);
    by_sql(retried).await;
    world.arrived(Operation::Completions, asked + 1).await;
    let gone = "lease_until = now() - interval '1 s', fence = fence + 1, worker = 'gone'";
    world.execute(&format!("update shopkeeper.job set {gone} where kind = 'answer_question'")).await;
    world.until_count(3, "delivery where status = 'delivered'").await;
    daemon.child.signal(Signal::TERM);
    assert_eq!(daemon.ended().await, 0);
    let spans = spans(&bodies.lock().unwrap());
    let names = |trace: &str| -> Vec<_> {
        spans.iter().filter(|span| hex(&span.trace_id) == trace).map(|span| span.name.as_str()).collect()
    };
    for (trace, from) in [(http, "ask"), (sql, "job")] {
        let names = names(trace);
        for wanted in ["job", "search", "embeddings", "chat", "settle", from] {
            assert!(names.contains(&wanted), "{wanted} is missing in {names:?}");
        }
        let jobs = names.iter().filter(|name| **name == "job").count();
        assert_eq!(jobs, 2, "the answer and the webhook: {names:?}");
    }
    // The retry after a failure has its own trace, linked to the first.
    assert!(!names(retried).contains(&"settle"), "{:?}", names(retried));
    let later = spans.iter().find(|span| span.links.iter().any(|link| hex(&link.trace_id) == retried));
    let later = hex(&later.unwrap().trace_id);
    assert!(names(&later).contains(&"settle"), "{:?}", names(&later));
}

/// All spans that came.
fn spans(bodies: &[Bytes]) -> Vec<Span> {
    let requests = bodies.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap());
    let resources = requests.flat_map(|request| request.resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
