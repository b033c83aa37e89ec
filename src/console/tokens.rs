//! `/tokens`: who may call the API and see the console.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;
use maud::{Markup, html};
use strum::VariantNames;

use super::{
    Pages,
    access::{Role, Visitor, done},
    layout,
    page::{Confirmed, Fields, PageError, PageResult, check_text, id_of},
    parts::{Action, command, empty, final_action, form_token, text, time},
};
use crate::{
    clock,
    store::tokens::{Grant, Scope, TokenRow, new_token},
};

/// The newest tokens that are shown; `shopkeeper token list` shows all.
const SHOWN: usize = 80;
/// The longest validity, in days.
const MOST_DAYS: i64 = 3650;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visitor: Visitor) -> PageResult {
    let tokens = pages.store.tokens().await?;
    let body = html! {
        h1 { "Tokens" }
        @if tokens.is_empty() { (empty("There are no tokens.")) } @else { (table(&pages, &visitor, &tokens)) }
        (form(&pages, &visitor))
    };
    Ok(layout::page(&pages, &visitor, "Tokens", &body))
}

fn table(pages: &Pages, visitor: &Visitor, tokens: &[TokenRow]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { th { "client" } th { "scopes" } th { "sources" } th { "made" } th { "expires" } th {} } }
                tbody {
                    @for token in tokens.iter().take(SHOWN) {
                        tr {
                            td { (text(&token.client, 80)) } td { (token.scopes.join(", ")) }
                            td { (token.sources.as_ref().map_or("all".to_owned(), |sources| sources.join(", "))) }
                            td { (time(token.created_at)) }
                            td { @if let Some(at) = token.expires_at { (time(at)) } @else { "never" } }
                            td {
                                @if let Some(at) = token.revoked_at { span.tag.bad { "revoked" } " " (time(at)) } @else {
                                    (final_action(pages, visitor, &Action { path: "/do/token-revoke", label: "Revoke", class: "danger", least: Role::Admin, fields: &[("id", &token.id.to_string())] }))
                                    (command(&format!("token revoke {}", token.id)))
                                }
                            }
                        }
                    }
                }
            }
            @if tokens.len() > SHOWN { p.hint { "The newest " (SHOWN) " of " (tokens.len()) ". " (command("token list")) } }
        }
    }
}

fn form(pages: &Pages, visitor: &Visitor) -> Markup {
    html! {
        section.panel {
            h2 { "Make a token" }
            form.stack method="post" action="/do/token" {
                (form_token(visitor))
                label { "Client: the service or person that gets it" input name="client" required maxlength="200"; }
                fieldset {
                    legend { "Scopes" }
                    @for scope in <Scope as VariantNames>::VARIANTS { label.check { input type="checkbox" name={ "scope:" (scope) } value="true"; (scope) } }
                }
                @if pages.sources.len() > 1 {
                    fieldset {
                        legend { "Sources (all, unless some are ticked)" }
                        @for source in pages.sources.keys() { label.check { input type="checkbox" name={ "source:" (source) } value="true"; (source) } }
                    }
                }
                label { "Days until it expires (never, if empty)" input name="days" inputmode="numeric"; }
                div { button.primary type="submit" { "Make it" } }
            }
            (command("token create NAME --scope console:operate"))
        }
    }
}

/// Makes a token, which this page alone shows.
pub(super) async fn create(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    body: String,
) -> Result<Response, PageError> {
    let (mut grant, mut days) = (Grant::default(), String::new());
    for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
        match &*name {
            "client" => value.trim().clone_into(&mut grant.client),
            "days" => value.trim().clone_into(&mut days),
            other => {
                if let Some(scope) = other.strip_prefix("scope:") {
                    let scope: Scope = scope
                        .parse()
                        .map_err(|_| PageError::Invalid(format!("There is no scope {scope:?}.")))?;
                    grant.scopes.push(scope.to_string());
                } else if let Some(source) =
                    other.strip_prefix("source:").filter(|source| pages.sources.contains_key(*source))
                {
                    grant.sources.get_or_insert_default().push(source.to_owned());
                }
            }
        }
    }
    check_text("client", &grant.client, 200)?;
    if grant.client.is_empty() || grant.scopes.is_empty() {
        return Err(PageError::Invalid("A token needs a client and at least one scope.".to_owned()));
    }
    let expiry = match &*days {
        "" => None,
        days => {
            let days = days.parse().ok().filter(|days| (1..=MOST_DAYS).contains(days));
            let days =
                days.ok_or_else(|| PageError::Invalid(format!("days must be from 1 to {MOST_DAYS}.")))?;
            Some(clock::now() + TimeDelta::days(days))
        }
    };
    let (token, hash) = new_token();
    let store = &pages.console.store;
    store.add_token(&hash, &grant, expiry).await?;
    store
        .note_action(
            &visitor.name,
            "make token",
            &format!("{}: {}", grant.client, grant.scopes.join(", ")),
            1,
        )
        .await?;
    let body = html! {
        h1 { "The token of " (text(&grant.client, 100)) }
        section.panel {
            p { "It is shown only now. Only its hash is stored." }
            pre #token { (token) }
            a.button href="/tokens" { "Done" }
        }
    };
    Ok(layout::page(&pages, &visitor, "New token", &body).into_response())
}

pub(super) async fn revoke(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Confirmed { id, confirm }): Fields<Confirmed>,
) -> Result<Response, PageError> {
    pages.check_confirmed(&confirm)?;
    let store = &pages.console.store;
    if !store.revoke_token(id_of("token", &id)?).await? {
        return Err(PageError::NotFound("token"));
    }
    store.note_action(&visitor.name, "revoke token", &id, 1).await?;
    Ok(done("/tokens", "revoked", 1))
}
