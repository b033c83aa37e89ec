//! Sources that are JSON APIs: each way of paging, and what goes wrong between pages.

use std::sync::{Mutex, atomic::AtomicUsize};

use axum::{
    Json, Router,
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderMap, Response, header},
    response::IntoResponse,
    routing,
};

use crate::prelude::*;

/// Items on a page.
const PAGE: usize = 2;

/// An API on loopback.
#[derive(Clone, Default)]
struct Shop(Arc<Content>);

type Items = Vec<(u32, String)>;

#[derive(Default)]
struct Content {
    /// Each with its key, as JSON.
    items: Mutex<Items>,
    /// What goes wrong with the next requests.
    faults: Mutex<Vec<Trouble>>,
    requests: AtomicUsize,
    asked: Mutex<Vec<String>>,
    /// Happens once after a page was served.
    between: Mutex<Option<Between>>,
}

enum Between {
    Change(fn(&mut Items)),
    Fault(Trouble),
}

#[derive(Clone, Copy)]
enum Trouble {
    Busy,
    Cut,
    NotJson,
    Forbidden,
    NoItems,
}

impl Shop {
    /// A shop with five items, and its address.
    async fn start() -> (Self, String) {
        let shop = Self::default();
        shop.set((1..=5).map(|n| item(n, "clay")));
        let app = Router::new()
            .route("/numbered", routing::get(numbered))
            .route("/skipped", routing::get(skipped))
            .route("/linked", routing::get(linked))
            .route("/cursor", routing::get(cursor))
            .route("/graphql", routing::post(graphql))
            .route("/whole", routing::get(whole))
            .with_state(shop.clone());
        let address = serve(app).await;
        (shop, address)
    }

    fn set(&self, items: impl IntoIterator<Item = (u32, String)>) {
        *self.0.items.lock().unwrap() = items.into_iter().collect();
    }

    fn trouble(&self, faults: &[Trouble]) {
        *self.0.faults.lock().unwrap() = faults.iter().rev().copied().collect();
    }

    /// The items from a place on, or what goes wrong.
    fn page(&self, from: usize, asked: &str) -> Result<(String, usize), Box<Response<Body>>> {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
        self.0.asked.lock().unwrap().push(asked.to_owned());
        let response = Response::builder();
        if let Some(fault) = self.0.faults.lock().unwrap().pop() {
            return Err(Box::new(match fault {
                Trouble::Busy => {
                    response.status(429).header(header::RETRY_AFTER, "1").body(Body::empty()).unwrap()
                }
                Trouble::Cut => {
                    let parts = [Ok("[{\"id\":".to_owned()), Err(std::io::Error::other("cut"))];
                    response.body(Body::from_stream(futures::stream::iter(parts))).unwrap()
                }
                Trouble::NotJson => response.body(Body::from("<html>Login</html>")).unwrap(),
                Trouble::Forbidden => response.status(403).body(Body::from("no such key")).unwrap(),
                Trouble::NoItems => response.body(Body::from("{\"errors\": [\"expired\"]}")).unwrap(),
            }));
        }
        let mut items = self.0.items.lock().unwrap();
        let page: Vec<_> = items.iter().skip(from).take(PAGE).map(|(_, item)| item.clone()).collect();
        let all = items.len();
        match self.0.between.lock().unwrap().take() {
            Some(Between::Change(change)) => change(&mut items),
            Some(Between::Fault(fault)) => self.trouble(&[fault]),
            None => {}
        }
        Ok((page.join(","), all))
    }
}

fn item(n: u32, of: &str) -> (u32, String) {
    (
        n,
        format!(
            "{{\"id\": {n}, \"name\": \"Mug {n}\", \"description\": \"A mug of {of}.\", \"price\": {n}.50}}"
        ),
    )
}

type Parameters = Query<BTreeMap<String, String>>;

fn number(parameters: &Parameters, name: &str) -> usize {
    parameters.get(name).map_or(0, |number| number.parse().unwrap())
}

fn sent(body: String) -> Response<Body> {
    Response::builder().header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap()
}

async fn numbered(State(shop): State<Shop>, parameters: Parameters, request: Request) -> Response<Body> {
    let page = number(&parameters, "page").max(1);
    let asked = request.uri().to_string();
    shop.page((page - 1) * PAGE, &asked)
        .map_or_else(|error| *error, |(items, _)| sent(format!("{{\"products\":[{items}]}}")))
}

async fn skipped(State(shop): State<Shop>, parameters: Parameters) -> Response<Body> {
    let page = shop.page(number(&parameters, "offset"), "");
    page.map_or_else(
        |error| *error,
        |(items, all)| sent(format!("{{\"count\":{all},\"products\":[{items}]}}")),
    )
}

