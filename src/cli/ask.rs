//! `ask`: one question through the queue, as any other service asks.
//!
//! While it waits, this process is one more worker of the queue: it works with and without a daemon.

use std::{path::Path, time::Duration};

use clap::Args;
use uuid::Uuid;

use super::{
    Exit, FAILED, UNREACHABLE, output, settings,
    waiting::{Progress, Stopped},
};
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
    /// What is asked
    question: String,
    /// The conversation it belongs to: earlier questions of it are the history
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Show how the answer came about: what was searched for and found, what was judged, what it cost
    #[arg(long)]
    explain: bool,
    /// Print the answer object, which has all of it
    #[arg(long)]
    json: bool,
}

pub(super) async fn ask(arguments: Ask, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let most = config.answers.max_question_chars.get() as usize;
    let length = arguments.question.chars().count();
    if arguments.question.trim().is_empty() || length > most {
        let message =
            format!("a question has 1 to {most} characters (answers.max_question_chars), not {length}");
        return Err(Exit { code: super::CONFIGURATION, message }.into());
    }
    let store = Store::open(&daemon::reach(&config)).await?;
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
    match answer.error {
        Some(message) => Err(Exit { code: FAILED, message }.into()),
        None => Ok(()),
    }
}

/// How often the answer is looked at.
const LOOK: Duration = Duration::from_millis(20);

async fn until_settled(store: &Store, id: Uuid) -> anyhow::Result<AnswerObject> {
    let (mut progress, mut stopped) = (Progress::new(), Stopped::new(&[AnswerQuestion::KIND]));
    loop {
        let answer = store.answer(None, id).await?;
        let Some(answer) = answer else {
            return Err(Exit { code: FAILED, message: "the question was erased".to_owned() }.into());
        };
        if answer.status.is_settled() {
            return Ok(answer);
        }
        for text in stopped.news(store).await? {
            output::note(text);
        }
        let error = store.last_error(AnswerQuestion::KIND, &id.to_string()).await?;
        if let Some(why) = progress.stalled(1, error) {
            let message = format!(
                "the question waits for another attempt: {why}\n  it stays queued as {id}, and a daemon goes on with it"
            );
            return Err(Exit { code: UNREACHABLE, message }.into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Shows an answer as a customer sees it, with what stands behind it.
fn show(answer: &AnswerObject) {
    output::line(answer.answer.as_ref().map_or("(no answer)", |said| said.text.as_str()));
    for source in answer.sources.iter().filter(|source| source.cited) {
        let place = source.url.clone().unwrap_or_else(|| format!("{}/{}", source.source, source.key));
        output::line(format!("  [{}] {} - {place}", source.n, source.title));
    }
    let confidence = answer.confidence.map_or("-".to_owned(), |confidence| format!("{confidence:.2}"));
    let reason = answer.escalation.as_ref().map(|escalation| escalation.reason);
    let escalation = reason.map(|reason| format!(", a human is asked for: {reason}")).unwrap_or_default();
    output::line(format!("  confidence {confidence}{escalation}"));
}

/// Shows how an answer came about: what was searched for, what was found and judged, and what it cost.
fn explain(answer: &AnswerObject) {
    output::line("");
    let searched = answer.standalone_question.as_deref().unwrap_or(&answer.question);
    output::line(format!("searched for: {searched}"));
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
    for (name, value) in judged(answer) {
        output::line(format!("{name:<11} {value}"));
    }
}

/// What was judged of an answer, and what it cost, by name.
fn judged(answer: &AnswerObject) -> Vec<(&'static str, String)> {
    let figure = |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.3}"));
    let outcome = answer.outcome.map(|outcome| outcome.to_string());
    let outcome =
        outcome.or(answer.incomplete_reason.map(|reason| reason.to_string())).unwrap_or("-".to_owned());
    let escalation = match &answer.escalation {
        Some(escalation) => format!("{} ({}, {})", escalation.reason, escalation.status, escalation.id),
        None => "none".to_owned(),
    };
    let mut judged = vec![
        ("outcome", format!("{}, {outcome}, attempt {}", answer.status, answer.attempt)),
        (
            "confidence",
            format!(
                "{}: the nearest passage is at {}, above {} a human is asked for",
                figure(answer.confidence),
                figure(answer.nearest_distance),
                figure(answer.escalation_threshold)
            ),
        ),
        ("escalation", escalation),
    ];
    judged.extend(answer.grounding.as_ref().map(|grounding| ("grounding", founded(grounding))));
    judged.extend(answer.usage.as_ref().map(|used| {
        let AnswerUsage { embedding_tokens, input_tokens, output_tokens, model, cost } = used;
        let tokens = format!(
            "{embedding_tokens} tokens embedded, {input_tokens} read and {output_tokens} written by {model}"
        );
        ("usage", format!("{tokens}; {cost:.6} USD"))
    }));
    judged
}

/// What of an answer no passage says.
fn founded(grounding: &Grounding) -> String {
    if !grounding.checked {
        return "not checked".to_owned();
    }
    let numbers = grounding.unsupported_numbers.join(" ");
    let citations: Vec<_> = grounding.invalid_citations.iter().map(|n| format!("[{n}]")).collect();
    let links = grounding.invalid_links.join(" ");
    let wrong = [("numbers", numbers), ("citations", citations.join(" ")), ("links", links)];
    let wrong: Vec<_> = wrong
        .into_iter()
        .filter(|(_, which)| !which.is_empty())
        .map(|(what, which)| format!("{what} {which}"))
        .collect();
    if wrong.is_empty() { "sound".to_owned() } else { format!("no passage has {}", wrong.join("; ")) }
}
