//! The models of the settings: clients, budgets and tokenizers.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use crate::{
    answering::{complete::Composer, prompt::Temperature, rank::Ranker},
    config::{Answers, Config, Embedding, Endpoint, TokenizerChoice},
    indexing::{
        batching::BatchLimits,
        chunking::{Chunking, Tokenizer},
        versions::{Model, Models, Versions},
    },
    model::{
        EmbeddingModel, InputForm,
        cards::{self, ModelCard, ModelKind},
        learned::Lessons,
        openai::{
            ChatSettings, EmbeddingSettings, OpenAiCompleter, OpenAiEmbedder, OpenAiReranker, Server,
            ServerSettings,
        },
        rate_limit::{Budget, Waiting},
    },
    store::{
        Store,
        budgets::{ModelAddress, Rates},
        lessons::ModelLessons,
        usage::Operation,
        versions::{DocumentForm, IndexState},
    },
};
use anyhow::{Context, bail};

/// The share of a model's budget that refreshing documents leaves to answers.
const BACKFILL_RESERVE: f64 = 0.1;

/// The models of the settings; the active index version must be of one of them.
pub(super) async fn versions(config: &Config, store: &Store, waiting: &Waiting) -> anyhow::Result<Versions> {
    let daily = config.budget.embedding_usd;
    let (forms, lessons) = (store.document_forms().await?, store.lessons().await?);
    let model = |embedding: &Embedding| {
        let name = embedding.model.clone();
        let budget = budget(store, &embedding.endpoint, &name, waiting);
        let model = EmbeddingModel { name, dimensions: embedding.dimensions.get() };
        let document = document_form(embedding, &forms);
        let settings = EmbeddingSettings {
            document: document.clone(),
            question: embedding.question.clone(),
            dimensions_parameter: embedding.dimensions_parameter.or_else(|| shortens(embedding)),
            encoding_format: embedding.encoding_format,
        };
        let server = server(&embedding.endpoint, embedding.timeout)?;
        let lessons = lessons_of(&lessons, &embedding.endpoint, &embedding.model);
        anyhow::Ok(Arc::new(Model {
            embedder: Arc::new(OpenAiEmbedder::new(server, model.clone(), settings, lessons)),
            model,
            backfill: budget
                .after_others(BACKFILL_RESERVE, (daily > 0.0).then_some((Operation::Embedding, daily))),
            budget,
            chunking: Arc::new(chunking(&config.embedding, embedding, &|view| document_form(view, &forms))?),
            limits: BatchLimits {
                items: embedding.max_inputs.get() as usize,
                weight: embedding.max_request_tokens.get().into(),
            },
            price: embedding.usd_per_million_tokens,
            is_multilingual: embedding.multilingual,
        }))
    };
    let Embedding { second, next, .. } = &config.embedding;
    let models = Models {
        first: model(&config.embedding)?,
        second: second.as_deref().map(model).transpose()?,
        next: next.as_deref().map(model).transpose()?,
    };
    let versions = Versions::new(store.clone(), models);
    let active =
        store.index_versions().await?.into_iter().find(|version| version.state == IndexState::Active);
    if let Some(active) = active.filter(|active| versions.model(active).is_none())
        && !store.is_unused().await?
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

/// How documents are embedded: as the settings say, else as the index version was made with, else as the card says. So a
/// new card never embeds an index anew.
fn document_form(embedding: &Embedding, forms: &[DocumentForm]) -> InputForm {
    let made_with = forms.iter().find(|known| {
        known.model == embedding.model && i64::from(known.dimensions) == i64::from(embedding.dimensions.get())
    });
    match made_with {
        Some(known) if !embedding.has_own_document && !known.is_unused => known.form.0.clone(),
        _ => embedding.document.clone(),
    }
}

/// Whether the length of vectors is asked for, as far as a card says: only where it is not the model's own.
fn shortens(embedding: &Embedding) -> Option<bool> {
    let card = card(ModelKind::Embedding, &embedding.model, &embedding.endpoint)?;
    let is_shorter = card.dimensions? > embedding.dimensions.get();
    card.shortens?.then_some(is_shorter)
}

fn card(kind: ModelKind, model: &str, endpoint: &Endpoint) -> Option<&'static ModelCard> {
    cards::model(kind, model, endpoint.base_url.expose().host_str().unwrap_or_default())
}

