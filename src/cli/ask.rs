//! `ask`: sends one question through the queue, as any other client does.
//!
//! While it waits, this process works on the queue, so it needs no daemon.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use uuid::Uuid;

use super::{Exit, UNREACHABLE, output, settings, waiting::Watch};
use crate::answering::{Question, job::AnswerQuestion, object::AnswerObject};
use crate::daemon::{self, Workers};
use crate::job::Job;
use crate::store::{Store, answers::LOCAL};

mod report;

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
        report::show(&answer);
        if arguments.explain {
            report::explain(&answer);
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
