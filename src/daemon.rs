//! The composition root: settings become parts, parts become a daemon, and the daemon ends in order.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answer::prompt::{PromptSettings, SYSTEM},
    catalogue::{Catalogue, CatalogueError},
    config::{
        self, Config, DatabaseUrl, Endpoint, Overlap, QueueLimits, Relation, RequireToken, ScheduledJob,
        Source, SourceKind, TokenizerChoice,
    },
    http::{self, Api, Readiness},
    index::{
        batching::BatchLimits,
        chunking::{Chunking, Tokenizer},
    },
    jobs::{
        Job,
        answer_question::{AnswerQuestion, AnswerSettings, Prices},
        budget::Budget,
        plan_catalogue::PlanCatalogue,
        prune_history::{self, PruneHistory},
        refresh_document::{RefreshDocument, RefreshSettings},
        sync_catalogue::{MassDelete, SyncCatalogue, SyncedSource},
        watch_catalogue::WatchCatalogue,
    },
    model::{Embedder, EmbeddingModel},
    openai::{OpenAiCompleter, OpenAiEmbedder, Server},
    queue::{Backoff, CatchUp, Limits, Queue, Schedule, Ticks, Wake},
    shop::postgres::{self, PostgresSource, trigger},
    store::{Reach, Store, usage::Rates},
    telemetry,
};

/// How long running jobs and requests may take to finish after the first signal.
const GRACE: Duration = Duration::from_mins(1);
/// How long the database's connections may take to close.
const CLOSE: Duration = Duration::from_secs(2);

/// The jobs of a configuration, ready to run.
pub struct Parts {
    /// Compares sources.
    pub sync: Arc<SyncCatalogue>,
    /// Refreshes documents.
    pub refresh: Arc<RefreshDocument>,
    /// Answers questions.
    pub answer: Arc<AnswerQuestion>,
    sources: Vec<(String, Arc<PostgresSource>)>,
}

/// How to reach our own database.
pub fn reach(config: &Config) -> Reach {
    Reach {
        url: config.database.url.expose().to_owned(),
        max_connections: config.database.max_connections.get(),
        statement_timeout: config.database.statement_timeout.0,
    }
}

/// Builds the jobs; only our own database is asked for anything.
pub async fn assemble(config: &Config, store: &Store) -> anyhow::Result<Parts> {
    let embedding = &config.embedding;
    let chunking = Arc::new(chunking(config)?);
    let model = EmbeddingModel { name: embedding.model.clone(), dimensions: embedding.dimensions.get() };
    let version = store.open_index(&model.name, model.dimensions).await?;
    let salt = format!(
        "{} {} {} {} {:?}",
        model.name,
        embedding.chunk_tokens,
        embedding.chunk_overlap,
        embedding.max_input_tokens,
        embedding.tokenizer
    );
    let sources = sources(config, &salt)?;
    let embedder: Arc<dyn Embedder> = Arc::new(OpenAiEmbedder::new(server(&embedding.endpoint)?, model));
    let completer = OpenAiCompleter::new(server(&config.answers.endpoint)?, config.answers.model.clone());
    let catalogues = |wanted: &dyn Fn(&Source) -> bool| -> BTreeMap<String, Arc<dyn Catalogue>> {
        let wanted = config.sources.iter().filter(|source| wanted(source)).map(|source| &source.name);
        let wanted: Vec<_> = wanted.collect();
        let chosen = sources.iter().filter(|(name, _)| wanted.contains(&name));
        chosen.map(|(name, source)| (name.clone(), source.clone() as Arc<dyn Catalogue>)).collect()
    };
    let synced = config.sources.iter().zip(&sources).map(|(settings, (name, source))| {
        let limit = settings.mass_delete_limit;
        let mass_delete = MassDelete { share: limit.share.0, documents: limit.documents.into() };
        (name.clone(), SyncedSource { catalogue: source.clone(), mass_delete })
    });
    let daily = config.budget.embedding_usd.0;
    store.note_sources(&sources.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()).await?;
    Ok(Parts {
        sync: Arc::new(SyncCatalogue { store: store.clone(), sources: synced.collect() }),
        refresh: Arc::new(RefreshDocument::new(RefreshSettings {
            store: store.clone(),
            catalogues: catalogues(&|_| true),
            embedder: embedder.clone(),
            budget: Budget {
                reserve: BACKFILL_RESERVE,
                daily: (daily > 0.0).then_some(("embedding", daily)),
                ..budget(store, &embedding.endpoint)
            },
            chunking,
            limits: BatchLimits {
                inputs: embedding.max_inputs.get() as usize,
                tokens: embedding.max_request_tokens.get().into(),
            },
            version: version.clone(),
            price: embedding.usd_per_million_tokens.0,
        })),
        answer: Arc::new(AnswerQuestion {
            store: store.clone(),
            live: catalogues(&|source| source.live_metadata),
            embedder,
            embedding_budget: budget(store, &embedding.endpoint),
            completer: Arc::new(completer),
            completion_budget: budget(store, &config.answers.endpoint),
            version,
            settings: answer_settings(config),
        }),
        sources,
    })
}

