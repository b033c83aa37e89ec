//! The whole of `jobs.toml`, and its small sections: each key, its default, and what must agree.
//!
//! The large sections are read by the modules that are named for them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use url::Url;

use crate::config::{
    Amount, Budget, Config, Event, Fault, Http, HttpUrl, LogFormat, RequireToken, Retention, Secret, Span,
    Telemetry, Webhook,
    answers::answers,
    database::database,
    models::{OpenAi, embedding},
    queues::queues,
    reader::{Faulty, Reader, Section, Setting},
    schedule::schedule,
    source::source,
    tree::{self, Value},
};

/// Reads every section, so that all faults are found, and only then asks whether there were any.
pub(crate) fn config(
    text: &str,
    folder: PathBuf,
    environment: &BTreeMap<String, String>,
) -> Result<Config, Vec<Fault>> {
    let mut tree = tree::parse(text).map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    tree::overlay(&mut tree, environment, &mut faults);
    let reader = Reader { folder, environment, faults: RefCell::new(faults) };
    let config = whole(&Section::root(&reader, &tree));
    let mut faults = reader.faults.into_inner();
    faults.sort();
    faults.dedup();
    match config {
        Ok(config) if faults.is_empty() => Ok(config),
        _ => Err(faults),
    }
}

fn whole(root: &Section<'_>) -> Result<Config, Faulty> {
    let database = database(&root.section("database"));
    let http = http(&root.section("http"));
    let openai = OpenAi::read(root.section("openai"));
    let embedding = embedding(&root.section("embedding"), &openai);
    let answers = answers(&root.section("answers"), &openai);
    let budget = budget(&root.section("budget"));
    let retention = retention(&root.section("retention"));
    let queue = queues(&root.section("queue"));
    let sources = list(root, "source", source);
    // A source with a fault is one all the same.
    let names = root.sections("source");
    let names = names.iter().filter_map(|source| source.optional("name").ok().flatten()).collect();
    let schedules = list(root, "schedule", |section| schedule(section, &names));
    let webhooks = list(root, "webhook", webhook);
    let telemetry = telemetry(&root.section("telemetry"));
    root.finish();
    Ok(Config {
        database: database?,
        http: http?,
        embedding: embedding?,
        answers: answers?,
        budget: budget?,
        retention: retention?,
        queue: queue?,
        schedules: schedules?,
        webhooks: webhooks?,
        telemetry: telemetry?,
        sources: sources?,
    })
}

/// Reads the tables of a list and holds that their names differ.
fn list<'a, T>(
    root: &Section<'a>,
    key: &str,
    read: impl Fn(&Section<'a>) -> Result<T, Faulty>,
) -> Result<Vec<T>, Faulty> {
    let sections = root.sections(key);
    let mut names = BTreeSet::new();
    for section in &sections {
        if let Ok(name) = section.required::<String>("name")
            && !names.insert(name.clone())
        {
            section.fault("name", format!("{name:?} is the name of another [[{key}]] too"));
        }
    }
    let items: Vec<_> = sections.iter().map(read).collect();
    sections.iter().for_each(Section::finish);
    items.into_iter().collect()
}

fn http(section: &Section<'_>) -> Result<Http, Faulty> {
    let listen = address(section, "listen", "127.0.0.1:8080");
    let admin_listen = address(section, "admin_listen", "127.0.0.1:8081");
    let cors_origins: Result<Vec<String>, _> = section.get("cors_origins", Vec::new());
    for origin in cors_origins.iter().flatten() {
        if let Err(message) = check_origin(origin) {
            section.fault("cors_origins", message);
        }
    }
    let require_token = section.get("require_token", RequireToken::UnlessLoopback);
    let requests_per_minute = section.get("requests_per_minute", 6000);
    section.finish();
    Ok(Http {
        listen: listen?,
        admin_listen: admin_listen?,
        cors_origins: cors_origins?,
        require_token: require_token?,
        requests_per_minute: requests_per_minute?,
    })
}

