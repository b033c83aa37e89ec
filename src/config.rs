//! `jobs.toml` and the environment, parsed into settings that cannot be wrong, or every fault at once.
//!
//! Precedence: defaults < file < environment < flags. Only the entry layer reads this module; what
//! is below gets the few values it needs.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use serde::{Serialize, Serializer, ser::SerializeMap};

mod answers;
mod database;
mod fault;
mod models;
mod queues;
mod reader;
mod schedule;
mod sections;
mod settings;
mod source;
mod tree;

pub use fault::{Fault, Faults, Origin};
pub use settings::{Amount, DatabaseUrl, HttpUrl, Secret, Span};
pub use source::{Connection, Feed, FeedFormat, FeedPlace, Related, Relation, Source, SourceKind};

use settings::words;

/// The commented file that `config init` writes: the repository's own `jobs.toml`.
pub const COMMENTED: &str = include_str!("../jobs.toml");

/// Everything an operator can set.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "named for the sections of jobs.toml, which explains them")]
pub struct Config {
    pub database: Database,
    pub http: Http,
    pub embedding: Embedding,
    pub answers: Answers,
    pub budget: Budget,
    pub retention: Retention,
    pub queue: Queues,
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    #[serde(rename = "schedule")]
    pub schedules: Vec<Schedule>,
    #[serde(rename = "webhook")]
    pub webhooks: Vec<Webhook>,
    pub telemetry: Telemetry,
}

impl Config {
    /// Whether the settings have a source of this name.
    pub fn has_source(&self, name: &str) -> bool {
        self.sources.iter().any(|source| source.name == name)
    }

    /// Reads the file and the environment.
    ///
    /// `environment` is handed in, so that a test can say what it is.
    pub fn load(path: &Path, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, &path.display().to_string(), folder, environment).map_err(Into::into)
    }

    /// Parses settings; relative paths in them start at `folder`.
    pub fn parse(
        text: &str,
        file: &str,
        folder: PathBuf,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Faults> {
        sections::config(text, folder, environment).map_err(|faults| Faults { file: file.to_owned(), faults })
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no file, or it may not be read.
    #[error(
        "cannot read {}: {error}\n  `shopkeeper config init` writes a commented one; --config or \
         SHOPKEEPER_CONFIG names another",
        path.display()
    )]
    Unreadable {
        /// The file that was looked for.
        path: PathBuf,
        /// Why it could not be read.
        error: std::io::Error,
    },
    /// The file was read and is wrong.
    #[error(transparent)]
    Faulty(#[from] Faults),
}

/// `[database]`: where our schema lives.
#[derive(Clone, Debug, Serialize)]
pub struct Database {
    /// PostgreSQL 15 or later with pgvector 0.8 or later.
    pub url: DatabaseUrl,
    /// For LISTEN and migrations when `url` goes through a transaction pooler.
    pub direct_url: Option<DatabaseUrl>,
    /// A replica for retrieval.
    pub read_url: Option<DatabaseUrl>,
    /// Connections of this daemon.
    pub max_connections: NonZeroU32,
    /// The longest that one statement may take; zero is no limit.
    pub statement_timeout: Span,
}

/// `[http]`: the two listeners.
#[derive(Clone, Debug, Serialize)]
pub struct Http {
    /// The API; none when it is switched off.
    pub listen: Option<SocketAddr>,
    /// Health and metrics; none when it is switched off.
    pub admin_listen: Option<SocketAddr>,
    /// The browsers' origins that may call the API.
    pub cors_origins: Vec<String>,
    /// When a bearer token is asked for.
    pub require_token: RequireToken,
    /// Requests of one client a minute to this daemon; zero is no limit.
    pub requests_per_minute: u32,
}

words! {
    /// When the API asks for a bearer token.
    pub RequireToken {
        /// On every address.
        Always = "always",
        /// On every address but the loopback ones.
        UnlessLoopback = "unless-loopback",
        /// On none.
        Never = "never",
    }
}

/// A model server and what it lets us do: `[openai]`, laid under `[embedding]` and `[answers]`.
#[derive(Clone, Debug, Serialize)]
pub struct Endpoint {
    /// The address that `/embeddings` and `/chat/completions` are appended to.
    pub base_url: HttpUrl,
    /// The bearer key; local servers often want none.
    pub api_key: Option<Secret>,
    /// Requests a minute.
    pub requests_per_minute: RateLimit,
    /// Tokens a minute.
    pub tokens_per_minute: RateLimit,
    /// The longest that one request may take.
    pub timeout: Span,
}

