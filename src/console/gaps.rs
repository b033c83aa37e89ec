//! `/gaps`: what customers asked and the catalogue could not answer, and drafts that fill it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Pages,
    access::{Role, Visitor, done},
    layout,
    page::{Confirmed, Fields, PageError, PageResult, check_text, id_of, or_slow},
    parts::{Action, clip, document_path, empty, final_action, form_token, private, slow, text, time},
};
use crate::{
    catalogue::DocumentId,
    store::{golden::FaqDraft, unanswered::Unanswered},
};

/// The last unanswered questions that are clustered: their number times that of the clusters is the work.
const QUESTIONS: u32 = 250;
/// Clusters on the page.
const CLUSTERS: usize = 20;
/// Drafts on the page, and in the file.
const DRAFTS: u32 = 30;
const EXPORTED: u32 = 10_000;
/// The cosine similarity from which a question joins a cluster.
const SIMILAR: f32 = 0.72;

/// Questions that mean the same, the newest first.
struct Cluster {
    questions: Vec<Unanswered>,
}

/// Puts each question into the first cluster whose first question is similar; the largest clusters come first.
fn clusters(questions: Vec<Unanswered>) -> Vec<Cluster> {
    let mut clusters: Vec<(Vec<f32>, Cluster)> = Vec::new();
    for question in questions {
        let unit = unit(&question.vector);
        match clusters.iter_mut().find(|(leader, _)| dot(leader, &unit) >= SIMILAR) {
            Some((_, cluster)) => cluster.questions.push(question),
            None => clusters.push((unit, Cluster { questions: vec![question] })),
        }
    }
    let mut clusters: Vec<_> = clusters.into_iter().map(|(_, cluster)| cluster).collect();
    clusters.sort_by_key(|cluster| std::cmp::Reverse(cluster.questions.len()));
    clusters
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 { vector.iter().map(|part| part / length).collect() } else { vector.to_vec() }
}

pub(super) async fn show(State(pages): State<Arc<Pages>>, visitor: Visitor) -> PageResult {
    let store = &pages.store;
    let active = store
        .index_versions()
        .await?
        .into_iter()
        .find(|version| version.state == crate::store::versions::IndexState::Active);
    let (questions, is_slow) = match &active {
        Some(active) => or_slow(store.unanswered(active.id, QUESTIONS).await)?,
        None => (Vec::new(), false),
    };
    let number = questions.len();
    // It computes for milliseconds, which other requests would wait for.
    let found = tokio::task::spawn_blocking(move || clusters(questions)).await;
    let found = found.map_err(|error| PageError::Invalid(error.to_string()))?;
    let drafts = store.faq_drafts(DRAFTS).await?;
    let body = html! {
        h1 { "Gaps" }
        p.hint { "Questions that found nothing or were refused, put together by what they mean: the last " (number) ", the most frequent first. Their vectors are erased with the questions." }
        (slow(is_slow))
        @if found.is_empty() { (empty("Everything that was asked found an answer, or nothing was asked yet.")) }
        @for cluster in found.iter().take(CLUSTERS) { (shown(&visitor, cluster)) }
        @if found.len() > CLUSTERS { p.hint { (found.len() - CLUSTERS) " smaller groups are not shown." } }
        (draft_list(&pages, &visitor, &drafts))
    };
    Ok(layout::page(&pages, &visitor, "Gaps", &body))
}

fn shown(visitor: &Visitor, cluster: &Cluster) -> Markup {
    let Some(first) = cluster.questions.first() else { return html! {} };
    let ids =
        cluster.questions.iter().map(|question| question.answer_id.to_string()).collect::<Vec<_>>().join(",");
    let mut documents: BTreeMap<DocumentId, (f64, &str)> = BTreeMap::new();
    for source in cluster.questions.iter().flat_map(|question| question.sources.iter().take(2)) {
        let id = DocumentId { source: source.source.clone(), key: source.key.clone() };
        let near = documents.entry(id).or_insert((source.distance, &source.title));
        near.0 = near.0.min(source.distance);
    }
    let mut documents: Vec<_> = documents.into_iter().collect();
    documents.sort_by(|one, other| one.1.0.total_cmp(&other.1.0));
    html! {
        section.panel {
            h2 { span.tag.warn { (cluster.questions.len()) " ×" } " " a href={ "/answers/" (first.answer_id) } { (private(visitor, &first.question, 200)) } }
            @for question in cluster.questions.iter().skip(1).take(4) { p.hint { a href={ "/answers/" (question.answer_id) } { (private(visitor, &question.question, 160)) } } }
            @if cluster.questions.len() > 5 { p.hint { "and " (cluster.questions.len() - 5) " more" } }
            p.hint {
                "Last asked " (time(first.created_at)) ". Nearest: "
                @if documents.is_empty() { "nothing" }
                @for (n, (id, (distance, title))) in documents.iter().take(3).enumerate() {
                    @if n > 0 { ", " }
                    a href=(document_path(id)) { (text(if title.is_empty() { &id.key } else { title }, 80)) } " (" (format!("{distance:.2}")) ")"
                }
            }
            @if visitor.may(Role::Operator) {
                details {
                    summary { "Draft an answer for your list of questions" }
                    form.stack method="post" action="/do/faq" {
                        (form_token(visitor)) input type="hidden" name="back" value="/gaps";
                        label { "Question" input name="question" value=(clip(&first.question, 300)) required; }
                        label { "Answer" textarea name="answer" {} }
                        div { button.primary type="submit" { "Save the draft" } }
                    }
                }
                form.inline method="post" action="/do/dismiss" { (form_token(visitor)) input type="hidden" name="ids" value=(ids); button.quiet type="submit" { "Dismiss" } }
            }
        }
    }
}

