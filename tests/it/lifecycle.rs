//! The daemon as a service manager handles it: ready, reload, watchdog, stop; and its traces.

use std::{os::unix::net::UnixDatagram, sync::Mutex};

use crate::{prelude::*, proxy::Proxy};
use axum::{Router, body::Bytes, routing::post};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span};
use prost::Message;
use rustix::process::Signal;

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
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let arguments = ["--config", world.settings().to_str().unwrap(), "run"].map(str::to_owned);
        let mut all = vec![("NOTIFY_SOCKET", path.to_str().unwrap())];
        all.extend(environment);
        let log = fs::File::create(world.folder.path().join("log")).unwrap();
        let child = Process::start(command(&arguments, &all).stdout(Stdio::null()).stderr(log));
        Self { child, socket, _folder: folder }
    }

    /// The next message that holds this.
    fn hears(&self, wanted: &str) -> String {
        let began = Instant::now();
        let mut buffer = [0; 4096];
        while began.elapsed() < LIMIT {
            let length = self.socket.recv(&mut buffer).unwrap();
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.lines().any(|line| line.starts_with(wanted)) {
                return message;
            }
        }
        panic!("{wanted} was not said");
    }

    /// Whether this is said within a time.
    fn hears_within(&self, wanted: &str, time: Duration) -> bool {
        let began = Instant::now();
        let mut buffer = [0; 4096];
        self.socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut heard = false;
        while !heard && began.elapsed() < time {
            if let Ok(length) = self.socket.recv(&mut buffer) {
                heard =
                    String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line.starts_with(wanted));
            }
        }
        self.socket.set_read_timeout(Some(LIMIT)).unwrap();
        heard
    }

    /// Where the API is, as the status says it.
    fn url(message: &str) -> String {
        let (_, url) = message.split_once("API at ").unwrap();
        url.lines().next().unwrap().to_owned()
    }

    async fn ended(self) -> i32 {
        self.child.ended().await.code().unwrap()
    }
}