/// What all daemons together may ask of a model in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RateLimit {
    /// Shown as `unlimited`; no setting says so.
    Unlimited,
    /// So many.
    #[serde(untagged)]
    PerMinute(NonZeroU32),
}

impl RateLimit {
    /// So many; none is no limit.
    pub fn per_minute(self) -> Option<u32> {
        match self {
            Self::Unlimited => None,
            Self::PerMinute(most) => Some(most.get()),
        }
    }
}

/// `[embedding]`: how texts become vectors.
#[derive(Clone, Debug, Serialize)]
pub struct Embedding {
    /// The server that is asked.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// The model's name there.
    pub model: String,
    /// Numbers in one vector.
    pub dimensions: NonZeroU32,
    /// Tokens of one input.
    pub max_input_tokens: NonZeroU32,
    /// Inputs of one request.
    pub max_inputs: NonZeroU32,
    /// Tokens of one request.
    pub max_request_tokens: NonZeroU32,
    /// The model's own way to count tokens.
    pub tokenizer: TokenizerChoice,
    /// Tokens of one chunk.
    pub chunk_tokens: NonZeroU32,
    /// Tokens that neighbouring chunks share.
    pub chunk_overlap: u32,
    /// Vectors kept for texts seen before.
    pub cache_entries: u32,
    /// Price.
    pub usd_per_million_tokens: Amount,
    /// A second model, for an index version that is to take the place of the present one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<Embedding>>,
}

/// Which tokenizer counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerChoice {
    /// `OpenAI`'s, compiled in.
    #[serde(rename = "cl100k_base")]
    Cl100kBase,
    /// A `tokenizer.json`.
    File {
        /// Its path as it was written.
        file: String,
        /// Its contents.
        #[serde(skip)]
        json: Vec<u8>,
    },
}

/// `[answers]`: how questions are answered.
#[derive(Clone, Debug, Serialize)]
pub struct Answers {
    /// The server that is asked; its `timeout` is not longer than that of the whole answer.
    #[serde(flatten, serialize_with = "without_timeout")]
    pub endpoint: Endpoint,
    /// The model's name there.
    pub model: String,
    /// Passages in the prompt.
    pub top_k: NonZeroU32,
    /// How passages are found.
    pub retrieval: Retrieval,
    /// Sampling temperature, 0 to 2.
    pub temperature: Amount,
    /// Tokens of one answer.
    pub max_tokens: NonZeroU32,
    /// Messages of the session that the model sees.
    pub history_messages: u32,
    /// The cosine distance of the nearest passage above which a human is asked for.
    pub escalate_above_distance: Amount,
    /// The prompt; empty is the one built in.
    pub system_prompt: String,
    /// What is said when nothing fits, by language.
    pub refusal: BTreeMap<String, String>,
    /// What is said while answering is paused, by language.
    pub fallback: BTreeMap<String, String>,
    /// Characters of one question.
    pub max_question_chars: NonZeroU32,
    /// Questions that may wait.
    pub max_queued: NonZeroU32,
    /// How long a question waits for a model that is away, until the fallback is said.
    pub fallback_after: Span,
    /// The longest that one answer may take.
    pub timeout: Span,
    /// Price.
    pub usd_per_million_input_tokens: Amount,
    /// Price.
    pub usd_per_million_output_tokens: Amount,
}

/// Leaves out what follows from other keys: `[answers]` has one `timeout`.
fn without_timeout<S: Serializer>(endpoint: &Endpoint, serializer: S) -> Result<S::Ok, S::Error> {
    let mut keys = serializer.serialize_map(None)?;
    keys.serialize_entry("base_url", &endpoint.base_url)?;
    keys.serialize_entry("api_key", &endpoint.api_key)?;
    keys.serialize_entry("requests_per_minute", &endpoint.requests_per_minute)?;
    keys.serialize_entry("tokens_per_minute", &endpoint.tokens_per_minute)?;
    keys.end()
}

words! {
    /// How passages are found.
    pub Retrieval {
        /// By cosine distance alone.
        Vector = "vector",
        /// By cosine distance; what a question names by its SKU goes first.
        Hybrid = "hybrid",
    }
}

/// `[budget]`: dollars a day (UTC); zero is no limit.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Budget {
    pub embedding_usd: Amount,
    pub answers_usd: Amount,
}

