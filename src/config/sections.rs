//! The sections of `jobs.toml`, but for `[[source]]`: each key, its default, and what must agree.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use url::Url;

use super::{
    Amount, Answers, Backoff, Budget, Config, Database, Endpoint, Event, Fault, Http, LogFormat, QueueLimits,
    Queues, RequireToken, Retention, Retrieval, Schedule, ScheduleArgs, ScheduledJob, Secret, Span,
    Telemetry, Webhook,
    models::{embedding, endpoint, openai},
    reader::{Faulty, Reader, Section, Setting},
    source::{Source, source},
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
    let openai = openai(&root.section("openai"));
    let openai = openai.as_ref().map_err(|_| Faulty);
    let embedding = embedding(&root.section("embedding"), openai.as_ref().ok().copied(), None);
    let answers = answers(&root.section("answers"), openai.as_ref().ok().copied());
    let budget = budget(&root.section("budget"));
    let retention = retention(&root.section("retention"));
    let queue = queues(&root.section("queue"));
    let sources = list(root, "source", source);
    let names = sources.iter().flatten().map(|source: &Source| source.name.as_str()).collect();
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

/// Two listen for as long as the daemon runs; the rest is for everything else.
const LEAST_CONNECTIONS: u32 = 4;

fn database(section: &Section<'_>) -> Result<Database, Faulty> {
    let url = database_url(section, "url");
    let [direct_url, read_url] = ["direct_url", "read_url"].map(|key| {
        let url = section.optional(key)?;
        url.map(|url| without_password(section, key, url)).transpose()
    });
    let max_connections = section.get("max_connections", count(20));
    if let Ok(connections) = &max_connections
        && connections.get() < LEAST_CONNECTIONS
    {
        let message = format!(
            "must be at least {LEAST_CONNECTIONS}, since two of them listen all the time: not {connections}"
        );
        section.fault("max_connections", message);
    }
    let statement_timeout = section.get("statement_timeout", seconds(30));
    section.finish();
    Ok(Database {
        url: url?,
        direct_url: direct_url?,
        read_url: read_url?,
        max_connections: max_connections?,
        statement_timeout: statement_timeout?,
    })
}

/// An address that is `$DATABASE_URL` when it was left out.
pub(crate) fn database_url(section: &Section<'_>, key: &str) -> Result<super::DatabaseUrl, Faulty> {
    let url: Option<super::DatabaseUrl> = section.or_variable(key, "DATABASE_URL")?;
    let Some(url) = url else {
        return Err(section.fault(key, "is required, here or as the environment's DATABASE_URL"));
    };
    without_password(section, key, url)
}

fn without_password(
    section: &Section<'_>,
    key: &str,
    url: super::DatabaseUrl,
) -> Result<super::DatabaseUrl, Faulty> {
    if url.has_password() && section.is_literal(key) {
        let message = "holds a password and must not stand in the file: \
                       write { env = \"NAME\" } or { file = \"PATH\" }";
        return Err(section.fault(key, message));
    }
    Ok(url)
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

fn answers(section: &Section<'_>, openai: Option<&Endpoint>) -> Result<Answers, Faulty> {
    let timeout = section.get("timeout", seconds(60));
    let endpoint = openai.ok_or(Faulty).and_then(|openai| {
        let endpoint = endpoint(section, Some(openai))?;
        // One request of an answer has no longer than the whole of it.
        let whole = timeout.as_ref().map_or(openai.timeout, |timeout| *timeout);
        Ok(Endpoint { timeout: Span(openai.timeout.0.min(whole.0)), ..endpoint })
    });
    let model = section.get("model", "gpt-4o-mini".to_owned());
    let top_k = section.get("top_k", count(5));
    let retrieval = section.get("retrieval", Retrieval::Hybrid);
    let temperature = at_most(section, "temperature", Amount(0.3), 2.0);
    let max_tokens = section.get("max_tokens", count(500));
    let history_messages = section.get("history_messages", 6);
    let escalate_above = at_most(section, "escalate_above_distance", Amount(0.4), 2.0);
    let system_prompt = section.get("system_prompt", String::new());
    let refusal = by_language(
        section,
        "refusal",
        "I don't have information about that. Let me connect you with a human agent.",
    );
    let fallback = by_language(section, "fallback", "We will get back to you.");
    let max_question_chars = section.get("max_question_chars", count(4000));
    let max_queued = section.get("max_queued", count(10_000));
    let fallback_after = section.get("fallback_after", seconds(300));
    let input_price = section.get("usd_per_million_input_tokens", Amount(0.15));
    let output_price = section.get("usd_per_million_output_tokens", Amount(0.6));
    section.finish();
    Ok(Answers {
        endpoint: endpoint?,
        model: model?,
        top_k: top_k?,
        retrieval: retrieval?,
        temperature: temperature?,
        max_tokens: max_tokens?,
        history_messages: history_messages?,
        escalate_above_distance: escalate_above?,
        system_prompt: system_prompt?,
        refusal: refusal?,
        fallback: fallback?,
        max_question_chars: max_question_chars?,
        max_queued: max_queued?,
        fallback_after: fallback_after?,
        timeout: timeout?,
        usd_per_million_input_tokens: input_price?,
        usd_per_million_output_tokens: output_price?,
    })
}

fn at_most(section: &Section<'_>, key: &str, default: Amount, most: f64) -> Result<Amount, Faulty> {
    let amount = section.get(key, default)?;
    if amount.0 <= most {
        return Ok(amount);
    }
    Err(section.fault(key, format!("must be from 0 to {most}, not {}", amount.0)))
}

/// Texts by language; `en` is always there, since it is what is said when no other fits.
fn by_language(section: &Section<'_>, key: &str, english: &str) -> Result<BTreeMap<String, String>, Faulty> {
    let inner = section.section(key);
    let mut texts = BTreeMap::from([("en".to_owned(), english.to_owned())]);
    for language in inner.written_keys() {
        texts.insert(language.clone(), inner.required(&language)?);
    }
    Ok(texts)
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

fn queues(section: &Section<'_>) -> Result<Queues, Faulty> {
    let refresh_document = queue(&section.section("refresh_document"), 200, 10);
    let index_documents = queue(&section.section("index_documents"), 20, 10);
    let sync_catalogue = queue(&section.section("sync_catalogue"), 2, 10);
    let answer_question = queue(&section.section("answer_question"), 50, 10);
    let deliver_webhook = queue(&section.section("deliver_webhook"), 50, 10);
    let prune_history = queue(&section.section("prune_history"), 1, 10);
    let fill_index = queue(&section.section("fill_index"), 1, 10);
    let maintain_index = queue(&section.section("maintain_index"), 1, 10);
    let eval = queue(&section.section("eval"), 1, 10);
    section.finish();
    Ok(Queues {
        refresh_document: refresh_document?,
        index_documents: index_documents?,
        sync_catalogue: sync_catalogue?,
        answer_question: answer_question?,
        deliver_webhook: deliver_webhook?,
        prune_history: prune_history?,
        fill_index: fill_index?,
        maintain_index: maintain_index?,
        eval: eval?,
    })
}

fn queue(section: &Section<'_>, running: u32, attempts: u32) -> Result<QueueLimits, Faulty> {
    let concurrency = section.get("concurrency", count(running));
    let fleet_concurrency = section.get("fleet_concurrency", 0);
    let max_attempts = section.get("max_attempts", count(attempts));
    let lease = section.get("lease", seconds(60));
    if let Ok(Span(lease)) = &lease
        && *lease < Duration::from_secs(1)
    {
        section.fault("lease", "must be at least \"1s\", so that it can be renewed in time");
    }
    let backoff = backoff(&section.section("backoff"));
    section.finish();
    Ok(QueueLimits {
        concurrency: concurrency?,
        fleet_concurrency: fleet_concurrency?,
        max_attempts: max_attempts?,
        lease: lease?,
        backoff: backoff?,
    })
}

fn backoff(section: &Section<'_>) -> Result<Backoff, Faulty> {
    let first = section.get("first", seconds(1));
    let max = section.get("max", seconds(600));
    section.finish();
    let (first, max) = (first?, max?);
    if first > max {
        return Err(section.fault("first", "must not be longer than max"));
    }
    Ok(Backoff { first, max })
}

fn schedule(section: &Section<'_>, sources: &BTreeSet<&str>) -> Result<Schedule, Faulty> {
    let name = section.required("name");
    let cron: Result<String, _> = section.required("cron");
    if let Ok(cron) = &cron
        && let Err(error) = croner::parser::CronParser::new().parse(cron)
    {
        section.fault("cron", format!("is not a schedule: {error}: {cron:?}"));
    }
    let zone: Result<String, _> = section.get("timezone", "UTC".to_owned());
    let timezone = zone.and_then(|zone| {
        zone.parse::<chrono_tz::Tz>().map_err(|_| {
            let near = super::fault::nearest(&zone, chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name()));
            let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            section.fault("timezone", format!("is not an IANA time zone: {zone:?}{hint}"))
        })
    });
    let job = section.required("job");
    let args = match &job {
        Ok(job) => schedule_args(&section.section("args"), *job, sources),
        Err(_) => Ok(ScheduleArgs::default()),
    };
    let catch_up = section.get("catch_up", super::CatchUp::Latest);
    let overlap = section.get("overlap", super::Overlap::Skip);
    let jitter = section.get("jitter", Span(Duration::ZERO));
    let timeout = section.get("timeout", seconds(1800));
    Ok(Schedule {
        name: name?,
        cron: cron?,
        timezone: timezone?,
        job: job?,
        args: args?,
        catch_up: catch_up?,
        overlap: overlap?,
        jitter: jitter?,
        timeout: timeout?,
    })
}

fn schedule_args(
    section: &Section<'_>,
    job: ScheduledJob,
    sources: &BTreeSet<&str>,
) -> Result<ScheduleArgs, Faulty> {
    let mut args = ScheduleArgs::default();
    match job {
        ScheduledJob::SyncCatalogue => {
            args.source = section.optional("source")?;
            if let Some(source) = &args.source
                && !sources.contains(source.as_str())
            {
                section.fault("source", format!("names no [[source]]: {source:?}"));
            }
        }
        ScheduledJob::Eval => {
            let file: String = section.required("file")?;
            args.file = Some(section.folder().join(file));
            args.min_hit_at_5 = section.optional("min_hit_at_5")?;
        }
        ScheduledJob::PruneHistory | ScheduledJob::MaintainIndex => {}
    }
    section.finish();
    Ok(args)
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
        Url::read(&Value::Text(text)).map(Some).map_err(|message| section.fault("otlp_endpoint", message))
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

    fn read(text: &str) -> Result<Config, Vec<String>> {
        let environment = BTreeMap::from([
            ("DATABASE_URL".to_owned(), "postgres://u@h/d".to_owned()),
            ("OPENAI_API_KEY".to_owned(), "sk-one".to_owned()),
            ("OTHER".to_owned(), "sk-other".to_owned()),
        ]);
        let faults =
            |faults: Vec<Fault>| faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.message));
        config(text, PathBuf::new(), &environment).map_err(|all| faults(all).collect())
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
    fn there_are_connections_beside_those_that_listen() {
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
    fn two_sources_with_long_names_do_not_share_a_trigger() {
        let of = |length: usize| {
            let source = "kind = \"postgres\"\ntable = \"t\"\nkey = \"id\"\ntitle = \"t\"\ntext = \"t\"";
            read(&format!("[[source]]\nname = \"{}\"\n{source}", "n".repeat(length)))
        };
        assert!(of(40).is_ok());
        assert!(of(41).unwrap_err()[0].contains("must be 1 to 40"));
    }
}
