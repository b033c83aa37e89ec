//! Settings become parts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use futures::future::join_all;
use secrecy::ExposeSecret;

use crate::{
    answering::{complete::Composer, job::AnswerQuestion, retrieve::Retriever, settle::SettleSettings},
    catalogue::{Catalogue, CatalogueError},
    config::{self, Config, Endpoint, Retrieval, Source, SourceKind, TokenizerChoice},
    daemon::plan::PlanCatalogue,
    evaluation::job::Eval,
    indexing::{
        batching::BatchLimits,
        chunking::{Chunking, Tokenizer},
        fill::FillIndex,
        maintain::MaintainIndex,
        refresh::RefreshDocument,
        versions::{Model, Versions},
    },
    model::{
        EmbeddingModel,
        openai::{OpenAiCompleter, OpenAiEmbedder, Server},
        rate_limit::{Budget, Waiting},
    },
    source::{feed::FeedSource, postgres::PostgresSource},
    store::{
        Store,
        budgets::{ModelAddress, Rates},
        usage::Operation,
        versions::IndexState,
    },
    sync::reconcile::{SyncCatalogue, SyncedSource},
    webhook::{Webhook, job::DeliverWebhook},
};

/// The jobs of a configuration, ready to run.
pub struct Parts {
    /// Compares sources.
    pub sync: Arc<SyncCatalogue>,
    /// Refreshes documents.
    pub refresh: Arc<RefreshDocument>,
    /// Finds passages.
    pub retriever: Arc<Retriever>,
    /// Makes answers of them.
    pub composer: Arc<Composer>,
    /// Answers questions.
    pub answer: Arc<AnswerQuestion>,
    /// Tells other services.
    pub deliver: Arc<DeliverWebhook>,
    /// Measures golden sets.
    pub eval: Arc<Eval>,
    /// Fills index versions.
    pub fill: Arc<FillIndex>,
    /// Looks after their HNSW indexes.
    pub maintain: Arc<MaintainIndex>,
    /// What is written and searched.
    pub versions: Arc<Versions>,
    /// Jobs that wait in their slots for the budget of a model.
    pub waiting: Waiting,
    catalogues: Vec<(String, Arc<dyn Catalogue>)>,
    postgres: Vec<(String, Arc<PostgresSource>)>,
}

/// Builds the jobs for those who write the index, declares their kinds, and makes the first version where there is none.
pub async fn prepare(config: &Config, store: &Store) -> anyhow::Result<Parts> {
    let parts = assemble(config, store).await?;
    super::declare_kinds(store).await?;
    store.open_index(&config.embedding.model, config.embedding.dimensions.get()).await?;
    Ok(parts)
}

