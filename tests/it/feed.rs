//! Sources that are feeds: files and downloads, whole and cut.

use std::sync::{Mutex, atomic::AtomicUsize};

use crate::{prelude::*, refresh::index};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, header},
    response::IntoResponse,
    routing,
};
use shopkeeper::sync::report::SyncReport;
use tokio::sync::{RwLock, RwLockWriteGuard, Semaphore};

/// Longer than what waits for nothing takes, and less than a feed's server may take to answer.
const SOON: Duration = Duration::from_secs(20);

const CSV: &str = "sku,name,description,price\n\
    m1,Mug,A mug of clay.,9.90\n\
    m2,Kettle,\"A kettle, of steel.\",45.00\n\
    m3,Tent,A tent for two.,189.00\n";

fn source(place: &str, format: &str) -> String {
    format!(
        "[[source]]
name = \"product\"
kind = \"feed\"
{place}
format = \"{format}\"
key = \"sku\"
sku = \"sku\"
title = \"{{{{ name }}}}\"
text = \"{{{{ description }}}}\"
metadata = [\"price\"]
"
    )
}

/// A world whose only source is a feed at this place.
pub(crate) async fn with_feed(place: &str, format: &str) -> World {
    World::with("select 1", &source(place, format)).await
}

/// A world whose feed is a file beside the settings.
pub(crate) async fn with_file(format: &str, feed: &str) -> World {
    let world = with_feed("path = \"feed.txt\"", format).await;
    write(&world, feed);
    world
}

/// Replaces the feed at once, as a shop should.
pub(crate) fn write(world: &World, feed: &str) {
    world.write("feed.new", feed);
    fs::rename(world.path("feed.new"), world.path("feed.txt")).unwrap();
}

async fn indexed(world: &World) -> String {
    world.contents().await.join(" ")
}

/// The feed with another text for the mug.
fn changed() -> String {
    CSV.replace("clay", "glass")
}

#[tokio::test]
async fn a_file_is_followed_row_by_row() {
    let world = with_file("csv", CSV).await;
    assert_eq!(world.sync().await.added, 3);
    assert_eq!(world.found("Kettle: a kettle, of steel").await[0], "Kettle");
    let kettle = "select sku || (metadata ->> 'price') from shopkeeper.document where key = 'm2'";
    assert_eq!(world.text(kettle).await, "m245.00");
    let inputs = world.script().inputs();
    let same = world.sync().await;
    assert_eq!((same.changed, same.unchanged), (0, 3));
    write(&world, &CSV.replace("45.00", "39.00"));
    assert_eq!(world.sync().await.changed, 1);
    assert_eq!(world.script().inputs(), inputs, "a price is not embedded");
    assert_eq!(world.text(kettle).await, "m239.00");
    let semicolons =
        "sku;name;description;price\nm1;Mug;A mug of glass.;9.90\nm3;Tent;A tent for two.;189.00\n";
    write(&world, semicolons);
    let report = world.sync().await;
    assert_eq!((report.changed, report.removed, report.unchanged), (1, 1, 1));
    assert_eq!(indexed(&world).await, "A mug of glass. A tent for two.");
}

#[tokio::test]
async fn json_lines_and_merchant_feeds_are_the_same_documents() {
    let lines = "{\"sku\":\"m1\",\"name\":\"Mug\",\"description\":\"A mug of clay.\",\"price\":\"9.90\"}\n\
                 {\"sku\":\"m2\",\"name\":\"Kettle\",\"description\":\"A kettle, of steel.\",\"price\":\"45.00\"}\n\
                 {\"sku\":\"m3\",\"name\":\"Tent\",\"description\":\"A tent for two.\",\"price\":\"189.00\"}\n";
    let items = lines.lines().map(|line| {
        let row: BTreeMap<String, String> = serde_json::from_str(line).unwrap();
        let field = |(name, value)| format!("<g:{name}>{value}</g:{name}>");
        format!("<item>{}</item>", row.iter().map(field).collect::<String>())
    });
    let items: String = items.collect();
    let merchant = format!(
        "<?xml version=\"1.0\"?><rss xmlns:g=\"http://base.google.com/ns/1.0\"><channel>{items}</channel></rss>"
    );
    let mut indexes = Vec::new();
    for (format, feed) in [("csv", CSV), ("jsonl", lines), ("google-merchant", merchant.as_str())] {
        let world = with_file(format, feed).await;
        world.sync().await;
        indexes.push(world.index().await);
    }
    assert_eq!(indexes[0].len(), 3);
    assert_eq!([&indexes[1], &indexes[2]], [&indexes[0], &indexes[0]]);
}

#[tokio::test]
async fn an_empty_or_a_cut_feed_removes_nothing() {
    let world = with_file("csv", CSV).await;
    world.sync().await;
    let before = world.index().await;
    for (feed, reason) in [
        ("", "an empty feed is taken for a broken one"),
        ("sku,name,description,price\n", "an empty feed is taken for a broken one"),
        (&CSV[..CSV.len() - 20], "the last line has no line end"),
        (&CSV[..CSV.len() - 3], "the last line has no line end"),
        (
            "sku,name,description,price\nm1,Mug,A,1\nm1,Mug,B,1\n",
            "1 of its 2 rows cannot be read, more than `set_aside_limit` allows; the first is row 3: a row before it",
        ),
        (
            "sku,name,description,price\n,Mug,A,1\n",
            "1 of its 1 rows cannot be read, more than `set_aside_limit` allows; the first is row 2: it has no key: its `sku`",
        ),
    ] {
        write(&world, feed);
        let error = world.try_sync().await.unwrap_err().to_string();
        assert!(error.contains("source `product` is broken") && error.contains(reason), "{error}");
    }
    world.drain().await;
    assert_eq!(world.index().await, before);
    write(&world, "sku,name,price\nm1,Mug,1\n");
    world.run_failing("sync", 2, "names the column `description`").await;
    fs::remove_file(world.path("feed.txt")).unwrap();
    world.run_failing("sync", 3, "").await;
    assert_eq!(world.index().await, before);
}

/// The small shop's table, and beside it a feed.
async fn with_both(place: &str) -> World {
    let feed = source(place, "csv").replace("\"product\"", "\"feed\"");
    let world = World::with(SHOP, &(SOURCE.to_owned() + &feed)).await;
    world.try_sync().await.unwrap();
    world
}

/// Another daemon lists a source; this world has no copy of what it saw.
async fn list_elsewhere(world: &World, source: &str) -> SyncReport {
    let config = Config::load(&world.settings(), &BTreeMap::new()).unwrap();
    let other = daemon::prepare(&config, &world.store).await.unwrap();
    other.sync.sync(source, SyncOptions::default()).await.unwrap()
}

#[tokio::test]
async fn a_feed_that_cannot_be_read_fails_no_document_of_another_source() {
    let world = with_both("path = \"feed.txt\"").await;
    write(&world, CSV);
    list_elsewhere(&world, "feed").await;
    fs::remove_file(world.path("feed.txt")).unwrap();
    world.parts.versions.written().await.unwrap();
    let (of_feed, of_table) = tokio::join!(index(&world, "feed", &["m1"]), index(&world, "product", &["1"]));
    assert!(matches!(of_feed, Err(JobError::Snooze { .. })), "{of_feed:?}");
    assert_eq!(of_table, Ok(()));
    assert_eq!(world.count("document where source = 'feed'").await, 3, "nothing is taken for removed");
}

/// A shop's server with a feed.
#[derive(Clone)]
struct Served {
    feed: Arc<Mutex<String>>,
    /// Bytes of it that are sent before the connection ends.
    cut_at: Arc<Mutex<Option<usize>>>,
    whole: Arc<AtomicUsize>,
    unchanged: Arc<AtomicUsize>,
    /// One permit for each request.
    asked: Arc<Semaphore>,
    /// Nothing is answered while it is held for writing.
    gate: Arc<RwLock<()>>,
}

impl Served {
    /// Serves a feed; returns its address as a source's settings name it.
    async fn start() -> (Self, String) {
        let served = Self {
            feed: Arc::new(Mutex::new(CSV.to_owned())),
            cut_at: Arc::default(),
            whole: Arc::default(),
            unchanged: Arc::default(),
            asked: Arc::new(Semaphore::new(0)),
            gate: Arc::default(),
        };
        let routes = Router::new().route("/feed.csv", routing::get(feed)).with_state(served.clone());
        (served, format!("url = \"{}/feed.csv?token=s3cret\"", serve(routes).await))
    }

    /// Waits for the next request since `gate` was closed.
    async fn asked(&self) {
        self.asked.acquire().await.unwrap().forget();
    }

    /// Answers nothing until what this returns is dropped.
    async fn close(&self) -> RwLockWriteGuard<'_, ()> {
        self.asked.forget_permits(usize::MAX);
        self.gate.write().await
    }
}

