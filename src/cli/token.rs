//! `token`: tokens for the HTTP API.

use std::{path::Path, time::Duration};

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{Exit, Format, open, output, words};
use crate::{
    clock,
    store::tokens::{Grant, Scope, new_token},
};

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Create a token for a service; it is shown only once
    Create(Create),
    /// List the tokens of services
    List(Format),
    /// Revoke a token
    Revoke {
        /// The token's id, as `token list` shows it
        id: Uuid,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The service that gets it: it sees only its own sessions and answers
    client: String,
    /// What it may do; can be repeated
    #[arg(long = "scope", value_name = "SCOPE", value_parser = words::<Scope>(), default_values = ["answers:write", "answers:read"])]
    scopes: Vec<Scope>,
    /// A source that it may search; can be repeated; all by default
    #[arg(long = "source", value_name = "NAME")]
    sources: Vec<String>,
    /// How long it is valid, as in 90d; for ever by default
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn token(token: Token, path: &Path) -> anyhow::Result<()> {
    let (config, store) = open(path).await?;
    match token {
        Token::Create(create) => {
            if let Some(unknown) = create.sources.iter().find(|name| !config.has_source(name)) {
                bail!(Exit::usage(format!("the settings have no source {unknown:?}")));
            }
            let (token, hash) = new_token();
            let expires_at = create.expires.map(expiry).transpose()?;
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
        }
        Token::List(format) => {
            let columns = "id, client, scopes, sources, expires_at as expires, revoked_at as revoked";
            output::list(format.json, "tokens", &store.tokens().await?, columns)?;
        }
        Token::Revoke { id } => {
            if !store.revoke_token(id).await? {
                bail!("there is no token {id}");
            }
            output::line(format!("{id} is revoked"));
        }
    }
    Ok(())
}

fn expiry(validity: Duration) -> Result<DateTime<Utc>, Exit> {
    let end = TimeDelta::from_std(validity).ok().and_then(|time| clock::now().checked_add_signed(time));
    end.ok_or_else(|| {
        let validity = humantime::format_duration(validity);
        Exit::usage(format!("--expires {validity} is too long; without it the token never expires"))
    })
}
