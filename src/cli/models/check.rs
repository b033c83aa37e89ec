//! `models check`: one request of each kind to the configured servers.

use std::{path::Path, sync::Mutex};

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::cli::{open_parts, output};
use crate::config::Config;
use crate::daemon::Parts;
use crate::indexing::versions::Model;
use crate::model::{Completion, Delta, InputRole, Message, ModelError, Prompt, Role, TokenUsage, unlimited};
use crate::{answering::condense::condense, store::Store};

#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What one request showed.
#[derive(Serialize)]
struct Finding {
    model: String,
    check: &'static str,
    ok: bool,
    result: String,
}

/// The findings so far, and what they cost.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
    tokens: u64,
    cost_usd: f64,
}

impl Report {
    fn add(&mut self, model: &str, check: &'static str, result: Result<String, ModelError>) {
        let ok = result.is_ok();
        let result = result.unwrap_or_else(|error| error.to_string());
        self.findings.push(Finding { model: model.to_owned(), check, ok, result });
    }

    #[expect(clippy::cast_precision_loss, reason = "tokens of one request are few")]
    fn charge(&mut self, tokens: u64, usd_per_million: f64) {
        self.tokens += tokens;
        self.cost_usd += tokens as f64 * usd_per_million / 1_000_000.0;
    }
}

const TEXTS: [&str; 2] = ["A kettle of steel that holds two litres.", "A shirt of blue cotton."];
const QUESTION: &str = "Which kettle holds two litres?";

pub(super) async fn check(arguments: &Check, path: &Path) -> anyhow::Result<()> {
    let (config, store, parts) = open_parts(path).await?;
    if store.stopped_since().await?.is_some() {
        bail!("model requests are paused: run `shopkeeper resume` to continue");
    }
    let mut report = Report::default();
    for model in parts.versions.models() {
        embedding(model, &mut report).await;
    }
    chat(&config, &parts, &mut report).await;
    rerank(&config, &parts, &mut report).await;
    let learned = learned(&store, &parts).await?;
    let Report { findings, tokens, cost_usd } = report;
    if arguments.json {
        output::json(
            &json!({ "checks": findings, "learned": learned, "tokens": tokens, "cost_usd": cost_usd }),
        )?;
    } else {
        let rows = findings.iter().map(|finding| {
            let mark = if finding.ok { "ok" } else { "NOT OK" };
            vec![mark.to_owned(), finding.model.clone(), finding.check.to_owned(), finding.result.clone()]
        });
        output::table(&["", "model", "check", "result"], rows);
        for lesson in &learned {
            output::line(format!("learnt: {lesson}"));
        }
        output::line(format!("{tokens} tokens, {cost_usd:.6} dollars"));
    }
    let failed = findings.iter().filter(|finding| !finding.ok).count();
    if failed > 0 {
        bail!("{failed} of {} checks are not ok", findings.len());
    }
    Ok(())
}

async fn embedding(model: &Model, report: &mut Report) {
    let name = &model.model.name;
    let inputs = TEXTS.map(str::to_owned);
    let mut embed = async |role, inputs: &[String]| {
        let embedded = model.embedder.embed(role, inputs, &unlimited).await?;
        report.charge(embedded.tokens.unwrap_or_default(), model.price);
        embedded.vectors.into_iter().collect::<Result<Vec<_>, _>>()
    };
    let both = embed(InputRole::Document, &inputs).await;
    let second = embed(InputRole::Document, &inputs[1..]).await;
    let question = embed(InputRole::Question, &[QUESTION.to_owned()]).await;
    let lessons = model.embedder.learned().lessons();
    let (both, second) = match (both, second) {
        (Ok(both), Ok(second)) => (both, second),
        (both, second) => {
            let failed = both.and(second);
            return report.add(name, "embedding", failed.map(|_| String::new()));
        }
    };
    let format = lessons.encoding_format.map_or("base64, or as the settings say", Into::into);
    let dimensions = model.model.dimensions;
    report.add(name, "embedding", Ok(format!("2 vectors of {dimensions} dimensions, sent as {format}")));
    let is_ordered = cosine(&both[1], &second[0]) > cosine(&both[0], &second[0]);
    let order = if is_ordered {
        Ok("vectors come in the order of the texts".to_owned())
    } else {
        Err(nonsense(name, "vectors do not come in the order of the texts"))
    };
    report.add(name, "order", order);
    let found = question.map(|question| (cosine(&question[0], &both[0]), cosine(&question[0], &both[1])));
    let found = found.and_then(|(right, wrong)| {
        if right > wrong {
            return Ok(format!("finds its document: similarity {right:.2}, of another one {wrong:.2}"));
        }
        Err(nonsense(name, "a question is nearer to another document than to its own"))
    });
    report.add(name, "question", found);
}

