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

fn database(section: &Section<'_>) -> Result<Database, Faulty> {
    let url = database_url(section, "url");
    let [direct_url, read_url] = ["direct_url", "read_url"].map(|key| {
        let url = section.optional(key)?;
        url.map(|url| without_password(section, key, url)).transpose()
    });
    let max_connections = section.get("max_connections", count(20));
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
    let cors_origins = section.get("cors_origins", Vec::new());
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
    let endpoint = openai.ok_or(Faulty).and_then(|openai| endpoint(section, Some(openai)));
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
    let timeout = section.get("timeout", seconds(60));
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