async fn feed(State(served): State<Served>, headers: HeaderMap) -> Response<Body> {
    served.asked.add_permits(1);
    let _open = served.gate.read().await;
    let feed = served.feed.lock().unwrap().clone();
    let etag = format!("\"{}\"", blake3::hash(feed.as_bytes()).to_hex());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|held| held == etag.as_str()) {
        served.unchanged.fetch_add(1, Ordering::AcqRel);
        return Response::builder().status(StatusCode::NOT_MODIFIED).body(Body::empty()).unwrap();
    }
    served.whole.fetch_add(1, Ordering::AcqRel);
    let response = Response::builder().header(header::ETAG, etag);
    let Some(cut_at) = *served.cut_at.lock().unwrap() else {
        return response.body(Body::from(feed)).unwrap();
    };
    let parts = [Ok(feed[..cut_at].to_owned()), Err(std::io::Error::other("cut"))];
    response.body(Body::from_stream(futures::stream::iter(parts))).unwrap()
}

#[tokio::test]
async fn a_download_that_breaks_off_is_noticed_and_one_that_did_not_change_is_not_repeated() {
    let (served, place) = Served::start().await;
    let world = with_feed(&place, "csv").await;
    assert_eq!(world.sync().await.added, 3);
    assert_eq!(world.sync().await.unchanged, 3);
    assert_eq!((served.whole.load(Ordering::Acquire), served.unchanged.load(Ordering::Acquire)), (1, 1));

    let before = world.index().await;
    *served.feed.lock().unwrap() = changed();
    // At the end of a line, where the text itself tells nothing.
    *served.cut_at.lock().unwrap() = changed().find("m2");
    let error = world.try_sync().await.unwrap_err().to_string();
    assert!(error.contains("source `product` cannot be reached") && !error.contains("s3cret"), "{error}");
    assert_eq!(world.index().await, before);
    *served.cut_at.lock().unwrap() = None;
    assert_eq!(world.sync().await.changed, 1);
    assert!(indexed(&world).await.contains("A mug of glass."));
    assert!(!world.run_ok("config show").await.contains("s3cret"));
}

