//! What the sections make of their keys, and the faults they note.

use std::{collections::BTreeMap, path::PathBuf};

use secrecy::ExposeSecret;

use super::{Config, Endpoint, Faults};

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

/// Which keys have faults, in the order of their lines.
fn faulty(text: &str) -> Vec<String> {
    let faults = read(text).err().unwrap_or_default();
    faults.iter().map(|fault| fault.split(':').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn two_values_that_are_wrong_are_two_faults_and_no_key_beside_them_is_called_unknown() {
    const SOURCE: &str = r#"[[source]]; name = "s"; key = "id"; title = "t"; text = "t""#;
    const SHOP: &str = r#"where = "true"; url = "postgres://u@h/d"; statement_timeout = "9s""#;
    const SCHEDULE: &str = r#"[[schedule]]; name = "n"; cron = "0 * * * *""#;
    const SERVER: &str = r#"api_key = { env = "OTHER" }; requests_per_minute = 9; timeout = "9s""#;
    for (text, faults) in [
        (
            r#"SOURCE; kind = "postgres"; table = 5; max_connections = 0; SHOP"#,
            ["source.s.table", "source.s.max_connections"],
        ),
        (r#"SOURCE; kind = "postgres"; query = 5; poll = 5; SHOP"#, ["source.s.query", "source.s.poll"]),
        (
            r#"SOURCE; kind = "shop"; sku = 5; page_rows = 5; table = "t"; max_connections = 5; SHOP"#,
            ["source.s.kind", "source.s.sku"],
        ),
        (r#"SOURCE; kind = "feed"; path = 5; format = "xml""#, ["source.s.path", "source.s.format"]),
        ("[embedding]; base_url = 5; max_inputs = 0; SERVER", ["embedding.base_url", "embedding.max_inputs"]),
        (
            "[openai]; timeout = 5; [embedding]; chunk_tokens = 0; SERVER",
            ["openai.timeout", "embedding.chunk_tokens"],
        ),
        (
            r#"[openai]; base_url = 5; [answers]; base_url = "http://local/"; top_k = 0; SERVER"#,
            ["openai.base_url", "answers.top_k"],
        ),
        (
            r#"[embedding]; model = 5; [embedding.next]; model = "m"; dimensions = 0; SERVER"#,
            ["embedding.model", "embedding.next.dimensions"],
        ),
        ("[answers]; refusal = { de = 5, fr = 6 }", ["answers.refusal.de", "answers.refusal.fr"]),
        (
            r#"SCHEDULE; job = "sync"; jitter = 5; args = { source = "s" }"#,
            ["schedule.n.job", "schedule.n.jitter"],
        ),
        (
            r#"SCHEDULE; job = "eval"; args = { file = 5, min_hit_at_5 = "all" }"#,
            ["schedule.n.args.file", "schedule.n.args.min_hit_at_5"],
        ),
        (
            r#"SOURCE; kind = "postgres"; table = "t"; link = 5; SCHEDULE; job = "sync_catalogue"; timeout = 5; args = { source = "s" }"#,
            ["source.s.link", "schedule.n.timeout"],
        ),
    ] {
        let names = [("SOURCE", SOURCE), ("SHOP", SHOP), ("SCHEDULE", SCHEDULE), ("SERVER", SERVER)];
        let text = names.iter().fold(text.to_owned(), |text, (name, lines)| text.replace(name, lines));
        assert_eq!(faulty(&text.replace("; ", "\n")), faults, "{text}");
    }
}

#[test]
fn an_origin_is_one_that_a_browser_sends() {
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
        let faults = of(bad).err().unwrap_or_else(|| panic!("{bad} is taken"));
        assert!(faults[0].starts_with("http.cors_origins: ") && faults[0].contains(bad), "{faults:?}");
        let hint = hint.map(|hint| format!("did you mean {hint:?}?"));
        assert!(hint.is_none_or(|hint| faults[0].ends_with(&hint)), "{faults:?}");
    }
}

#[test]
fn a_key_is_not_sent_to_a_server_that_it_is_not_of() {
    let keys = |text: &str| {
        let config = read(text).unwrap();
        let key = |endpoint: &Endpoint| endpoint.api_key.as_ref().map(|key| key.expose_secret().to_owned());
        let next = config.embedding.next.as_ref().map(|next| key(&next.endpoint));
        (key(&config.embedding.endpoint), key(&config.answers.endpoint), next.flatten())
    };
    let (one, other) = (Some("sk-one".to_owned()), Some("sk-other".to_owned()));
    assert_eq!(keys(""), (one.clone(), one.clone(), None));
    let local = "[embedding]\nbase_url = \"http://local/v1\"\n";
    assert_eq!(keys(local), (None, one.clone(), None));
    let own = "[answers]\nbase_url = \"http://local/v1\"\napi_key = { env = \"OTHER\" }\n";
    assert_eq!(keys(own), (one.clone(), other, None));
    let next = "[embedding.next]\nmodel = \"m\"\ndimensions = 7\n";
    assert_eq!(keys(next), (one.clone(), one.clone(), one.clone()));
    assert_eq!(keys(&format!("{next}base_url = \"http://local/v1\"")), (one.clone(), one.clone(), None));
    let equal = "[answers]\nbase_url = \"https://api.openai.com/v1\"";
    assert_eq!(keys(equal), (one.clone(), one, None));
    let back = format!(
        "{local}[embedding.next]\nmodel = \"m\"\ndimensions = 7\nbase_url = \"https://api.openai.com/v1\""
    );
    assert!(read(&back).unwrap_err()[0].starts_with("embedding.next.api_key: is required"));
}

#[test]
fn a_key_is_asked_for_only_where_it_would_be_sent() {
    let faults = |text: &str| read_with(text, &[]).err().unwrap_or_default();
    let missing = ["openai.api_key: is required, here or as the environment's OPENAI_API_KEY"];
    let embedding = "[embedding]\nbase_url = \"http://local/v1\"\n";
    let answers = "[answers]\nbase_url = \"http://other/v1\"\n";
    let own = "[answers]\napi_key = { env = \"OTHER\" }\n";
    let next = "[embedding.next]\nmodel = \"m\"\ndimensions = 7\n";
    assert_eq!(faults(""), missing);
    assert_eq!(faults(embedding), missing);
    assert_eq!(faults(answers), missing);
    assert_eq!(faults(own), missing);
    assert_eq!(faults(&format!("{next}{answers}")), missing);
    assert!(faults(&format!("{embedding}{answers}")).is_empty());
    assert!(faults(&format!("{embedding}{next}{answers}")).is_empty());
    assert!(faults(&format!("{embedding}{own}")).is_empty());
    assert!(faults("[openai]\nbase_url = \"http://local/v1\"").is_empty());
    let both = faults("[openai]\ntimeout = 5");
    assert!(both.len() == 2 && both.contains(&missing[0].to_owned()), "{both:?}");
}

#[test]
fn there_are_connections_beside_those_that_wait() {
    assert!(read("[database]\nmax_connections = 4").is_ok());
    let faults = read("[database]\nmax_connections = 3").unwrap_err();
    assert!(faults[0].starts_with("database.max_connections: must be at least 4"), "{faults:?}");
}

#[test]
fn a_request_has_no_longer_than_the_whole_answer_and_what_is_shown_can_be_read() {
    let times = |text: &str| {
        let config = read(text).unwrap();
        let shown = toml::to_string(&config).unwrap();
        let shown: toml::Table = shown.parse().unwrap_or_else(|error| panic!("{error}: {shown}"));
        let shown = shown["answers"]["timeout"].as_str().unwrap().to_owned();
        (shown, config.answers.request_timeout.as_secs(), config.embedding.timeout.as_secs())
    };
    assert_eq!(times(""), ("1m".to_owned(), 60, 60));
    assert_eq!(times("[answers]\ntimeout = \"5s\""), ("5s".to_owned(), 5, 60));
    assert_eq!(times("[answers]\ntimeout = \"5m\""), ("5m".to_owned(), 60, 60));
    assert_eq!(times("[openai]\ntimeout = \"7s\""), ("1m".to_owned(), 7, 7));
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
        ("table = \"t\"", "source.s.table: belongs to kind = \"postgres\""),
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

/// The limits of `[embedding]`, `[embedding.next]` and `[answers]` as they are shown.
fn limits(sections: &str) -> Vec<String> {
    let settings = format!(
        "[database]\nurl = \"postgres://u@h/ours\"\n[embedding.next]\nmodel = \"m\"\ndimensions = 7\n{sections}"
    );
    let environment = BTreeMap::from([("OPENAI_API_KEY".to_owned(), "sk-1".to_owned())]);
    let config = Config::parse(&settings, "jobs.toml", PathBuf::new(), &environment).unwrap();
    let shown: toml::Table = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    let (embedding, answers) = (&shown["embedding"], &shown["answers"]);
    let of = |section: &toml::Value| {
        format!("{} {}", section["requests_per_minute"], section["tokens_per_minute"])
    };
    vec![of(embedding), of(&embedding["next"]), of(answers)]
}

#[test]
fn a_model_server_of_this_host_has_no_limits_unless_they_are_set() {
    const FREE: &str = "\"unlimited\" \"unlimited\"";
    const USUAL: &str = "3000 1000000";
    assert_eq!(limits(""), [USUAL; 3]);
    for host in ["localhost:11434", "127.0.0.1:11434", "127.1.2.3", "[::1]:80", "[::ffff:127.0.0.1]"] {
        assert_eq!(limits(&format!("[openai]\nbase_url = \"http://{host}/v1\"")), [FREE; 3], "{host}");
    }
    for host in ["192.168.0.7:11434", "localhost.example", "10.0.0.1"] {
        assert_eq!(limits(&format!("[openai]\nbase_url = \"http://{host}/v1\"")), [USUAL; 3], "{host}");
    }
    let local = "base_url = \"http://localhost/v1\"";
    assert_eq!(limits(&format!("[answers]\n{local}")), [USUAL, USUAL, FREE]);
    // What is set holds, wherever it was set.
    let inherited = format!("[openai]\nrequests_per_minute = 60\n[answers]\n{local}");
    assert_eq!(limits(&inherited), ["60 1000000", "60 1000000", "60 \"unlimited\""]);
    let own = format!("[openai]\n{local}\n[embedding]\ntokens_per_minute = 3000");
    assert_eq!(limits(&own), ["\"unlimited\" 3000", "\"unlimited\" 3000", FREE]);
}
