//! `/index`: the index versions.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Pages,
    access::{Role, Visitor, done},
    charts, layout,
    page::{Fields, PageError, PageResult},
    parts::{command, confirmation, empty, form_token, number, tag, text, time, usd},
};
use crate::{
    indexing::versions,
    store::versions::{Coverage, IndexState, IndexStatus},
};

pub(super) async fn show(State(pages): State<Arc<Pages>>, visitor: Visitor) -> PageResult {
    let counted = pages.figures.last().await;
    let versions = counted.as_ref().map(|counted| &*counted.index).unwrap_or_default();
    let body = html! {
        h1 { "Index" }
        p.hint { "Each version holds the vectors of one model. Searches read the active one; the others are filled and kept beside it, so that models can be changed without a gap, and changed back." }
        div data-moves {
            @if versions.is_empty() { (empty("The versions are being counted, or there is none yet.")) }
            @for (status, coverage) in versions { (version_panel(&pages, &visitor, status, *coverage)) }
            section.panel {
                h3 { "Another model" }
                p.hint { "Name it in [embedding.next], reload the daemons, and fill a version for it. What it costs is shown first." }
                (command("index create"))
                p.hint { "To compare versions on a golden set:" }
                (command("eval run golden.jsonl"))
            }
        }
    };
    Ok(layout::page(&pages, &visitor, "Index", &body))
}

fn version_panel(pages: &Pages, visitor: &Visitor, status: &IndexStatus, coverage: Coverage) -> Markup {
    let version = &status.version;
    let asked = pages.look.is_production.then_some(&*pages.look.name);
    let class = match version.state {
        IndexState::Active => "good",
        IndexState::Building | IndexState::Dropping => "warn",
        IndexState::Ready | IndexState::Retired => "",
    };
    html! {
        section.panel {
            h2 { "Version " (version.id) " " (tag(version.state.into(), class)) }
            (charts::progress("fresh", coverage.fresh, coverage.documents))
            dl.facts {
                dt { "model" } dd { (version.model) ", " (version.dimensions) " dimensions" }
                dt { "chunks" } dd { (number(status.chunks)) }
                dt { "cost" } dd { (cost(pages, status, coverage)) }
                dt { "evaluation" } dd { (evaluation(status)) }
                dt { "documents" } dd { (number(coverage.fresh)) " fresh, " (number(coverage.missing())) " missing, " (number(coverage.failed)) " failed" }
            }
            @if visitor.may(Role::Admin) && version.state != IndexState::Active {
                @if matches!(version.state, IndexState::Ready | IndexState::Retired) {
                    form.inline method="post" action="/do/promote" {
                        (form_token(visitor)) input type="hidden" name="version" value=(version.id);
                        button.primary type="submit" { @if version.state == IndexState::Retired { "Go back to it" } @else { "Activate it" } }
                    }
                    (command(&format!("index promote {}", version.id)))
                }
                details {
                    summary { "Drop it" }
                    form.stack method="post" action="/do/drop" {
                        (form_token(visitor)) input type="hidden" name="version" value=(version.id);
                        p.hint { "Its vectors are deleted. To have them again costs their embedding." }
                        (confirmation(asked.or(Some("drop"))))
                        div { button.danger type="submit" { "Drop" } }
                    }
                    (command(&format!("index drop {}", version.id)))
                }
            }
        }
    }
}

/// What the embedding of its chunks costs, and of those that it lacks.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn cost(pages: &Pages, status: &IndexStatus, coverage: Coverage) -> Markup {
    let Some(price) = pages.embedding_prices.get(&status.version.model) else {
        return html! { "unknown: the settings do not name this model" };
    };
    let all = status.chunks as f64 * status.tokens_of_chunk * price / 1_000_000.0;
    let rest = all / (coverage.fresh.max(1) as f64) * coverage.missing() as f64;
    html! {
        "about " (usd(all)) " to embed all of it again"
        @if coverage.missing() > 0 && coverage.fresh > 0 { ", about " (usd(rest)) " for what it lacks" }
    }
}

fn evaluation(status: &IndexStatus) -> Markup {
    let figure = |figure: Option<f64>| figure.map_or("—".to_owned(), |figure| format!("{figure:.3}"));
    html! {
        @match &status.evaluation {
            None => span.hint { "none yet" },
            Some(of) => {
                "hit@1 " (figure(of.hit_at_1)) ", hit@5 " (figure(of.hit_at_5)) ", MRR " (figure(of.mrr))
                ", balanced accuracy of hand-over " (figure(of.escalation_balanced_accuracy)) br;
                span.hint { (of.questions) " questions of " (text(&of.golden, 100)) ", " (time(of.at)) }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    version: i32,
    #[serde(default)]
    confirm: String,
}

pub(super) async fn promote(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Which { version, .. }): Fields<Which>,
) -> Result<Response, PageError> {
    let store = &pages.console.store;
    store.promote_index(version, false).await?;
    store.note_action(&visitor.name, "promote index", &version.to_string(), 1).await?;
    Ok(done("/index", "promoted", 1))
}

pub(super) async fn drop_version(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Which { version, confirm }): Fields<Which>,
) -> Result<Response, PageError> {
    if !pages.look.is_production && confirm.trim() != "drop" {
        return Err(PageError::Invalid("Type \"drop\" to confirm.".to_owned()));
    }
    pages.check_confirmed(&confirm)?;
    let store = pages.console.store.clone();
    if !store.retire_index(version).await? {
        return Err(PageError::Invalid(format!("Version {version} is the active one, or does not exist.")));
    }
    store.note_action(&visitor.name, "drop index", &version.to_string(), 1).await?;
    pages.tasks.spawn(async move {
        tokio::time::sleep(versions::DROP_DELAY).await;
        if let Err(error) = store.drop_index(version).await {
            tracing::warn!(version, %error, "index version {version} could not be dropped: {error}");
        }
    });
    Ok(done("/index", "dropping", 1))
}
