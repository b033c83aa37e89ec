//! How sections read their keys, and the faults that they note.

use std::path::PathBuf;

use super::{Config, Faults};

mod models;

fn read(text: &str) -> Result<Config, Vec<String>> {
    read_with(text, &[("OPENAI_API_KEY", "sk-one")])
}

fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let usual = [("DATABASE_URL", "postgres://u@h/d"), ("OTHER", "sk-other")];
    let variables = usual.iter().chain(variables);
    let environment = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let faults = |all: Faults| {
        all.faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()
    };
    Config::parse(text, "jobs.toml", PathBuf::new(), &environment).map_err(faults)
}

/// The keys that have faults, in the order of their lines.
fn faulty(text: &str) -> String {
    let faults = read(text).err().unwrap_or_default();
    faults.iter().filter_map(|fault| fault.split(':').next()).collect::<Vec<_>>().join(", ")
}

#[test]
fn two_wrong_values_are_two_faults_and_no_other_key_is_called_unknown() {
    const CASES: &str = r#"
        SOURCE; kind = "postgres"; table = 5; max_connections = 0; SHOP => source.s.table, source.s.max_connections
        SOURCE; kind = "postgres"; query = 5; poll = 5; SHOP => source.s.query, source.s.poll
        SOURCE; kind = "shop"; sku = 5; page_rows = 5; table = "t"; max_connections = 5; SHOP => source.s.kind, source.s.sku
        SOURCE; kind = "feed"; path = 5; format = "xml" => source.s.path, source.s.format
        [[source]]; name = "s"; preset = "woocomerce" => source.s.preset
        [embedding]; base_url = 5; max_inputs = 0; SERVER => embedding.base_url, embedding.max_inputs
        [openai]; timeout = 5; [embedding]; chunk_tokens = 0; SERVER => openai.timeout, embedding.chunk_tokens
        [openai]; base_url = 5; [answers]; base_url = "http://local/"; top_k = 0; SERVER => openai.base_url, answers.top_k
        [embedding]; model = 5; [embedding.next]; model = "m"; dimensions = 0; SERVER => embedding.model, embedding.next.dimensions
        [answers]; refusal = { de = 5, fr = 6 } => answers.refusal.de, answers.refusal.fr
        SCHEDULE; job = "sync"; jitter = 5; args = { source = "s" } => schedule.n.job, schedule.n.jitter
        SCHEDULE; job = "eval"; args = { file = 5, min_hit_at_5 = "all" } => schedule.n.args.file, schedule.n.args.min_hit_at_5
        SOURCE; kind = "postgres"; table = "t"; link = 5; SCHEDULE; job = "sync_catalogue"; timeout = 5; args = { source = "s" } => source.s.link, schedule.n.timeout"#;
    const SOURCE: &str = r#"[[source]]; name = "s"; key = "id"; title = "t"; text = "t""#;
    const SHOP: &str = r#"where = "true"; url = "postgres://u@h/d"; statement_timeout = "9s""#;
    const SCHEDULE: &str = r#"[[schedule]]; name = "n"; cron = "0 * * * *""#;
    const SERVER: &str = r#"api_key = { env = "OTHER" }; requests_per_minute = 9; timeout = "9s""#;
    for case in CASES.trim().lines() {
        let (text, faults) = case.split_once(" => ").unwrap();
        let names = [("SOURCE", SOURCE), ("SHOP", SHOP), ("SCHEDULE", SCHEDULE), ("SERVER", SERVER)];
        let text = names.iter().fold(text.trim().to_owned(), |text, (name, lines)| text.replace(name, lines));
        assert_eq!(faulty(&text.replace("; ", "\n")), faults, "{text}");
    }
}

#[test]
fn a_wrong_key_of_how_an_api_is_paged_is_named() {
    let api = "[[source]]\nname = \"s\"\nkind = \"api\"\nurl = \"https://shop.example/p\"\nkey = \"id\"\ntitle = \"t\"\n\
               text = \"t\"\nnext = { cursor = \"/next\", parametr = \"after\" }\n";
    let faults = read(api).unwrap_err();
    assert!(
        faults.len() == 1 && faults[0].contains("no key \"parametr\"; did you mean \"parameter\"?"),
        "{faults:?}"
    );
}

#[test]
fn an_origin_must_be_spelled_as_browsers_send_it() {
    let of = |origin: &str| read(&format!("[http]\ncors_origins = [\"{origin}\"]"));
    for good in
        ["https://shop.example", "http://localhost:3000", "capacitor://localhost", "http://[::1]:8080"]
    {
        assert!(of(good).is_ok(), "{good}");
    }
    for (bad, hint) in [
        ("*", None),
        ("shop.example", None),
        ("https://", None),
        ("https://shop.example/", Some("https://shop.example")),
        ("https://shop.example/checkout", Some("https://shop.example")),
        ("https://Shop.example:443", Some("https://shop.example")),
        ("https://a:b@shop.example", Some("https://shop.example")),
    ] {
        let faults = of(bad).err().unwrap_or_else(|| panic!("{bad} is accepted"));
        assert!(faults[0].starts_with("http.cors_origins: ") && faults[0].contains(bad), "{faults:?}");
        let hint = hint.map(|hint| format!("did you mean {hint:?}?"));
        assert!(hint.is_none_or(|hint| faults[0].ends_with(&hint)), "{faults:?}");
    }
}

#[test]
fn there_are_more_connections_than_those_that_wait_for_locks() {
    assert!(read("[database]\nmax_connections = 4").is_ok());
    let faults = read("[database]\nmax_connections = 3").unwrap_err();
    assert!(faults[0].starts_with("database.max_connections: must be at least 4"), "{faults:?}");
}

#[test]
fn a_key_that_has_no_effect_on_a_feed_is_a_fault_that_says_why() {
    let source = "[[source]]\nname = \"s\"\nkey = \"id\"\ntitle = \"t\"\ntext = \"t\"\n";
    let feed = format!("{source}kind = \"feed\"\npath = \"p.csv\"\nformat = \"csv\"\n");
    assert!(read(&feed).is_ok());
    for (line, reason) in [
        ("poll = \"0\"", "source.s.poll: has no effect on a feed, which is read whole by each listing"),
        ("updated_at = \"at\"", "source.s.updated_at: has no effect on a feed"),
        ("page_rows = 5", "source.s.page_rows: has no effect on a feed"),
        ("live_metadata = true", "source.s.live_metadata: has no effect on a feed, which cannot be asked"),
        ("table = \"t\"", "source.s.table: belongs to a database"),
    ] {
        let faults = read(&format!("{feed}{line}")).unwrap_err();
        assert!(faults.len() == 1 && faults[0].starts_with(reason), "{faults:?}");
    }
    let shown = serde_json::to_value(read(&feed).unwrap()).unwrap();
    assert!(shown["source"][0].get("poll").is_none(), "{shown}");
    let faults = read(&format!("{source}kind = \"postgres\"\ntable = \"t\"\nformat = \"csv\"")).unwrap_err();
    assert_eq!(faults, ["source.s.format: belongs to kind = \"feed\", and this is a database"]);
}

#[test]
fn two_sources_with_long_names_do_not_share_a_trigger() {
    let of = |length: usize| {
        let source = "kind = \"postgres\"\ntable = \"t\"\nkey = \"id\"\ntitle = \"t\"\ntext = \"t\"";
        read(&format!("[[source]]\nname = \"{}\"\n{source}", "n".repeat(length)))
    };
    assert!(of(40).is_ok());
    assert!(of(41).unwrap_err()[0].contains("must be 1 to 40"));
}
