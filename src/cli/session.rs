//! `session`: conversations, for those who run the service.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, FAILED, output, settings};
use crate::{daemon, store::Store};

/// Answers that `show` lists.
const SHOWN: u32 = 50;

/// Show a conversation, or forget it
#[derive(Debug, Args)]
pub(super) struct Session {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show who answers in it, and its last questions
    Show {
        #[command(flatten)]
        which: Which,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Remove it and all that came of it, also an answer in progress
    Forget {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// Its id, as the client names it
    session: String,
    /// The client whose session it is: two may have the same id
    #[arg(long, value_name = "NAME", default_value = crate::store::answers::LOCAL)]
    client: String,
}

pub(super) async fn session(session: Session, path: &Path) -> anyhow::Result<()> {
    let store = Store::open(&daemon::reach(&settings(path)?)).await?;
    match session.verb {
        Verb::Show { which, json } => show(&store, &which, json).await,
        Verb::Forget { which: Which { session, client } } => {
            let answers = store.erase_session(Some(&client), &session).await?;
            output::line(format!("{answers} questions of session {session} of client {client} are gone"));
            Ok(())
        }
    }
}

async fn show(store: &Store, which: &Which, json: bool) -> anyhow::Result<()> {
    let Which { session, client } = which;
    let Some(known) = store.session(Some(client), session).await? else {
        let message = format!("client {client} has no session {session}; see --client");
        return Err(Exit { code: FAILED, message }.into());
    };
    let mut answers = store.answers(Some(client), Some(session), None, None, SHOWN).await?;
    answers.reverse();
    if json {
        let mut object = json!(known);
        object["client"] = json!(client);
        object["answers"] = json!(answers);
        return output::json(&object);
    }
    let customer = known.customer_id.as_deref().unwrap_or("-");
    let (owner, active) = (known.owner, known.active_at.format("%F %T"));
    output::line(format!(
        "session {session} of client {client}, customer {customer}\n{owner} answers; active {active} UTC\n"
    ));
    for answer in answers {
        let outcome = answer.outcome.map_or("-", Into::into);
        let text = answer.answer.as_ref().map_or("-", |answer| answer.text.as_str());
        output::line(format!(
            "Q: {}\nA: {text}\n   {} {outcome}  {}",
            answer.question, answer.status, answer.id
        ));
    }
    Ok(())
}
