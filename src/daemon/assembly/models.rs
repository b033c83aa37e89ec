//! The models of the settings: clients, budgets and tokenizers.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use secrecy::ExposeSecret;

use crate::{
    answering::complete::Composer,
    config::{Config, Embedding, Endpoint, TokenizerChoice},
    indexing::{
        batching::BatchLimits,
        chunking::{Chunking, Tokenizer},
        versions::{Model, Versions},
    },
    model::{
        EmbeddingModel,
        openai::{OpenAiCompleter, OpenAiEmbedder, Server},
        rate_limit::{Budget, Waiting},
    },
    store::{
        Store,
        budgets::{ModelAddress, Rates},
        usage::Operation,
        versions::IndexState,
    },
};

/// The share of a model's budget that refreshing documents leaves to answers.
const BACKFILL_RESERVE: f64 = 0.1;

/// The models of the settings; the active index version must be of one of them.
pub(super) async fn versions(config: &Config, store: &Store, waiting: &Waiting) -> anyhow::Result<Versions> {
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

/// The chat model of the settings.
pub(super) fn composer(config: &Config, store: &Store, waiting: &Waiting) -> anyhow::Result<Composer> {
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

fn budget(store: &Store, endpoint: &Endpoint, model: &str, waiting: &Waiting) -> Budget {
    let of = ModelAddress { server: endpoint.base_url.to_string(), model: model.to_owned() };
    let rates = Rates {
        requests: endpoint.requests_per_minute.per_minute(),
        tokens: endpoint.tokens_per_minute.per_minute(),
    };
    Budget::new(store.clone(), of, rates, waiting.clone())
}

fn server(endpoint: &Endpoint, timeout: Duration) -> anyhow::Result<Server> {
    let key = endpoint.api_key.as_ref().map(ExposeSecret::expose_secret);
    let (address, shown) = (endpoint.base_url.expose().as_str(), endpoint.base_url.to_string());
    Ok(Server::new(address, shown, key, timeout)?)
}

fn chunking(embedding: &Embedding) -> anyhow::Result<Chunking> {
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