fn draft_list(pages: &Pages, visitor: &Visitor, drafts: &[FaqDraft]) -> Markup {
    html! {
        h2 { "Drafts" }
        @if drafts.is_empty() { p.hint { "None yet. Drafts are yours to export; nothing is ever written to the shop." } } @else {
            div.scroll tabindex="0" {
                table {
                    thead { tr { th { "question" } th { "answer" } th { "by" } th {} } }
                    tbody {
                        @for draft in drafts {
                            tr {
                                td { (private(visitor, &draft.question, 200)) } td.wide { (private(visitor, &draft.answer, 300)) }
                                td { (text(&draft.actor, 40)) br; (time(draft.created_at)) }
                                td { (final_action(pages, visitor, &Action { path: "/do/faq-delete", label: "Delete", class: "quiet", least: Role::Operator, fields: &[("id", &draft.id.to_string())] })) }
                            }
                        }
                    }
                }
            }
            @if visitor.may(Role::Operator) { p { a.button href="/gaps/faq.csv" { "Export as CSV" } " " span.hint { "as a feed of its own: kind = \"feed\", format = \"csv\"" } } }
        }
    }
}

/// The drafts as a file that a source of kind `feed` reads.
pub(super) async fn export(State(pages): State<Arc<Pages>>, _: Visitor) -> Result<Response, PageError> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| PageError::Invalid(error.to_string());
    csv.write_record(["id", "question", "answer"]).map_err(failed)?;
    for draft in pages.store.faq_drafts(EXPORTED).await? {
        csv.write_record([&draft.id.to_string(), &draft.question, &draft.answer]).map_err(failed)?;
    }
    let bytes = csv.into_inner().map_err(|error| PageError::Invalid(error.to_string()))?;
    let name = "attachment; filename=\"faq.csv\"";
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, name)], bytes)
        .into_response())
}

#[derive(Deserialize)]
pub(super) struct Draft {
    question: String,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    back: String,
}

pub(super) async fn draft(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Draft { question, answer, back }): Fields<Draft>,
) -> Result<Response, PageError> {
    check_text("The question", &question, 2000)?;
    check_text("The answer", &answer, 8000)?;
    if question.trim().is_empty() {
        return Err(PageError::Invalid("The question is empty.".to_owned()));
    }
    let store = &pages.console.store;
    let id = store.add_faq_draft(question.trim(), answer.trim(), &visitor.name).await?;
    store.note_action(&visitor.name, "draft faq", &id.to_string(), 1).await?;
    let back = if back.starts_with("/escalations/") { back } else { "/gaps".to_owned() };
    Ok(done(&back, "faq", 1))
}

pub(super) async fn delete(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Confirmed { id, confirm }): Fields<Confirmed>,
) -> Result<Response, PageError> {
    pages.check_confirmed(&confirm)?;
    let store = &pages.console.store;
    let is_done = store.delete_faq_draft(id_of("draft", &id)?).await?;
    store.note_action(&visitor.name, "delete faq draft", &id, u64::from(is_done)).await?;
    Ok(done("/gaps", if is_done { "faq-deleted" } else { "nothing" }, 1))
}

#[derive(Deserialize)]
pub(super) struct Ids {
    ids: String,
}

pub(super) async fn dismiss(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Ids { ids }): Fields<Ids>,
) -> Result<Response, PageError> {
    let ids: Result<Vec<Uuid>, _> = ids.split(',').map(str::parse).collect();
    let ids = ids.map_err(|_| PageError::Invalid("ids are not ids of answers.".to_owned()))?;
    let store = &pages.console.store;
    let number = store.dismiss_unanswered(&ids).await?;
    store.note_action(&visitor.name, "dismiss", "", number).await?;
    Ok(done("/gaps", "dismissed", number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_that_mean_the_same_are_one_cluster() {
        let asked = |vector: [f32; 2]| Unanswered {
            answer_id: Uuid::nil(),
            question: String::new(),
            vector: vector.to_vec(),
            sources: Vec::new(),
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let questions = [asked([0.0, 2.0]), asked([1.0, 0.0]), asked([3.0, 0.3]), asked([0.0, 0.0])];
        let sizes: Vec<_> =
            clusters(questions.into()).iter().map(|cluster| cluster.questions.len()).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