/// What says beforehand what a sync would do.
pub fn planner(config: &Config, parts: &Parts) -> PlanCatalogue {
    let rates = rates(&config.embedding.endpoint);
    PlanCatalogue { sync: parts.sync.clone(), refresh: parts.refresh.clone(), rates }
}

fn rates(endpoint: &Endpoint) -> Rates {
    Rates { requests: endpoint.requests_per_minute.get(), tokens: endpoint.tokens_per_minute.get() }
}

/// The share of a model server's budget that refreshing documents leaves to answers.
const BACKFILL_RESERVE: f64 = 0.1;

fn budget(store: &Store, endpoint: &Endpoint) -> Budget {
    Budget {
        store: store.clone(),
        server: endpoint.base_url.to_string(),
        rates: rates(endpoint),
        reserve: 0.0,
        daily: None,
    }
}

impl Parts {
    /// The sources in PostgreSQL, by name.
    pub fn postgres_sources(&self) -> impl Iterator<Item = (&str, &PostgresSource)> {
        self.sources.iter().map(|(name, source)| (name.as_str(), &**source))
    }

    /// Looks at every source. One that does not fit its settings is an error; one that cannot be
    /// reached is only said, because it may come back.
    pub async fn check_sources(&self) -> anyhow::Result<()> {
        for (_, source) in &self.sources {
            match source.check().await {
                Err(error @ CatalogueError::Unreachable { .. }) => tracing::warn!("{error}; trying on"),
                other => other?,
            }
        }
        Ok(())
    }
}

fn server(endpoint: &Endpoint) -> anyhow::Result<Server> {
    use secrecy::ExposeSecret;
    let key = endpoint.api_key.as_ref().map(|key| key.0.expose_secret());
    Ok(Server::new(endpoint.base_url.as_str(), key, endpoint.timeout.0)?)
}

fn chunking(config: &Config) -> anyhow::Result<Chunking> {
    let embedding = &config.embedding;
    let tokenizer = match &embedding.tokenizer {
        TokenizerChoice::Cl100kBase => Tokenizer::Cl100kBase,
        TokenizerChoice::File { file, json } => {
            Tokenizer::from_json(json).with_context(|| format!("embedding.tokenizer: {file}"))?
        }
    };
    Ok(Chunking {
        tokenizer,
        chunk_tokens: embedding.chunk_tokens.get() as usize,
        overlap: embedding.chunk_overlap as usize,
        max_input_tokens: embedding.max_input_tokens.get() as usize,
    })
}

fn sources(config: &Config, salt: &str) -> anyhow::Result<Vec<(String, Arc<PostgresSource>)>> {
    let mut sources = Vec::new();
    for source in &config.sources {
        let SourceKind::Postgres(connection) = &source.kind else {
            bail!("source `{}`: this version cannot read feeds yet; use kind = \"postgres\"", source.name);
        };
        let relation = match &connection.relation {
            Relation::Table { table, condition } => {
                postgres::Relation::Table { name: table.clone(), condition: condition.clone() }
            }
            Relation::Query { query } => postgres::Relation::Query(query.clone()),
        };
        let settings = postgres::Settings {
            name: source.name.clone(),
            url: DatabaseUrl::expose(&connection.url).to_owned(),
            relation,
            key: source.key.clone(),
            title: source.title.clone(),
            text: source.text.clone(),
            link: source.link.clone(),
            metadata: source.metadata.clone(),
            sku: source.sku.clone(),
            updated_at: source.updated_at.clone(),
            live_metadata: source.live_metadata,
            related: connection.related.iter().map(related).collect(),
            page_rows: source.page_rows.get(),
            max_connections: connection.max_connections.get(),
            statement_timeout: connection.statement_timeout.0,
        };
        sources.push((source.name.clone(), Arc::new(PostgresSource::new(settings, salt)?)));
    }
    Ok(sources)
}