/// Builds the jobs. Only our own database is asked for anything, and nothing is written.
pub async fn assemble(config: &Config, store: &Store) -> anyhow::Result<Parts> {
    let waiting = Waiting::default();
    let versions = Arc::new(versions(config, store, &waiting).await?);
    // Documents are looked at again when they would be cut otherwise, for whichever model.
    let cutting: BTreeSet<_> = versions.models().iter().map(|model| model.chunking.settings()).collect();
    let sources = sources(config, &cutting.into_iter().collect::<Vec<_>>().join(", "))?;
    let catalogues = |wanted: &dyn Fn(&Source) -> bool| -> BTreeMap<String, Arc<dyn Catalogue>> {
        let chosen = config.sources.iter().zip(&sources.catalogues).filter(|(source, _)| wanted(source));
        chosen.map(|(source, catalogue)| (source.name.clone(), catalogue.clone())).collect()
    };
    let synced = config.sources.iter().zip(&sources.catalogues).map(|(source, catalogue)| {
        let synced = SyncedSource { catalogue: catalogue.clone(), mass_delete: source.mass_delete_limit };
        (source.name.clone(), synced)
    });
    let guards = config.sources.iter().map(|source| (source.name.clone(), source.mass_delete_limit));
    // A feed is not asked for single rows: what is stored of it is what is known.
    let is_live = |source: &Source| matches!(&source.kind, SourceKind::Postgres(connection) if connection.settings.live_metadata);
    let refresh =
        RefreshDocument::new(store.clone(), catalogues(&|_| true), guards.collect(), versions.clone());
    let refresh = Arc::new(refresh);
    let retriever = Arc::new(Retriever {
        store: store.clone(),
        versions: versions.clone(),
        live: catalogues(&is_live),
        top_k: config.answers.top_k.get(),
        names: config.answers.retrieval == Retrieval::Hybrid,
    });
    let composer = Arc::new(composer(config, store, &waiting)?);
    let answer = Arc::new(AnswerQuestion {
        store: store.clone(),
        retriever: retriever.clone(),
        composer: composer.clone(),
        settle: SettleSettings {
            escalate_above_distance: config.answers.escalate_above_distance,
            fallback: config.answers.fallback.clone(),
            model: config.answers.model.clone(),
        },
        limits: config.answers.limits.clone(),
        daily_usd: config.budget.answers_usd,
    });
    let embedding = std::iter::once(&config.embedding).chain(config.embedding.next.as_deref());
    let servers = embedding.map(|embedding| embedding.endpoint.base_url.to_string()).collect();
    Ok(Parts {
        sync: Arc::new(SyncCatalogue { store: store.clone(), sources: synced.collect(), servers }),
        refresh: refresh.clone(),
        deliver: Arc::new(DeliverWebhook { store: store.clone(), webhooks: receivers(&config.webhooks)? }),
        fill: Arc::new(FillIndex {
            store: store.clone(),
            versions: versions.clone(),
            refresh: refresh.clone(),
        }),
        maintain: Arc::new(MaintainIndex { store: store.clone() }),
        eval: Arc::new(Eval {
            store: store.clone(),
            retriever: retriever.clone(),
            composer: composer.clone(),
        }),
        retriever,
        composer,
        answer,
        versions,
        waiting,
        catalogues: catalogues(&|_| true).into_iter().collect(),
        postgres: sources.postgres,
    })
}

/// The models of the settings; the active index version must be of one of them.
async fn versions(config: &Config, store: &Store, waiting: &Waiting) -> anyhow::Result<Versions> {
    let next = config.embedding.next.as_deref();
    let models = std::iter::once(&config.embedding).chain(next);
    let daily = config.budget.embedding_usd;
    let models = models.map(|embedding| {
        let name = embedding.model.clone();
        let budget = budget(store, &embedding.endpoint, &name, waiting);
        let model = EmbeddingModel { name, dimensions: embedding.dimensions.get() };
        anyhow::Ok(Arc::new(Model {
            embedder: Arc::new(OpenAiEmbedder::new(
                server(&embedding.endpoint, embedding.timeout)?,
                model.clone(),
            )),
            model,
            backfill: budget
                .after_others(BACKFILL_RESERVE, (daily > 0.0).then_some((Operation::Embedding, daily))),
            budget,
            chunking: Arc::new(chunking(embedding)?),
            limits: BatchLimits {
                items: embedding.max_inputs.get() as usize,
                weight: embedding.max_request_tokens.get().into(),
            },
            price: embedding.usd_per_million_tokens,
        }))
    });
    let versions = Versions::new(store.clone(), models.collect::<Result<_, _>>()?);
    let active =
        store.index_versions().await?.into_iter().find(|version| version.state == IndexState::Active);
    if let Some(active) = active.filter(|active| versions.model(active).is_none())
        && !store.is_unused(&active).await?
    {
        bail!(
            "the index (version {}) holds vectors of {} with {} dimensions, and the settings say {} with {}; vectors of \
             two models cannot be compared\n  set embedding.model and embedding.dimensions back, and name the new model \
             in [embedding.next]: `shopkeeper index create` fills an index for it while this one is searched",
            active.id,
            active.model,
            active.dimensions,
            config.embedding.model,
            config.embedding.dimensions
        );
    }
    Ok(versions)
}

fn receivers(webhooks: &[config::Webhook]) -> anyhow::Result<BTreeMap<String, Webhook>> {
    let receivers = webhooks.iter().map(|webhook| {
        let secret = webhook.secret.expose_secret();
        let receiver = Webhook::new(webhook.url.expose().clone(), secret, webhook.allow_private_addresses)?;
        Ok((webhook.name.clone(), receiver))
    });
    receivers.collect()
}