fn lessons_of(all: &[ModelLessons], endpoint: &Endpoint, model: &str) -> Lessons {
    let server = endpoint.base_url.to_string();
    let found = all.iter().find(|known| known.server == server && known.model == model);
    found.map(|known| known.lessons.0.clone()).unwrap_or_default()
}

/// The chat model of the settings.
pub(super) async fn composer(config: &Config, store: &Store, waiting: &Waiting) -> anyhow::Result<Composer> {
    let answers = &config.answers;
    let server = server(&answers.endpoint, answers.request_timeout)?;
    let lessons = lessons_of(&store.lessons().await?, &answers.endpoint, &answers.model);
    let settings = chat_settings(answers);
    Ok(Composer {
        completer: Arc::new(OpenAiCompleter::new(server, answers.model.clone(), settings, lessons)),
        budget: budget(store, &answers.endpoint, &answers.model, waiting),
        prompt: answers.prompt.clone(),
        phrasings: answers.phrasings.get(),
        refusal: answers.refusal.clone(),
        escalate_above_distance: answers.escalate_above_distance,
        prices: answers.prices,
    })
}

fn chat_settings(answers: &Answers) -> ChatSettings {
    let card = card(ModelKind::Chat, &answers.model, &answers.endpoint);
    let server = cards::server(answers.endpoint.base_url.expose().host_str().unwrap_or_default());
    ChatSettings {
        has_default_temperature: answers.prompt.temperature == Temperature::Default,
        max_tokens_parameter: answers.max_tokens_parameter,
        stream: answers.stream,
        stream_options: server.and_then(|card| card.stream_options),
        system_role: answers.system_role,
        thinks: card.and_then(|card| card.thinks).unwrap_or_default(),
        has_unopened_thoughts: card.is_some_and(|card| card.thoughts.as_deref() == Some("unopened")),
    }
}

/// The reranker of the settings, if there is one.
pub(super) fn ranker(config: &Config, store: &Store, waiting: &Waiting) -> anyhow::Result<Option<Ranker>> {
    let Some(rerank) = &config.rerank else { return Ok(None) };
    let server = server(&rerank.endpoint, rerank.timeout)?;
    Ok(Some(Ranker {
        reranker: Arc::new(OpenAiReranker::new(server, rerank.model.clone())),
        budget: budget(store, &rerank.endpoint, &rerank.model, waiting),
        candidates: rerank.candidates.get(),
        timeout: rerank.timeout,
        price: rerank.usd_per_million_tokens,
    }))
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
    Ok(Server::new(ServerSettings {
        base_url: endpoint.base_url.expose().as_str().to_owned(),
        shown: endpoint.base_url.to_string(),
        api_key: endpoint.api_key.clone(),
        headers: endpoint.headers.pairs(),
        query: endpoint.query.pairs(),
        extra_body: endpoint.extra_body.clone(),
        timeout,
    })?)
}

/// How a model's documents are cut. The first two models have the same chunks, which fit into both.
pub(super) fn chunking(
    first: &Embedding,
    model: &Embedding,
    form: &dyn Fn(&Embedding) -> InputForm,
) -> anyhow::Result<Chunking> {
    let is_next = first.next.as_deref().is_some_and(|next| std::ptr::eq(next, model));
    let (settings, beside) = if is_next { (model, None) } else { (first, first.second.as_deref()) };
    let tokenizer = match &settings.tokenizer {
        TokenizerChoice::Cl100kBase => Tokenizer::Cl100kBase,
        TokenizerChoice::File { file, json } => {
            Tokenizer::from_json(json).with_context(|| format!("embedding.tokenizer: {file}"))?
        }
    };
    let views = || std::iter::once(settings).chain(beside);
    let least =
        |size: fn(&Embedding) -> NonZeroU32| views().map(size).min().map_or(1, NonZeroU32::get) as usize;
    let chunk_tokens = least(|view| view.chunk_tokens);
    Ok(Chunking {
        reserved: views().map(|view| tokenizer.prefix_tokens(&form(view))).max().unwrap_or_default(),
        tokenizer,
        chunk_tokens,
        overlap: (settings.chunk_overlap as usize).min(chunk_tokens - 1),
        max_input_tokens: least(|view| view.max_input_tokens),
        form: form(model),
    })
}