fn related(related: &config::Related) -> trigger::Related {
    trigger::Related {
        table: related.table.clone(),
        columns: related.columns.clone(),
        keys: related.keys.clone(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a temperature is a small number")]
fn answer_settings(config: &Config) -> AnswerSettings {
    let answers = &config.answers;
    let system = if answers.system_prompt.is_empty() { SYSTEM } else { &answers.system_prompt };
    AnswerSettings {
        top_k: answers.top_k.get(),
        history_messages: answers.history_messages,
        escalate_above_distance: answers.escalate_above_distance.0,
        prompt: PromptSettings {
            system: system.to_owned(),
            refusal: answers.refusal.get("en").cloned().unwrap_or_default(),
            temperature: answers.temperature.0 as f32,
            max_tokens: answers.max_tokens.get(),
        },
        timeout: answers.timeout.0,
        model: answers.model.clone(),
        prices: Prices {
            embedding: config.embedding.usd_per_million_tokens.0,
            input: answers.usd_per_million_input_tokens.0,
            output: answers.usd_per_million_output_tokens.0,
        },
    }
}

fn limits(limits: &QueueLimits) -> Limits {
    Limits {
        concurrency: limits.concurrency.get(),
        fleet_concurrency: (limits.fleet_concurrency > 0).then_some(limits.fleet_concurrency),
        max_attempts: limits.max_attempts.get(),
        lease: limits.lease.0,
        backoff: Backoff { first: limits.backoff.first.0, max: limits.backoff.max.0 },
    }
}

/// The schedules of a configuration. What is past its retention is deleted every hour, also when no
/// schedule says so.
pub fn schedules(config: &Config) -> anyhow::Result<Vec<Schedule>> {
    let mut schedules = Vec::new();
    for schedule in &config.schedules {
        let (kind, keys, payloads) = match schedule.job {
            ScheduledJob::SyncCatalogue => {
                let all = config.sources.iter().map(|source| source.name.clone());
                let names = schedule.source.clone().map_or_else(|| all.collect(), |name| vec![name]);
                let payloads = sync_payloads(&names);
                (SyncCatalogue::KIND, names, payloads)
            }
            ScheduledJob::PruneHistory => prune_job(),
        };
        let catch_up = match schedule.catch_up {
            config::CatchUp::Latest => CatchUp::Latest,
            config::CatchUp::Skip => CatchUp::Skip,
            config::CatchUp::All => CatchUp::All,
        };
        schedules.push(Schedule {
            name: schedule.name.clone(),
            ticks: Ticks::new(&schedule.cron, schedule.timezone)?,
            catch_up,
            skip_live: schedule.overlap == Overlap::Skip,
            jitter: schedule.jitter.0,
            kind,
            keys,
            payloads,
        });
    }
    if !config.schedules.iter().any(|schedule| schedule.job == ScheduledJob::PruneHistory) {
        let (kind, keys, payloads) = prune_job();
        schedules.push(Schedule {
            name: kind.to_owned(),
            ticks: Ticks::new("17 * * * *", chrono_tz::Tz::UTC)?,
            catch_up: CatchUp::Latest,
            skip_live: true,
            jitter: Duration::ZERO,
            kind,
            keys,
            payloads,
        });
    }
    Ok(schedules)
}

fn sync_payloads(names: &[String]) -> Vec<serde_json::Value> {
    names.iter().map(|name| serde_json::json!({ "source": name })).collect()
}

fn prune_job() -> (&'static str, Vec<String>, Vec<serde_json::Value>) {
    (PruneHistory::KIND, vec![prune_history::KEY.to_owned()], vec![serde_json::json!({})])
}

/// Workers that run beside something else, and end with it.
pub struct Workers {
    queue: Queue,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Workers {
    /// The kinds of jobs that there are.
    pub const KINDS: &[&str] =
        &[SyncCatalogue::KIND, RefreshDocument::KIND, AnswerQuestion::KIND, PruneHistory::KIND];

    /// Prepares workers; each `start…` adds one.
    pub fn new(store: &Store) -> Self {
        let (stop, tasks, wake) = (CancellationToken::new(), TaskTracker::new(), Wake::new(Self::KINDS));
        let queue = Queue::new(store.clone(), wake.clone(), stop.clone());
        let (store, stopped) = (store.clone(), stop.clone());
        tasks.spawn(async move { wake.listen(&store, &stopped).await });
        let upkeep = queue.clone();
        tasks.spawn(async move { upkeep.upkeep().await });
        Self { queue, stop, tasks }
    }

    /// Runs jobs of one kind, as the settings say.
    pub fn start<J: Job>(&self, job: &Arc<J>, settings: &QueueLimits) {
        let (queue, job, limits) = (self.queue.clone(), job.clone(), limits(settings));
        self.tasks.spawn(async move {
            if let Err(error) = queue.work(job, limits).await {
                tracing::error!(kind = J::KIND, %error, "a worker ended: {error}");
            }
        });
    }

    /// Watches sources between their listings.
    pub fn watch(&self, sync: &Arc<SyncCatalogue>, sources: &[Source]) {
        for source in sources {
            let (sync, source, poll) = (sync.clone(), source.name.clone(), source.poll.0);
            let watch = WatchCatalogue { sync, source, poll, watcher: self.queue.worker().to_owned() };
            let stop = self.stop.clone();
            self.tasks.spawn(async move { watch.run(&stop).await });
        }
    }

    /// Enqueues the jobs of schedules at their ticks.
    pub fn keep(&self, schedules: Vec<Schedule>) {
        let queue = self.queue.clone();
        self.tasks.spawn(async move { queue.keep_schedules(&schedules).await });
    }

    /// Stops claiming and waits until what runs is finished.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Runs everything until `stop` is cancelled, then ends in order. `started` is called once the daemon
/// takes work, with the address of the API.
pub async fn run(
    config: &Config,
    listeners: Listeners,
    stop: CancellationToken,
    started: impl FnOnce(Option<SocketAddr>),
) -> anyhow::Result<()> {
    telemetry::count();
    let store = Store::open_migrated(&reach(config)).await?;
    let parts = assemble(config, &store).await?;
    parts.check_sources().await?;

    let workers = Workers::new(&store);
    workers.start(&parts.sync, &config.queue.sync_catalogue);
    workers.start(&parts.refresh, &config.queue.refresh_document);
    workers.start(&parts.answer, &config.queue.answer_question);
    let job_history = config.retention.job_history.0;
    let job_history = (!job_history.is_zero()).then_some(job_history);
    let cache_entries = config.embedding.cache_entries;
    let prune = PruneHistory { store: store.clone(), job_history, cache_entries };
    workers.start(&Arc::new(prune), &config.queue.prune_history);
    workers.keep(schedules(config)?);
    workers.watch(&parts.sync, &config.sources);
    let names: Vec<_> = config.sources.iter().map(|source| source.name.clone()).collect();
    store.enqueue(SyncCatalogue::KIND, &names, &sync_payloads(&names)).await?;

    let api = Api {
        store: store.clone(),
        sources: names.into(),
        max_question_chars: config.answers.max_question_chars.get() as usize,
        kinds: Workers::KINDS,
        readiness: Readiness::default(),
    };
    let servers = TaskTracker::new();
    let address = listeners.api.as_ref().and_then(|listener| listener.local_addr().ok());
    for (listener, routes) in
        [(listeners.api, http::api(api.clone())), (listeners.admin, http::admin(api.clone()))]
    {
        let Some(listener) = listener else { continue };
        let stopped = stop.clone();
        servers.spawn(async move {
            let serving = axum::serve(listener, routes).with_graceful_shutdown(stopped.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%error, "a listener ended: {error}");
            }
        });
    }
    started(address);

    stop.cancelled().await;
    api.readiness.end();
    tracing::info!("stopping: finishing what runs");
    servers.close();
    let ended = async { tokio::join!(workers.stop(), servers.wait()) };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("not everything finished in time; its leases will run out and others go on with it");
    }
    // What was left may still use a connection; the end of the process closes it.
    let _ = tokio::time::timeout(CLOSE, store.close()).await;
    Ok(())
}

/// The sockets of the daemon, bound before anything else is done.
pub struct Listeners {
    /// For other services.
    pub api: Option<TcpListener>,
    /// For those who watch.
    pub admin: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the settings say.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        require_no_tokens(config)?;
        Ok(Self {
            api: listener("http.listen", config.http.listen).await?,
            admin: listener("http.admin_listen", config.http.admin_listen).await?,
        })
    }
}

/// Tokens come with a later version; until then no listener is open to strangers by accident.
fn require_no_tokens(config: &Config) -> anyhow::Result<()> {
    let Some(address) = config.http.listen else { return Ok(()) };
    let wanted = match config.http.require_token {
        RequireToken::Always => true,
        RequireToken::UnlessLoopback => !address.ip().is_loopback(),
        RequireToken::Never => false,
    };
    if wanted {
        bail!(
            "http.listen = \"{address}\" asks for tokens, and this version has none yet\n  listen on a loopback \
             address, or set http.require_token = \"never\" where the network itself keeps strangers out"
        );
    }
    Ok(())
}

async fn listener(key: &str, address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| {
        format!("cannot listen on {address}: set {key} to another address, or \"\" to switch it off")
    })?;
    Ok(Some(listener))
}
