//! The console with the settings.

use std::sync::Arc;

use axum::Router;
use croner::parser::CronParser;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Parts, Workers, schedules, workers};
use crate::{
    config::{Config, Embedding, RequireToken},
    console::{self, Concurrency, Console, Live, Look, Prices, ShownSchedule},
    queue::Schedule,
    store::Store,
};

/// The pages; none without an admin listener.
pub(super) async fn routes(
    config: &Config,
    store: &Store,
    parts: &Parts,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<Router> {
    let Some(address) = config.http.admin_listen else { return Ok(Router::new()) };
    let live = Live::default();
    let (heard, listening, stopped) = (live.clone(), store.clone(), stop.clone());
    tasks.spawn(async move { heard.listen(&listening, &stopped).await });
    let sources = parts.sync.sources.iter().map(|(name, source)| (name.clone(), source.catalogue.clone()));
    let model = parts.versions.first_model().clone();
    let console = Console {
        store: store.clone(),
        look: Look {
            name: config.console.name.clone(),
            colour: config.console.colour.clone(),
            is_production: config.console.production,
        },
        hosts: config.console.hosts.clone(),
        requires_login: match config.http.require_token {
            RequireToken::Always => true,
            RequireToken::UnlessLoopback => !address.ip().is_loopback(),
            RequireToken::Never => false,
        },
        sources: sources.collect(),
        kinds: Workers::KINDS,
        concurrency: workers::limits(&config.queue)
            .map(|(kind, limits)| {
                (kind, Concurrency { here: limits.concurrency, fleet: limits.fleet_concurrency })
            })
            .into(),
        schedules: schedules(config)?.into_iter().map(shown).collect(),
        retriever: parts.retriever.clone(),
        composer: parts.composer.clone(),
        chunking: model.chunking.clone(),
        prices: Prices {
            embedding_daily_usd: config.budget.embedding_usd,
            answers_daily_usd: config.budget.answers_usd,
            embedding_usd_per_million: config.embedding.usd_per_million_tokens,
        },
        embedding_prices: embedding_models(&config.embedding)
            .map(|embedding| (embedding.model.clone(), embedding.usd_per_million_tokens))
            .collect(),
        max_question_chars: parts.answer.limits.max_question_chars.get() as usize,
        live,
        stop: stop.clone(),
        tasks: tasks.clone(),
    };
    Ok(console::routes(console).await?)
}

fn embedding_models(first: &Embedding) -> impl Iterator<Item = &Embedding> {
    [first.second.as_deref(), first.next.as_deref(), Some(first)].into_iter().flatten()
}

fn shown(schedule: Schedule) -> ShownSchedule {
    let Schedule { name, ticks, kind, keys, payloads, .. } = schedule;
    let cron = ticks.cron().to_owned();
    let words = CronParser::new().parse(&cron).map(|parsed| parsed.describe()).unwrap_or_default();
    let (zone, ticks) = (ticks.zone(), Arc::new(ticks));
    ShownSchedule {
        name,
        cron,
        words,
        zone,
        kind,
        keys,
        payloads,
        next: Box::new(move |from| ticks.after(from)),
    }
}