/// The cosine of two vectors of length 1.
fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn nonsense(model: &str, reason: &str) -> ModelError {
    ModelError {
        server: model.to_owned(),
        fault: crate::model::ModelFault::Nonsense,
        reason: reason.to_owned(),
        spent: TokenUsage::default(),
    }
}

/// What any chat model can answer.
pub(in crate::cli) fn short_prompt() -> Prompt {
    Prompt {
        system: "Answer with one short sentence.".to_owned(),
        messages: vec![Message { role: Role::User, content: "What is two and two?".to_owned() }],
        temperature: Some(0.0),
        max_tokens: 64,
        thought_tokens: 2000,
    }
}

async fn chat(config: &Config, parts: &Parts, report: &mut Report) {
    let (composer, name, prompt) = (&parts.composer, &config.answers.model, short_prompt());
    let history = [
        Message { role: Role::User, content: "Do you have kettles?".to_owned() },
        Message { role: Role::Assistant, content: "Yes, of steel and of glass.".to_owned() },
    ];
    let mut charge = |completion: &Completion| {
        report.charge(completion.usage.input, composer.prices.input);
        report.charge(completion.usage.output, composer.prices.output);
    };
    let whole = composer.completer.complete(&prompt, None, &unlimited).await.inspect(&mut charge);
    let pieces = Mutex::new(0_u32);
    let on_delta = |delta: Delta<'_>| {
        if let (Delta::Text(_), Ok(mut pieces)) = (delta, pieces.lock()) {
            *pieces += 1;
        }
    };
    let streamed =
        composer.completer.complete(&prompt, Some(&on_delta), &unlimited).await.inspect(&mut charge);
    let follow_up = condense("And which holds more?", &history);
    let condensed = composer.completer.complete(&follow_up, None, &unlimited).await.inspect(&mut charge);
    let said = |completion: Completion| {
        let reason: &str = completion.finish_reason.into();
        format!("{} characters, ended by {reason}", completion.text.chars().count())
    };
    report.add(name, "chat", whole.map(said));
    let pieces = pieces.into_inner().unwrap_or_default();
    report.add(name, "stream", streamed.map(|completion| format!("{pieces} pieces, {}", said(completion))));
    report.add(name, "follow-up", condensed.map(said));
}

async fn rerank(config: &Config, parts: &Parts, report: &mut Report) {
    let (Some(ranker), Some(rerank)) = (&parts.retriever.ranker, &config.rerank) else { return };
    let replied = ranker.reranker.rerank(QUESTION, &TEXTS.map(str::to_owned)).await;
    if let Ok(reply) = &replied {
        report.charge(reply.tokens.unwrap_or_default(), ranker.price);
    }
    let name = &rerank.model;
    let found = replied.and_then(|reply| match reply.scores.first() {
        Some((0, score)) => Ok(format!("puts the right text first, with score {score:.3}")),
        _ => Err(nonsense(name, "another text comes before the right one")),
    });
    report.add(name, "rerank", found);
}

/// Stores what the servers taught, and returns all of it.
async fn learned(store: &Store, parts: &Parts) -> anyhow::Result<Vec<String>> {
    for model in parts.versions.models() {
        model.budget.keep(model.embedder.learned()).await;
    }
    parts.composer.budget.keep(parts.composer.completer.learned()).await;
    let all = store.lessons().await?.into_iter().flat_map(|known| {
        let described = known.lessons.0.describe().into_values();
        described.map(|lesson| format!("{} at {}: {lesson}", known.model, known.server)).collect::<Vec<_>>()
    });
    Ok(all.collect())
}