/// What says beforehand what a sync would do.
pub fn planner(parts: &Parts) -> PlanCatalogue {
    PlanCatalogue { sync: parts.sync.clone(), refresh: parts.refresh.clone() }
}

/// The share of a model's budget that refreshing documents leaves to answers.
const BACKFILL_RESERVE: f64 = 0.1;

fn budget(store: &Store, endpoint: &Endpoint, model: &str, waiting: &Waiting) -> Budget {
    let of = ModelAddress { server: endpoint.base_url.to_string(), model: model.to_owned() };
    let rates = Rates {
        requests: endpoint.requests_per_minute.per_minute(),
        tokens: endpoint.tokens_per_minute.per_minute(),
    };
    Budget::new(store.clone(), of, rates, waiting.clone())
}

impl Parts {
    /// The sources in PostgreSQL, by name.
    pub fn postgres_sources(&self) -> impl Iterator<Item = (&str, &PostgresSource)> {
        self.postgres.iter().map(|(name, source)| (name.as_str(), &**source))
    }

    /// All sources, by name.
    pub fn catalogues(&self) -> impl Iterator<Item = (&str, &dyn Catalogue)> {
        self.catalogues.iter().map(|(name, catalogue)| (name.as_str(), &**catalogue))
    }

    /// Looks at every source, and says which of them cannot be read: the others are, and questions are answered.
    pub async fn say_source_faults(&self) {
        join_all(self.catalogues.iter().map(async |(_, catalogue)| match catalogue.check().await {
            Ok(()) => {}
            Err(error @ (CatalogueError::Unreachable { .. } | CatalogueError::Broken { .. })) => {
                tracing::warn!("{error}; retrying");
            }
            Err(error @ CatalogueError::Misfit { .. }) => {
                tracing::error!("{error}; documents that cannot be read stay unchanged");
            }
        }))
        .await;
    }
}

fn server(endpoint: &Endpoint, timeout: Duration) -> anyhow::Result<Server> {
    let key = endpoint.api_key.as_ref().map(ExposeSecret::expose_secret);
    let (address, shown) = (endpoint.base_url.expose().as_str(), endpoint.base_url.to_string());
    Ok(Server::new(address, shown, key, timeout)?)
}

fn chunking(embedding: &config::Embedding) -> anyhow::Result<Chunking> {
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

/// The sources of the settings, in their order, and those of them in PostgreSQL.
#[derive(Default)]
struct Sources {
    catalogues: Vec<Arc<dyn Catalogue>>,
    postgres: Vec<(String, Arc<PostgresSource>)>,
}

fn sources(config: &Config, salt: &str) -> anyhow::Result<Sources> {
    let mut sources = Sources::default();
    for source in &config.sources {
        match &source.kind {
            SourceKind::Postgres(connection) => {
                let mut settings = connection.settings.clone();
                // A shop in our own database is read past the pooler as well: a listing is a cursor with its own settings.
                if let Some(direct_url) = &config.database.direct_url
                    && settings.url.expose() == config.database.url.expose()
                {
                    settings.url = direct_url.clone();
                }
                let postgres = Arc::new(PostgresSource::new(settings, salt)?);
                sources.catalogues.push(postgres.clone());
                sources.postgres.push((source.name.clone(), postgres));
            }
            SourceKind::Feed(feed) => sources.catalogues.push(Arc::new(FeedSource::new(feed.clone(), salt)?)),
        }
    }
    Ok(sources)
}

fn composer(config: &Config, store: &Store, waiting: &Waiting) -> anyhow::Result<Composer> {
    let answers = &config.answers;
    let server = server(&answers.endpoint, answers.request_timeout)?;
    Ok(Composer {
        completer: Arc::new(OpenAiCompleter::new(server, answers.model.clone())),
        budget: budget(store, &answers.endpoint, &answers.model, waiting),
        prompt: answers.prompt.clone(),
        refusal: answers.refusal.clone(),
        escalate_above_distance: answers.escalate_above_distance,
        prices: answers.prices,
    })
}