async fn off<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_manager_hears_of_start_reload_and_stop_and_bad_settings_change_nothing() {
    let world = World::new().await;
    let daemon = Managed::start(&world, &[]);
    let (daemon, ready) = off(move || {
        daemon.hears("EXTEND_TIMEOUT_USEC=");
        let ready = daemon.hears("READY=1");
        (daemon, ready)
    })
    .await;
    world.until_count(3, "document_index").await;
    let url = Managed::url(&ready);
    let client = reqwest::Client::new();
    let say = async |question: &str| {
        let request = client.post(format!("{url}/v1/answers")).header("prefer", "wait=20");
        let response = request.json(&json!({ "question": question })).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(say("How much is the Kettle?").await.1["status"], "completed");

    let settings = fs::read_to_string(world.settings()).unwrap();
    fs::write(world.settings(), format!("{settings}\n[answers]\nnothing = 1\n")).unwrap();
    daemon.child.signal(Signal::HUP);
    let daemon = off(move || {
        assert!(daemon.hears("RELOADING=1").contains("MONOTONIC_USEC="));
        daemon.hears("READY=1");
        daemon
    })
    .await;
    assert_eq!(say("How much is the Kettle?").await.1["status"], "completed", "the old ones hold");

    // A question that is under way is finished by the daemon with the old settings; the address stays.
    world.script().always(Operation::Completions, Fault::Held);
    let before = world.completion_requests();
    let under_way = say("How much is the Shirt?");
    let reload = async {
        world.arrived(Operation::Completions, before + 1).await;
        let shorter = settings.replace("[answers]", "[answers]\nmax_question_chars = 10");
        fs::write(world.settings(), shorter).unwrap();
        daemon.child.signal(Signal::HUP);
        let daemon = off(move || {
            daemon.hears("RELOADING=1");
            daemon.hears("READY=1");
            daemon
        })
        .await;
        world.script().clear();
        daemon
    };
    // Whoever waits is told how far it is when the old daemon ends, and asks the new one.
    let ((_, answer), daemon) = tokio::join!(under_way, reload);
    let id = as_text(&answer["id"]);
    world.until_completed(id).await;
    let (status, problem) = say("How much is the Kettle?").await;
    assert_eq!((status, &problem["code"]), (422, &json!("question_too_long")), "the new ones hold");

    daemon.child.signal(Signal::TERM);
    let daemon = off(move || {
        daemon.hears("STOPPING=1");
        daemon
    })
    .await;
    assert_eq!(daemon.ended().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watchdog_is_fed_only_while_workers_get_through_and_a_second_signal_stops_at_once() {
    let world = World::new().await;
    let proxy = Proxy::start(&world.url()).await;
    fs::write(world.folder.path().join("database.url"), proxy.url()).unwrap();
    let daemon = Managed::start(&world, &[("WATCHDOG_USEC", "3000000")]);
    let daemon = off(move || {
        daemon.hears("READY=1");
        daemon.hears("WATCHDOG=1");
        daemon.hears("WATCHDOG=1");
        daemon
    })
    .await;
    proxy.swallow();
    let daemon = off(move || {
        let began = Instant::now();
        // As long as it may be a hiccup, it is fed.
        while daemon.hears_within("WATCHDOG=1", Duration::from_secs(4)) {
            assert!(began.elapsed() < LIMIT, "it is still fed");
        }
        daemon
    })
    .await;
    daemon.child.signal(Signal::TERM);
    let daemon = off(move || {
        daemon.hears("STOPPING=1");
        daemon.child.signal(Signal::TERM);
        daemon
    })
    .await;
    assert_eq!(daemon.ended().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_takes_long_keeps_the_watchdog_fed_and_ends_with_everything_else() {
    let world = World::new().await;
    let daemon = Managed::start(&world, &[("WATCHDOG_USEC", "1500000")]);
    let daemon = off(move || {
        daemon.hears("READY=1");
        daemon
    })
    .await;
    let proxy = Proxy::start(&world.shop).await;
    proxy.swallow();
    fs::write(world.folder.path().join("shop.url"), proxy.url()).unwrap();
    // The new daemon waits for this before it takes work.
    let mut lock = world.ours.begin().await.unwrap();
    sqlx::query("lock table shopkeeper.source").execute(&mut *lock).await.unwrap();
    daemon.child.signal(Signal::HUP);
    let daemon = off(move || {
        daemon.hears("RELOADING=1");
        assert!(daemon.hears_within("WATCHDOG=1", LIMIT), "it is fed while the new daemon starts");
        daemon.child.signal(Signal::TERM);
        daemon.hears("STOPPING=1");
        daemon
    })
    .await;
    lock.rollback().await.unwrap();
    assert_eq!(daemon.ended().await, 0, "the new daemon ends too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_word_of_a_customer_stands_in_the_log() {
    let hook = "\n[[webhook]]\nname = \"hook\"\nurl = \"http://127.0.0.1:9/planted-path\"\nsecret = { file = \"secret\" }\n";
    let secret = ("secret", "whsec_cGxhbnRlZHBsYW50ZWRwbGFudGVkcGxhbnRlZA==");
    let world = World::with_files(SHOP, &(SOURCE.to_owned() + hook), &[secret]).await;
    let key = ("OPENAI_API_KEY", "sk-planted");
    let daemon = Managed::start(&world, &[key, ("SHOPKEEPER_TELEMETRY__LOG", "debug")]);
    let (daemon, ready) = off(move || {
        let ready = daemon.hears("READY=1");
        (daemon, ready)
    })
    .await;
    world.until_count(3, "document_index").await;
    let faults = [
        Fault::BadJson,
        Fault::CutConnection,
        Fault::Status { code: 400, retry_after: None },
        Fault::Says("planted-answer costs 1.23 [1].".to_owned()),
    ];
    // The server quotes what it was asked.
    world.script().queue(Operation::Embeddings, [Fault::Rejected("planted-question".to_owned())]);
    for fault in faults {
        world.script().queue(Operation::Completions, [fault.clone(), fault]);
        let request = reqwest::Client::new().post(format!("{}/v1/answers", Managed::url(&ready)));
        let request = request.bearer_auth("skt_planted").header("prefer", "wait=20");
        let refused = request.json(&json!({ "question": "planted-question" })).send().await.unwrap();
        assert_eq!(refused.status(), 401);
        let ask = "select shopkeeper.ask('planted-question Kettle?', customer_id => 'planted-customer')";
        let _: Uuid = world.value(ask).await;
        world.until_none("job where kind = 'answer_question'").await;
        world.script().clear();
    }
    daemon.child.signal(Signal::TERM);
    assert_eq!(daemon.ended().await, 0);
    let log = fs::read_to_string(world.folder.path().join("log")).unwrap();
    let password = world.url().split(':').nth(2).unwrap().split('@').next().unwrap().to_owned();
    for planted in [
        "sk-planted",
        "cGxhbnRlZ",
        "skt_planted",
        "planted-question",
        "planted-answer",
        "planted-customer",
        &password,
    ] {
        assert!(
            !log.contains(planted),
            "{planted} in {}",
            log.lines().find(|line| line.contains(planted)).unwrap()
        );
    }
    assert!(log.contains("running"), "there is a log");
    let errors = world.text("select string_agg(error, ' ') from shopkeeper.answer").await;
    assert!(errors.contains("400") && !errors.contains("planted"), "{errors}");
}

/// The spans that came, as they came.
#[expect(clippy::disallowed_methods, reason = "it ends with the test")]
async fn collector(bodies: Arc<Mutex<Vec<Bytes>>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let receive = async move |body: Bytes| bodies.lock().unwrap().push(body);
    // All else is a receiver of webhooks.
    let routes = Router::new().route("/v1/traces", post(receive)).fallback(async || StatusCode::NO_CONTENT);
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_a_client_begins_goes_on_in_the_job_its_search_its_model_and_its_webhook() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let url = collector(bodies.clone()).await;
    let otlp = format!("\n[telemetry]\notlp_endpoint = \"{url}\"\n");
    let hook = format!(
        "\n[[webhook]]\nname = \"hook\"\nurl = \"{url}/\"\nsecret = {{ file = \"secret\" }}\nallow_private_addresses = true\n"
    );
    let secret = ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let world = World::with_files(SHOP, &format!("{SOURCE}{hook}{otlp}"), &[secret]).await;
    let daemon = Managed::start(&world, &[]);
    let (daemon, ready) = off(move || {
        let ready = daemon.hears("READY=1");
        (daemon, ready)
    })
    .await;
    world.until_none("job").await;
    let (http, sql) = ("0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319d");
    let request = reqwest::Client::new().post(format!("{}/v1/answers", Managed::url(&ready)));
    let request =
        request.header("traceparent", format!("00-{http}-b7ad6b7169203331-01")).header("prefer", "wait=20");
    let answer = request.json(&json!({ "question": "How much is the Kettle?" })).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let ask =
        format!("select shopkeeper.ask('And the Shirt?', traceparent => '00-{sql}-b7ad6b7169203331-01')");
    let _: Uuid = world.value(&ask).await;
    world.until_count(2, "delivery where status = 'delivered'").await;
    let retried = "2bf7651916cd43dd8448eb211c80319e";
    world.script().queue(Operation::Completions, [Fault::BadJson]);
    let ask = ask.replace(sql, retried);
    let _: Uuid = world.value(&ask).await;
    world.until_count(3, "delivery where status = 'delivered'").await;
    daemon.child.signal(Signal::TERM);
    assert_eq!(daemon.ended().await, 0);
    let spans = spans(&bodies.lock().unwrap());
    let names = |trace: &str| -> Vec<_> {
        let of_it = spans.iter().filter(|span| span.trace_id == id(trace));
        of_it.map(|span| span.name.as_str()).collect()
    };
    for (trace, from) in [(http, "ask"), (sql, "job")] {
        let names = names(trace);
        for wanted in ["job", "search", "embeddings", "chat", "settle", from] {
            assert!(names.contains(&wanted), "{wanted} is missing in {names:?}");
        }
        let jobs = names.iter().filter(|name| **name == "job").count();
        assert_eq!(jobs, 2, "the answer and the webhook: {names:?}");
    }
    // What came after a failure is a trace of its own, and says of which it is.
    assert!(!names(retried).contains(&"settle"), "{:?}", names(retried));
    let later = spans.iter().find(|span| span.links.iter().any(|link| link.trace_id == id(retried)));
    let later = hex(&later.unwrap().trace_id);
    assert!(names(&later).contains(&"settle"), "{:?}", names(&later));
}

/// All spans that came.
fn spans(bodies: &[Bytes]) -> Vec<Span> {
    let requests = bodies.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap());
    let resources = requests.flat_map(|request| request.resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn id(trace: &str) -> Vec<u8> {
    trace
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