async fn linked(State(shop): State<Shop>, parameters: Parameters, headers: HeaderMap) -> Response<Body> {
    assert_eq!(headers["x-shop-token"], "s3cret");
    let from = number(&parameters, "from");
    let (items, all) = match shop.page(from, "") {
        Ok(page) => page,
        Err(error) => return *error,
    };
    let mut response = sent(format!("[{items}]"));
    if from + PAGE < all {
        let link = format!("</linked?from=0>; rel=\"first\", </linked?from={}>; rel=\"next\"", from + PAGE);
        response.headers_mut().insert(header::LINK, link.parse().unwrap());
    }
    response
}

async fn cursor(State(shop): State<Shop>, parameters: Parameters) -> Response<Body> {
    let from = number(&parameters, "after");
    let (items, all) = match shop.page(from, "") {
        Ok(page) => page,
        Err(error) => return *error,
    };
    let next = if from + PAGE < all { format!("\"{}\"", from + PAGE) } else { "null".to_owned() };
    sent(format!("{{\"data\":[{items}],\"meta\":{{\"next\":{next}}}}}"))
}

async fn graphql(State(shop): State<Shop>, Json(query): Json<Value>) -> Response<Body> {
    let from = query["variables"]["after"].as_str().map_or(0, |after| after.parse().unwrap());
    let (items, all) = match shop.page(from, "") {
        Ok(page) => page,
        Err(error) => return *error,
    };
    let edges = if items.is_empty() {
        String::new()
    } else {
        format!("{{\"node\":{}}}", items.replace("},{", "}},{\"node\":{"))
    };
    let more = from + PAGE < all;
    sent(format!(
        "{{\"data\":{{\"products\":{{\"edges\":[{edges}],\"pageInfo\":{{\"endCursor\":\"{}\",\"hasNextPage\":{more}}}}}}}}}",
        from + PAGE
    ))
}

/// Everything, or what changed since a time: then the third item.
async fn whole(State(shop): State<Shop>, parameters: Parameters) -> impl IntoResponse {
    let since = parameters.get("since").cloned();
    shop.0.asked.lock().unwrap().push(since.clone().unwrap_or_default());
    let items = shop.0.items.lock().unwrap();
    let items: Vec<_> =
        items.iter().filter(|(n, _)| since.is_none() || *n == 3).map(|(_, item)| item.clone()).collect();
    sent(format!("[{}]", items.join(",")))
}

fn source(url: &str, keys: &str) -> String {
    format!(
        "[[source]]\nname = \"product\"\nkind = \"api\"\nurl = \"{url}\"\n{keys}\nkey = \"id\"\ntitle = \"{{{{ name }}}}\"\n\
         text = \"{{{{ name }}}}: {{{{ description }}}}\"\nmetadata = [\"price\"]\n"
    )
}

const NUMBERED: &str = "items = \"/products\"\nnext = { page = \"page\", until = \"empty\" }";

async fn world(path: &str, keys: &str) -> (Shop, World) {
    let (shop, address) = Shop::start().await;
    let world =
        World::with_files("select 1", &source(&format!("{address}{path}"), keys), &[("token", "s3cret")])
            .await;
    (shop, world)
}

#[tokio::test]
async fn each_way_of_paging_reads_all_items() {
    let query = r#"body = '{"query": "{ products }", "variables": {"after": {{ cursor|tojson }}}}'"#;
    let graphql = format!(
        "{query}\nitems = \"/data/products/edges/*/node\"\nnext = {{ cursor = \"/data/products/pageInfo/endCursor\", \
         more = \"/data/products/pageInfo/hasNextPage\" }}"
    );
    for (path, keys, requests) in [
        // Items may go from page to page meanwhile: the pages are read twice.
        ("/numbered?page=9&x=1", NUMBERED, 8),
        ("/skipped", "items = \"/products\"\nnext = { offset = \"offset\" }", 8),
        ("/linked", "next = \"link-header\"\nheaders = { x-shop-token = { file = \"token\" } }", 3),
        ("/cursor", "items = \"/data\"\nnext = { cursor = \"/meta/next\", parameter = \"after\" }", 3),
        ("/graphql", &graphql, 3),
    ] {
        let (shop, world) = world(path, keys).await;
        assert_eq!(world.sync().await.added, 5, "{path}");
        assert_eq!(shop.0.requests.load(Ordering::Acquire), requests, "{path}");
        let price = "select metadata ->> 'price' from shopkeeper.document where key = '4'";
        assert_eq!(world.text(price).await, "4.50", "{path}");
        shop.set((1..=5).filter(|n| *n != 2).map(|n| item(n, if n == 3 { "glass" } else { "clay" })));
        let report = world.sync().await;
        assert_eq!((report.changed, report.removed, report.unchanged), (1, 1, 3), "{path}");
        assert!(world.contents().await.join(" ").contains("Mug 3: A mug of glass."), "{path}");
        assert!(!world.run_ok("config show").await.contains("s3cret"), "{path}");
    }
}

