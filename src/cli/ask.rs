//! `ask`: one question through the queue, like any other client's.
//!
//! While it waits, this process is one more worker of the queue: it works with and without a daemon.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use uuid::Uuid;

use super::{Exit, UNREACHABLE, output, settings, waiting::Watch};
use crate::{
    answering::{
        Question,
        grounding::Grounding,
        job::AnswerQuestion,
        object::{AnswerObject, AnswerUsage},
    },
    daemon::{self, Workers},
    job::Job,
    store::{Store, answers::LOCAL},
};

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The question
    question: String,
    /// The conversation it belongs to, whose earlier questions are the history
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Show what was searched for and found, the verdict and the cost
    #[arg(long)]
    explain: bool,
    /// Print the answer object as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn ask(arguments: Ask, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let most = config.answers.limits.max_question_chars.get() as usize;
    let length = arguments.question.chars().count();
    if arguments.question.trim().is_empty() || length > most {
        bail!(Exit::usage(format!(
            "a question has 1 to {most} characters (answers.max_question_chars), not {length}"
        )));
    }
    let store = Store::open(&config.database).await?;
    let parts = daemon::prepare(&config, &store).await?;
    let question =
        Question { question: arguments.question, session_id: arguments.session, ..Question::default() };
    let id = store.ask(LOCAL, None, &question, None).await?;
    let workers = Workers::new(&store);
    workers.start(&parts.answer, &config.queue.answer_question);
    let answer = until_settled(&store, id).await;
    workers.stop().await;
    let answer = answer?;
    if arguments.json {
        output::json(&answer)?;
    } else {
        show(&answer);
        if arguments.explain {
            explain(&answer);
        }
    }
    answer.error.map_or(Ok(()), |error| Err(anyhow::Error::msg(error)))
}

const POLL_INTERVAL: Duration = Duration::from_millis(20);

async fn until_settled(store: &Store, id: Uuid) -> anyhow::Result<AnswerObject> {
    let mut watch = Watch::new(store, &[AnswerQuestion::KIND], None)?;
    loop {
        let answer = store.answer(None, id).await?.context("the question was erased")?;
        if answer.status.is_settled() {
            return Ok(answer);
        }
        let error = store.last_error(AnswerQuestion::KIND, &id.to_string()).await?;
        if let Some(why) = watch.stalled(1, error).await? {
            let message = format!(
                "the question waits for another attempt: {why}\n  it stays queued as {id}, and a daemon goes on with it"
            );
            return Err(Exit { code: UNREACHABLE, message }.into());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn show(answer: &AnswerObject) {
    output::line(answer.answer.as_ref().map_or("(no answer)", |answer| answer.text.as_str()));
    for source in answer.sources.iter().filter(|source| source.cited) {
        let place = source.url.clone().unwrap_or_else(|| format!("{}/{}", source.source, source.key));
        output::line(format!("  [{}] {} - {place}", source.n, source.title));
    }
    let confidence = answer.confidence.map_or("-".to_owned(), |confidence| format!("{confidence:.2}"));
    let escalation = answer.escalation.as_ref().map(|escalation| escalation.reason);
    let escalation = escalation.map(|reason| format!(", a human is asked for: {reason}")).unwrap_or_default();
    output::line(format!("  confidence {confidence}{escalation}"));
}

fn explain(answer: &AnswerObject) {
    let searched = answer.standalone_question.as_deref().unwrap_or(&answer.question);
    output::line(format!("\nsearched for: {searched}"));
    if answer.sources.is_empty() {
        output::line("no passage was found");
    } else {
        let rows = answer.sources.iter().map(|source| {
            vec![
                source.n.to_string(),
                format!("{:.3}", source.distance),
                if source.cited { "cited".to_owned() } else { String::new() },
                format!("{}/{}", source.source, source.key),
                source.title.clone(),
            ]
        });
        output::table(&["n", "distance", "", "document", "title"], rows);
    }
    let figure = |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.3}"));
    let outcome = answer.outcome.map(|outcome| outcome.to_string());
    let outcome = outcome.or(answer.incomplete_reason.map(|reason| reason.to_string()));
    let outcome = outcome.as_deref().unwrap_or("-");
    output::line(format!("outcome     {}, {outcome}, attempt {}", answer.status, answer.attempt));
    output::line(format!(
        "confidence  {}: the nearest passage is at {}, above {} a human is asked for",
        figure(answer.confidence),
        figure(answer.nearest_distance),
        figure(answer.escalation_threshold)
    ));
    output::line(match &answer.escalation {
        Some(escalation) => {
            format!("escalation  {} ({}, {})", escalation.reason, escalation.status, escalation.id)
        }
        None => "escalation  none".to_owned(),
    });
    if let Some(grounding) = &answer.grounding {
        output::line(format!("grounding   {}", describe(grounding)));
    }
    if let Some(AnswerUsage { embedding_tokens, input_tokens, output_tokens, model, cost }) = &answer.usage {
        output::line(format!(
            "usage       {embedding_tokens} tokens embedded, {input_tokens} read and {output_tokens} written by \
             {model}; {cost:.6} USD"
        ));
    }
}

fn describe(grounding: &Grounding) -> String {
    if !grounding.checked {
        return "not checked".to_owned();
    }
    if grounding.is_sound() {
        return "sound".to_owned();
    }
    let citations: Vec<_> = grounding.invalid_citations.iter().map(|n| format!("[{n}]")).collect();
    let faults = [
        ("numbers", &grounding.unsupported_numbers),
        ("citations", &citations),
        ("links", &grounding.invalid_links),
    ];
    let faults = faults.iter().filter(|(_, which)| !which.is_empty());
    let faults: Vec<_> = faults.map(|(what, which)| format!("{what} {}", which.join(" "))).collect();
    format!("no passage has {}", faults.join("; "))
}