/// `[retention]`: how long finished things are kept; zero is for ever.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Retention {
    pub answers: Span,
    pub job_history: Span,
    pub deliveries: Span,
}

/// `[queue.…]`: one section for each kind of job.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "named for the kinds of jobs")]
pub struct Queues {
    pub refresh_document: QueueLimits,
    pub sync_catalogue: QueueLimits,
    pub answer_question: QueueLimits,
    pub deliver_webhook: QueueLimits,
    pub prune_history: QueueLimits,
    pub fill_index: QueueLimits,
    pub maintain_index: QueueLimits,
    pub eval: QueueLimits,
}

/// How one kind of job is run.
#[derive(Clone, Debug, Serialize)]
pub struct QueueLimits {
    /// Running at once in this daemon.
    pub concurrency: NonZeroU32,
    /// Running at once over all daemons; zero is no limit.
    pub fleet_concurrency: u32,
    /// Attempts before a job is dead.
    pub max_attempts: NonZeroU32,
    /// How long a claim holds without renewal.
    pub lease: Span,
    /// How long to wait between attempts.
    pub backoff: Backoff,
}

/// Waits between attempts, doubling from `first` to `max`.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Backoff {
    pub first: Span,
    pub max: Span,
}

/// `[[schedule]]`: a job at nominal ticks of the clock.
#[derive(Clone, Debug, Serialize)]
pub struct Schedule {
    /// Unique.
    pub name: String,
    /// Five fields, or six with seconds first.
    pub cron: String,
    /// An IANA zone.
    pub timezone: chrono_tz::Tz,
    /// What is enqueued.
    pub job: ScheduledJob,
    /// What it is about.
    pub args: ScheduleArgs,
    /// What is done about ticks that were missed.
    pub catch_up: CatchUp,
    /// What is done when the run before is not over.
    pub overlap: Overlap,
    /// The longest random delay of a tick.
    pub jitter: Span,
    /// The longest that a run may take; zero is no limit.
    pub timeout: Span,
}

/// What a scheduled job is about.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ScheduleArgs {
    /// Of `sync_catalogue`: the source; none is all of them.
    pub source: Option<String>,
    /// Of `eval`: the golden set.
    pub file: Option<PathBuf>,
    /// Of `eval`: the least hit@5.
    pub min_hit_at_5: Option<Amount>,
}

words! {
    /// The jobs that a schedule can enqueue.
    pub ScheduledJob {
        /// Compares a source with the index.
        SyncCatalogue = "sync_catalogue",
        /// Deletes what is past its retention.
        PruneHistory = "prune_history",
        /// Looks after the HNSW indexes.
        MaintainIndex = "maintain_index",
        /// Measures a golden set.
        Eval = "eval",
    }
}

words! {
    /// What is done about ticks that were missed.
    pub CatchUp {
        /// The latest one is run.
        Latest = "latest",
        /// None is run.
        Skip = "skip",
        /// Each is run.
        All = "all",
    }
}

words! {
    /// What is done when the run before is not over.
    pub Overlap {
        /// The tick passes.
        Skip = "skip",
        /// The tick waits.
        Queue = "queue",
    }
}

/// `[[webhook]]`: where results are delivered.
#[derive(Clone, Debug, Serialize)]
pub struct Webhook {
    /// Unique.
    pub name: String,
    /// Where to.
    pub url: HttpUrl,
    /// The signing secret, `whsec_…`.
    pub secret: Secret,
    /// What is delivered.
    pub events: Vec<Event>,
    /// Whether addresses of private networks are allowed.
    pub allow_private_addresses: bool,
}

words! {
    /// What a webhook can be told.
    pub Event {
        /// An answer was given.
        AnswerCompleted = "answer.completed",
        /// An answer could not be given.
        AnswerFailed = "answer.failed",
        /// A human is asked for.
        AnswerEscalated = "answer.escalated",
    }
}

/// `[telemetry]`: what the daemon says about itself.
#[derive(Clone, Debug, Serialize)]
pub struct Telemetry {
    /// A tracing filter.
    pub log: String,
    /// The form of the log.
    pub log_format: LogFormat,
    /// Where traces go; none is nowhere.
    pub otlp_endpoint: Option<HttpUrl>,
}

words! {
    /// The form of the log.
    pub LogFormat {
        /// Pretty on a terminal, JSON elsewhere.
        Auto = "auto",
        /// For people.
        Pretty = "pretty",
        /// One object a line.
        Json = "json",
        /// The journal's own.
        Journald = "journald",
    }
}