/// Holds that an origin is written as a browser sends it; another one would never match.
fn check_origin(text: &str) -> Result<(), String> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    let origin = url.map(|url| {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
    });
    if origin.as_deref() == Some(text) {
        return Ok(());
    }
    let hint = origin.map(|origin| format!("; did you mean {origin:?}?")).unwrap_or_default();
    Err(format!("must be origins such as \"https://shop.example\", with no path, not {text:?}{hint}"))
}

fn address(section: &Section<'_>, key: &str, default: &str) -> Result<Option<SocketAddr>, Faulty> {
    let text: String = section.get(key, default.to_owned())?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        section.fault(key, format!("must be an address and a port such as {default:?}, not {text:?}"))
    })
}

fn budget(section: &Section<'_>) -> Result<Budget, Faulty> {
    let embedding_usd = section.get("embedding_usd", Amount(0.0));
    let answers_usd = section.get("answers_usd", Amount(0.0));
    section.finish();
    Ok(Budget { embedding_usd: embedding_usd?, answers_usd: answers_usd? })
}

fn retention(section: &Section<'_>) -> Result<Retention, Faulty> {
    let answers = section.get("answers", days(90));
    let job_history = section.get("job_history", days(7));
    let deliveries = section.get("deliveries", days(30));
    section.finish();
    Ok(Retention { answers: answers?, job_history: job_history?, deliveries: deliveries? })
}

fn webhook(section: &Section<'_>) -> Result<Webhook, Faulty> {
    let name = section.required("name");
    let url = section.required("url");
    let secret: Result<Secret, _> = section.required("secret");
    if let Ok(secret) = &secret
        && !is_signing_key(secret)
    {
        section.fault("secret", "must be whsec_ and base64 of 24 to 64 random bytes");
    }
    let events =
        section.get("events", vec![Event::AnswerCompleted, Event::AnswerFailed, Event::AnswerEscalated]);
    let allow_private_addresses = section.get("allow_private_addresses", false);
    Ok(Webhook {
        name: name?,
        url: url?,
        secret: secret?,
        events: events?,
        allow_private_addresses: allow_private_addresses?,
    })
}

/// What Standard Webhooks asks of a secret.
fn is_signing_key(Secret(secret): &Secret) -> bool {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use secrecy::ExposeSecret;
    let encoded = secret.expose_secret().strip_prefix("whsec_");
    let key = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
    key.is_some_and(|key| (24..=64).contains(&key.len()))
}

fn telemetry(section: &Section<'_>) -> Result<Telemetry, Faulty> {
    let log: Result<String, _> = section.get("log", "info".to_owned());
    if let Ok(filter) = &log
        && let Err(error) = filter.parse::<tracing_subscriber::EnvFilter>()
    {
        section.fault("log", format!("is not a tracing filter: {error}"));
    }
    let log_format = section.get("log_format", LogFormat::Auto);
    let endpoint: Result<String, _> = section.get("otlp_endpoint", String::new());
    let otlp_endpoint = endpoint.and_then(|text| {
        if text.is_empty() {
            return Ok(None);
        }
        HttpUrl::read(&Value::Text(text)).map(Some).map_err(|message| section.fault("otlp_endpoint", message))
    });
    section.finish();
    Ok(Telemetry { log: log?, log_format: log_format?, otlp_endpoint: otlp_endpoint? })
}

/// A default that is not zero.
pub(crate) const fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("defaults are constants above zero")
}

/// A default length of time.
pub(crate) const fn seconds(number: u64) -> Span {
    Span(Duration::from_secs(number))
}

