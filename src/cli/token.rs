//! `token`: who may ask by HTTP.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use strum::VariantArray;
use uuid::Uuid;

use super::{CONFIGURATION, Exit, FAILED, output, settings};
use crate::{
    clock, daemon,
    http::{Scope, new_token},
    store::{Store, tokens::Grant},
};

#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a token for a service; it is shown once and cannot be read again
    Create(Create),
    /// List the tokens of services
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a token good for nothing
    Revoke {
        /// The token's id, as `token list` shows it
        id: Uuid,
    },
}

#[derive(Debug, Args)]
struct Create {
    /// The service that gets it: it sees its own sessions and answers alone
    client: String,
    /// What it may do; more than one may be given
    #[arg(long = "scope", value_name = "SCOPE", default_values = ["answers:write", "answers:read"])]
    scopes: Vec<Scope>,
    /// The only sources that it may search; more than one may be given
    #[arg(long = "source", value_name = "NAME")]
    sources: Vec<String>,
    /// How long it is good, as in 90d; for ever when left out
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires: Option<std::time::Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ValueEnum for Scope {
    fn value_variants<'a>() -> &'a [Self] {
        Self::VARIANTS
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(<&str>::from(self).into())
    }
}

pub(super) async fn token(arguments: Token, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    match arguments.verb {
        Verb::Create(create) => {
            if let Some(unknown) = create.sources.iter().find(|name| !config.has_source(name)) {
                let message = format!("the settings have no source {unknown:?}");
                return Err(Exit { code: CONFIGURATION, message }.into());
            }
            let (token, hash) = new_token();
            let expires_at = create.expires.map(end).transpose()?;
            let grant = Grant {
                client: create.client,
                scopes: create.scopes.iter().map(ToString::to_string).collect(),
                sources: (!create.sources.is_empty()).then_some(create.sources),
                ..Grant::default()
            };
            let id = store.add_token(&hash, &grant, expires_at).await?;
            if create.json {
                return output::json(&json!({
                    "id": id, "token": token, "client": grant.client, "scopes": grant.scopes,
                    "sources": grant.sources, "expires_at": expires_at,
                }));
            }
            output::line(token);
            Ok(())
        }
        Verb::List { json } => {
            let tokens = store.tokens().await?;
            if json {
                return output::json(&json!({ "tokens": tokens }));
            }
            let rows = tokens.iter().map(|token| {
                let state = match (token.revoked_at, token.expires_at) {
                    (Some(_), _) => "revoked".to_owned(),
                    (None, Some(at)) if at <= clock::now() => "expired".to_owned(),
                    (None, Some(at)) => format!("until {}", at.format("%F %TZ")),
                    (None, None) => "good".to_owned(),
                };
                let sources = token.sources.as_ref().map_or("all".to_owned(), |sources| sources.join(" "));
                vec![token.id.to_string(), token.client.clone(), token.scopes.join(" "), sources, state]
            });
            output::table(&["id", "client", "scopes", "sources", "state"], rows);
            Ok(())
        }
        Verb::Revoke { id } => {
            if store.revoke_token(id).await? {
                output::line(format!("{id} is revoked: it is good for nothing from now on"));
                return Ok(());
            }
            Err(Exit { code: FAILED, message: format!("there is no token {id}") }.into())
        }
    }
}

/// When a token that is good for so long from now ends.
fn end(time: std::time::Duration) -> Result<DateTime<Utc>, Exit> {
    let end = TimeDelta::from_std(time).ok().and_then(|time| clock::now().checked_add_signed(time));
    end.ok_or_else(|| {
        let time = humantime::format_duration(time);
        Exit {
            code: CONFIGURATION,
            message: format!("--expires {time} is too long; left out, it is for ever"),
        }
    })
}
