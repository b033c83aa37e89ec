//! `ask`: one question through the queue, as any other service asks.
//!
//! While it waits, this process is one more worker of the queue: it works with and without a daemon.

use std::{path::Path, time::Duration};

use clap::Args;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Ended, FAILED, UNREACHABLE, output, settings};
use crate::{
    answer::{Question, object::AnswerObject},
    daemon::{self, Workers},
    jobs::{Job, answer_question::AnswerQuestion},
    store::{Store, answers::LOCAL},
};

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// What is asked
    question: String,
    /// The conversation it belongs to: earlier questions of it are the history
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Print the answer object
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
        return Err(Ended { code: super::CONFIGURATION, message }.into());
    }
    let store = Store::open(&daemon::reach(&config)).await?;
    let parts = daemon::assemble(&config, &store).await?;
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
    }
    match answer.error {
        Some(message) => Err(Ended { code: FAILED, message }.into()),
        None => Ok(()),
    }
}

/// How long a question may wait after a failure until waiting ends.
const STALLED: Duration = Duration::from_secs(15);
/// How often the answer is looked at.
const LOOK: Duration = Duration::from_millis(20);

async fn until_settled(store: &Store, id: Uuid) -> anyhow::Result<AnswerObject> {
    let mut failing = None;
    loop {
        let answer = store.answer(None, id).await?;
        let Some(answer) = answer else {
            return Err(Ended { code: FAILED, message: "the question was erased".to_owned() }.into());
        };
        if answer.is_settled() {
            return Ok(answer);
        }
        match store.last_error(AnswerQuestion::KIND, &id.to_string()).await? {
            None => failing = None,
            Some(error) if failing.get_or_insert_with(Instant::now).elapsed() > STALLED => {
                let message = format!(
                    "the question waits for another attempt: {error}\n  it stays queued as {id}, and a daemon goes on with it"
                );
                return Err(Ended { code: UNREACHABLE, message }.into());
            }
            Some(_) => {}
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
    let reason = answer.escalation.as_ref().map(|escalation| escalation.reason.as_str());
    let escalation = reason.map(|reason| format!(", a human is asked for: {reason}")).unwrap_or_default();
    output::line(format!("  confidence {confidence}{escalation}"));
}
