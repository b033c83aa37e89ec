//! `session`: conversations.

use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{open, output};
use crate::store::{Store, answers::LOCAL};

const SHOWN: u32 = 50;

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// Show a session with its last questions
    Show {
        #[command(flatten)]
        which: SessionArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Erase a session with its questions, also one in progress
    Forget(SessionArgs),
}

#[derive(Debug, Args)]
pub(super) struct SessionArgs {
    /// Its id, as the client names it
    session: String,
    /// The client that it belongs to
    #[arg(long, value_name = "NAME", default_value = LOCAL)]
    client: String,
}

pub(super) async fn session(session: Session, path: &Path) -> Result<()> {
    let (_, store) = open(path).await?;
    match session {
        Session::Show { which, json } => show(&store, &which, json).await,
        Session::Forget(SessionArgs { session, client }) => {
            let answers = store.erase_session(Some(&client), &session).await?;
            output::line(format!("{answers} questions of session {session} of client {client} are erased"));
            Ok(())
        }
    }
}

async fn show(store: &Store, SessionArgs { session, client }: &SessionArgs, json: bool) -> Result<()> {
    let known = store.session(Some(client), session).await?;
    let known = known.with_context(|| format!("client {client} has no session {session}; see --client"))?;
    let mut answers = store.answers(Some(client), Some(session), None, None, SHOWN).await?;
    answers.reverse();
    if json {
        let mut object = json!(known);
        object["client"] = json!(client);
        object["answers"] = json!(answers);
        return output::json(&object);
    }
    let customer = known.customer_id.as_deref().unwrap_or("-");
    output::line(format!("session {session} of client {client}, customer {customer}"));
    output::line(format!("{} answers; active {}\n", known.owner, output::time(known.active_at)));
    for answer in answers {
        let outcome = answer.outcome.map_or("-", Into::into);
        let text = answer.answer.as_ref().map_or("-", |answer| answer.text.as_str());
        output::line(format!("Q: {}\nA: {text}", answer.question));
        output::line(format!("   {} {outcome}  {}", answer.status, answer.id));
    }
    Ok(())
}