const fn days(number: u64) -> Span {
    seconds(number * 24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::Endpoint;

    fn read(text: &str) -> Result<Config, Vec<String>> {
        read_with(text, &[("OPENAI_API_KEY", "sk-one")])
    }

    fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let usual = [("DATABASE_URL", "postgres://u@h/d"), ("OTHER", "sk-other")];
        let variables = usual.iter().chain(variables);
        let environment = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let faults =
            |faults: Vec<Fault>| faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.message));
        config(text, PathBuf::new(), &environment).map_err(|all| faults(all).collect())
    }

    /// Which keys have faults, in the order of their lines.
    fn faulty(text: &str) -> Vec<String> {
        let faults = read(text).err().unwrap_or_default();
        faults.iter().map(|fault| fault.split(':').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn two_values_that_are_wrong_are_two_faults_and_no_key_beside_them_is_called_unknown() {
        let source = "[[source]]\nname = \"s\"\nkey = \"id\"\ntitle = \"t\"\ntext = \"t\"\n";
        let shop = "where = \"true\"\nurl = \"postgres://u@h/d\"\nstatement_timeout = \"9s\"";
        let schedule = "[[schedule]]\nname = \"n\"\ncron = \"0 * * * *\"\n";
        let server = "api_key = { env = \"OTHER\" }\nrequests_per_minute = 9\ntimeout = \"9s\"";
        for (text, one, other) in [
            (
                format!("{source}kind = \"postgres\"\ntable = 5\nmax_connections = 0\n{shop}"),
                "source.s.table",
                "source.s.max_connections",
            ),
            (
                format!("{source}kind = \"postgres\"\nquery = 5\npoll = 5\n{shop}"),
                "source.s.query",
                "source.s.poll",
            ),
            (
                format!(
                    "{source}kind = \"shop\"\nsku = 5\npage_rows = 5\ntable = \"t\"\nmax_connections = 5\n{shop}"
                ),
                "source.s.kind",
                "source.s.sku",
            ),
            (
                format!("{source}kind = \"feed\"\npath = 5\nformat = \"xml\""),
                "source.s.path",
                "source.s.format",
            ),
            (
                format!("[embedding]\nbase_url = 5\nmax_inputs = 0\n{server}"),
                "embedding.base_url",
                "embedding.max_inputs",
            ),
            (
                format!("[openai]\ntimeout = 5\n[embedding]\nchunk_tokens = 0\n{server}"),
                "openai.timeout",
                "embedding.chunk_tokens",
            ),
            (
                format!(
                    "[openai]\nbase_url = 5\n[answers]\nbase_url = \"http://local/\"\ntop_k = 0\n{server}"
                ),
                "openai.base_url",
                "answers.top_k",
            ),
            (
                format!("[embedding]\nmodel = 5\n[embedding.next]\nmodel = \"m\"\ndimensions = 0\n{server}"),
                "embedding.model",
                "embedding.next.dimensions",
            ),
            (
                "[answers]\nrefusal = { de = 5, fr = 6 }".to_owned(),
                "answers.refusal.de",
                "answers.refusal.fr",
            ),
            (
                format!("{schedule}job = \"sync\"\njitter = 5\nargs = {{ source = \"s\" }}"),
                "schedule.n.job",
                "schedule.n.jitter",
            ),
            (
                format!("{schedule}job = \"eval\"\nargs = {{ file = 5, min_hit_at_5 = \"all\" }}"),
                "schedule.n.args.file",
                "schedule.n.args.min_hit_at_5",
            ),
            (
                format!(
                    "{source}kind = \"postgres\"\ntable = \"t\"\nlink = 5\n\
                     {schedule}job = \"sync_catalogue\"\ntimeout = 5\nargs = {{ source = \"s\" }}"
                ),
                "source.s.link",
                "schedule.n.timeout",
            ),
        ] {
            assert_eq!(faulty(&text), [one, other], "{text}");
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
            let key =
                |endpoint: &Endpoint| endpoint.api_key.as_ref().map(|key| key.0.expose_secret().to_owned());
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
            (
                shown,
                config.answers.endpoint.timeout.0.as_secs(),
                config.embedding.endpoint.timeout.0.as_secs(),
            )
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
            (
                "live_metadata = true",
                "source.s.live_metadata: has no effect on a feed, which cannot be asked",
            ),
            ("table = \"t\"", "source.s.table: belongs to kind = \"postgres\""),
        ] {
            let faults = read(&format!("{feed}{line}")).unwrap_err();
            assert!(faults.len() == 1 && faults[0].starts_with(reason), "{faults:?}");
        }
        let shown = serde_json::to_value(read(&feed).unwrap()).unwrap();
        assert!(shown["source"][0].get("poll").is_none(), "{shown}");
        let faults =
            read(&format!("{source}kind = \"postgres\"\ntable = \"t\"\nformat = \"csv\"")).unwrap_err();
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
}