#[tokio::test]
async fn a_download_that_may_have_been_written_again_in_the_second_it_was_sent_is_repeated() {
    const WRITTEN: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    // The feed, when it is sent, and how often that was.
    let served = Arc::new(Mutex::new((CSV.to_owned(), WRITTEN, 0)));
    let sent = served.clone();
    let feed = async move |headers: HeaderMap| {
        let (feed, now, times) = &mut *sent.lock().unwrap();
        if headers.contains_key(header::IF_NONE_MATCH) || headers.contains_key(header::IF_MODIFIED_SINCE) {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        *times += 1;
        let validators =
            [(header::LAST_MODIFIED, WRITTEN), (header::ETAG, "\"of that second\""), (header::DATE, now)];
        (validators, feed.clone()).into_response()
    };
    let url = serve(Router::new().route("/", routing::get(feed))).await;
    let world = with_feed(&format!("url = \"{url}/\""), "csv").await;
    assert_eq!(world.sync().await.added, 3);
    served.lock().unwrap().0 = changed();
    assert_eq!(world.sync().await.changed, 1);
    // Later it is known that this is the last of that second.
    served.lock().unwrap().1 = "Thu, 01 Jan 2026 00:00:02 GMT";
    for _ in 0..3 {
        assert_eq!(world.sync().await.unchanged, 3);
    }
    assert_eq!(served.lock().unwrap().2, 3);
}

#[tokio::test]
async fn a_daemon_with_an_old_copy_reads_what_another_listed() {
    let world = with_file("csv", CSV).await;
    world.sync().await;
    write(&world, &(changed() + "m4,Lamp,A lamp of oak.,70.00\n"));
    assert_eq!(list_elsewhere(&world, "product").await.added, 1);
    // This world's own jobs hold the copy from before.
    world.drain().await;
    assert_eq!(indexed(&world).await, "A mug of glass. A kettle, of steel. A tent for two. A lamp of oak.");
    assert_eq!(world.sync().await.unchanged, 4);
    assert!(world.embedding_requests() > 0);
}

#[tokio::test]
async fn while_a_feed_is_downloaded_its_last_copy_is_read_but_for_what_changed() {
    let (served, place) = Served::start().await;
    let world = with_feed(&place, "csv").await;
    world.sync().await;
    *served.feed.lock().unwrap() = changed();
    assert_eq!(list_elsewhere(&world, "product").await.changed, 1);
    let gate = served.close().await;
    let behind = index(&world, "product", &["m1"]);
    let meanwhile = async {
        served.asked().await;
        let same = timeout(SOON, index(&world, "product", &["m2"])).await;
        assert_eq!(same.expect("it waits for the download"), Ok(()));
        assert!(indexed(&world).await.contains("A mug of clay."));
        drop(gate);
    };
    let (behind, ()) = tokio::join!(behind, meanwhile);
    assert_eq!(behind, Ok(()));
    assert!(indexed(&world).await.contains("A mug of glass."), "it is not read from a copy that is older");
}

#[tokio::test]
async fn a_source_that_hangs_holds_up_no_other() {
    let (served, place) = Served::start().await;
    let world = with_both(&place).await;
    list_elsewhere(&world, "feed").await;
    let gate = served.close().await;
    let hanging = index(&world, "feed", &["m1"]);
    let others = async {
        served.asked().await;
        world.parts.versions.written().await.unwrap();
        let of_table = async {
            let ended = timeout(SOON, index(&world, "product", &["1"])).await;
            assert_eq!(ended.expect("it waits for the feed"), Ok(()));
            drop(gate);
        };
        tokio::join!(index(&world, "feed", &["m2"]), of_table)
    };
    let (one, (other, ())) = tokio::join!(hanging, others);
    assert_eq!((one, other), (Ok(()), Ok(())));
}