#[tokio::test]
async fn a_busy_or_cut_page_is_asked_for_again_and_a_broken_one_removes_nothing() {
    let (shop, world) = world("/numbered", NUMBERED).await;
    shop.trouble(&[Trouble::Busy, Trouble::Cut]);
    let began = Instant::now();
    assert_eq!(world.sync().await.added, 5);
    assert!(began.elapsed() >= Duration::from_secs(1), "the server asked for a second");
    let before = world.index().await;
    for (fault, says) in [
        (Trouble::NotJson, "page 2 is not JSON"),
        (Trouble::Forbidden, "page 2 is refused with 403 Forbidden: no such key"),
        (Trouble::NoItems, "page 2 has no items at \"/products\": {\"errors\""),
    ] {
        shop.set([item(1, "glass")]);
        *shop.0.between.lock().unwrap() = Some(Between::Fault(fault));
        assert_contains(world.try_sync().await.unwrap_err().to_string(), says);
    }
    // An API that is away is waited for, and an empty one is taken for broken.
    shop.set([]);
    assert_contains(
        world.try_sync().await.unwrap_err().to_string(),
        "an empty feed is taken for a broken one",
    );
    world.drain().await;
    assert_eq!(world.index().await, before);
}

#[tokio::test]
async fn items_that_go_to_another_page_while_pages_are_read_are_neither_lost_nor_read_twice() {
    let (shop, world) = world("/numbered", NUMBERED).await;
    world.sync().await;
    // The third item is on the first page once that was read.
    *shop.0.between.lock().unwrap() = Some(Between::Change(|items| _ = items.remove(0)));
    let report = world.sync().await;
    assert_eq!((report.removed, report.unchanged), (0, 5), "the first one was there when its page was read");
    assert_eq!(world.sync().await.removed, 1);
    *shop.0.between.lock().unwrap() = Some(Between::Change(|items| items.insert(0, item(9, "gold"))));
    let report = world.sync().await;
    assert_eq!((report.set_aside, report.removed), (0, 0));
    let report = world.sync().await;
    assert_eq!((report.added, report.unchanged), (1, 4));
}

#[tokio::test]
async fn an_api_that_tells_what_changed_is_polled() {
    let (shop, world) = world("/whole", "updated_since = { parameter = \"since\", format = \"unix\" }").await;
    world.sync().await;
    world.poll().await;
    world.sync().await;
    shop.set((1..=5).map(|n| item(n, "glass")));
    world.poll().await;
    assert_eq!(world.chunks_with("glass").await, 1, "the API tells of the third one");
    let asked = shop.0.asked.lock().unwrap().clone();
    assert!(
        asked.iter().any(|since| since.parse::<i64>().is_ok_and(|since| since > 1_700_000_000)),
        "{asked:?}"
    );
    assert_eq!(world.sync().await.changed, 4);
}

#[tokio::test]
async fn requests_are_kept_apart_and_a_next_page_elsewhere_is_refused() {
    let (_, world) = world("/cursor", "items = \"/data\"\nnext = { cursor = \"/meta/next\", parameter = \"after\" }\nrequests_per_minute = 120").await;
    let began = Instant::now();
    world.sync().await;
    assert!(began.elapsed() >= Duration::from_secs(1), "three requests, half a second apart");

    let app = Router::new()
        .route("/again", routing::get(|| async { "{\"items\": [{\"id\": 1}]}" }))
        .route(
            "/moved",
            routing::get(|| async { axum::response::Redirect::temporary("http://localhost:1/") }),
        )
        .route("/", routing::get(|| async { "{\"items\": [], \"next\": \"http://elsewhere.example/p?2\"}" }));
    let address = serve(app).await;
    for (path, next, says) in [
        (
            "",
            "{ cursor = \"/next\" }",
            "page 1 names a next page on another server, http://elsewhere.example",
        ),
        ("/moved", "\"link-header\"", "page 1 is refused with 307"),
        ("/again", "{ page = \"p\" }", "page 2 repeats an earlier page"),
        (
            "/again",
            "{ cursor = \"/c\", parameter = \"c\", more = \"/m\" }",
            "page 1 does not say at \"/m\" whether there are more",
        ),
    ] {
        let keys = format!("items = \"/items\"\nnext = {next}");
        let world = World::with("select 1", &source(&format!("{address}{path}"), &keys)).await;
        assert_contains(world.try_sync().await.unwrap_err().to_string(), says);
    }
}

#[tokio::test]
async fn items_with_one_key_are_one_document_however_often_the_pages_are_read() {
    let keys = NUMBERED.to_owned() + "\nrows = \"group\"";
    let (shop, world) = world("/numbered", &keys).await;
    world.edit_settings("{{ description }}", "{% for v in variants %}{{ v.price }} {% endfor %}");
    let twice = [(1, "a"), (1, "b"), (2, "a")];
    shop.set(twice.map(|(n, of)| (n, item(n, of).1.replace(".50", if of == "b" { ".75" } else { ".50" }))));
    assert_fields(&world.run_json("sync --wait").await, json!({ "listed": 2, "failed": 0 }));
    assert_eq!(world.contents().await, ["Mug 1: 1.50 1.75", "Mug 2: 2.50"]);
    assert_fields(&world.run_json("sync --wait").await, json!({ "unchanged": 2 }));
}
