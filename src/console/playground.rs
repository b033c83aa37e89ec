//! `/playground`: what a question finds and gets, step by step, with two settings side by side.

use std::{ops::RangeInclusive, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Pages,
    access::Visitor,
    answer::doubt_of,
    layout,
    page::{Fields, PageError, PageResult, Parameters, check_text, given},
    parts::{self, clip, command, document_path, form_token, path, quoted, text, usd},
};
use crate::{
    answering::{
        Passage,
        complete::{Conversation, Evidence},
        constraints::Constraint,
        cost::AnswerCost,
        object::Settlement,
        passage::FARTHEST,
        prompt::prompt,
        retrieve::{Query, Retriever},
        stream::Draft,
    },
    catalogue::DocumentId,
    indexing::versions::SearchedVersions,
    job::JobError,
    store::{search::SearchFilter, usage::Operation},
};

/// How far a document that was not found is looked for.
const FAR: u32 = 200;
/// The most passages.
const MOST_PASSAGES: u32 = 20;
/// The most documents of a golden question.
const MOST_EXPECTED: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    q: Option<String>,
    source: Option<String>,
    /// Whether the model answers, which costs.
    answer: bool,
    top_k: Option<String>,
    threshold: Option<String>,
    /// The other setting; none if all are empty.
    other_top_k: Option<String>,
    other_threshold: Option<String>,
    no_rerank: bool,
    why_source: Option<String>,
    why_key: Option<String>,
    /// Whether a product that was not found is asked about.
    why: bool,
}

/// One of the settings to try.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Setting {
    top_k: u32,
    threshold: f64,
    reranks: bool,
}

impl Form {
    fn settings(&self, pages: &Pages) -> Result<Vec<Setting>, PageError> {
        let (top_k, threshold) = (pages.retriever.top_k, pages.composer.escalate_above_distance);
        let usual = Setting {
            top_k: number_of("passages", self.top_k.as_ref(), top_k, 1..=MOST_PASSAGES)?,
            threshold: number_of("threshold", self.threshold.as_ref(), threshold, 0.0..=2.0)?,
            reranks: true,
        };
        let other = Setting {
            top_k: number_of("passages", self.other_top_k.as_ref(), usual.top_k, 1..=MOST_PASSAGES)?,
            threshold: number_of("threshold", self.other_threshold.as_ref(), usual.threshold, 0.0..=2.0)?,
            reranks: !self.no_rerank,
        };
        Ok(if other == usual { vec![usual] } else { vec![usual, other] })
    }

    fn why(&self, pages: &Pages) -> Option<DocumentId> {
        let (source, key) = given(self.why_source.as_ref()).zip(given(self.why_key.as_ref()))?;
        let shown = pages.document(key);
        Some(shown.unwrap_or_else(|| DocumentId { source: source.to_owned(), key: key.to_owned() }))
    }
}

fn number_of<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    name: &str,
    field: Option<&String>,
    usual: T,
    within: RangeInclusive<T>,
) -> Result<T, PageError> {
    let Some(text) = given(field) else { return Ok(usual) };
    let number = text.parse::<T>().ok().filter(|number| within.contains(number));
    let (least, most) = (within.start(), within.end());
    number.ok_or_else(|| PageError::Invalid(format!("{name} must be from {least} to {most}, not {text:?}.")))
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(form): Parameters<Form>,
) -> PageResult {
    let body = html! { h1 { "Playground" } (form_of(&pages, &visitor, &form)) };
    Ok(layout::page(&pages, &visitor, "Playground", &body))
}

fn form_of(pages: &Pages, visitor: &Visitor, form: &Form) -> Markup {
    let value = |field: &Option<String>| given(field.as_ref()).unwrap_or_default().to_owned();
    html! {
        form.panel.stack method="post" action="/playground/try" {
            (form_token(visitor))
            label { "A customer's question" input name="q" value=(value(&form.q)) required maxlength=(pages.max_question_chars) autofocus[form.q.is_none()]; }
            div.filters {
                label { "Source"
                    select name="source" { option value="" { "all" } @for name in pages.sources.keys() { option value=(name) selected[form.source.as_deref() == Some(&**name)] { (name) } } }
                }
                label { "Passages" input name="top_k" size="4" inputmode="numeric" placeholder=(pages.retriever.top_k) value=(value(&form.top_k)); }
                label { "Threshold" input name="threshold" size="5" inputmode="decimal" placeholder=(pages.composer.escalate_above_distance) value=(value(&form.threshold)); }
                label.check { input type="checkbox" name="answer" value="true" checked[form.answer || form.q.is_none()]; "have the model answer" }
            }
            details open[form.other_top_k.as_ref().is_some_and(|field| !field.is_empty()) || form.other_threshold.as_ref().is_some_and(|field| !field.is_empty()) || form.no_rerank] {
                summary { "Compare with another setting" }
                div.filters {
                    label { "Passages" input name="other_top_k" size="4" inputmode="numeric" value=(value(&form.other_top_k)); }
                    label { "Threshold" input name="other_threshold" size="5" inputmode="decimal" value=(value(&form.other_threshold)); }
                    @if pages.retriever.ranker.is_some() { label.check { input type="checkbox" name="no_rerank" value="true" checked[form.no_rerank]; "without the reranker" } }
                }
            }
            details open[form.why || given(form.why_key.as_ref()).is_some()] {
                summary { "Why was this product not found?" }
                div.filters {
                    label { "Its source" select name="why_source" { @for name in pages.sources.keys() { option value=(name) selected[form.why_source.as_deref() == Some(&**name)] { (name) } } } }
                    label { "Its key, as the catalogue shows it" input name="why_key" value=(value(&form.why_key)); }
                }
            }
            div { button.primary type="submit" { "Ask" } " " span.hint { "The question is not stored. What the models cost is added to the day." } }
        }
    }
}

/// What one setting finds and says.
struct Tried {
    setting: Setting,
    passages: Vec<Passage>,
    constraints: Vec<Constraint>,
    settlement: Option<Settlement>,
    prompt: String,
    cost: f64,
}

pub(super) async fn run(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(form): Fields<Form>,
) -> PageResult {
    let question =
        given(form.q.as_ref()).ok_or_else(|| PageError::Invalid("The question is empty.".to_owned()))?;
    check_text("The question", question, pages.max_question_chars)?;
    let settings = form.settings(&pages)?;
    let sources = given(form.source.as_ref()).map(|source| vec![source.to_owned()]);
    let most = pages.prices.answers_daily_usd;
    if form.answer && most > 0.0 && pages.store.usd_today(Operation::Answer).await? >= most {
        return Err(PageError::Invalid("The budget of answers for today is spent.".to_owned()));
    }
    pages
        .console
        .store
        .note_action(&visitor.name, "try in the playground", "", settings.len() as u64)
        .await?;
    let cost = AnswerCost::default();
    let results = attempt(&pages, &form, question, sources.as_deref(), &settings, &cost).await;
    cost.account(&pages.console.store).await;
    let body = html! {
        h1 { "Playground" }
        (form_of(&pages, &visitor, &form))
        @match results {
            Err(error) => p.banner.bad role="alert" { "This could not be asked: " (error) },
            Ok((tried, why)) => {
                @if let Some(why) = why { (why) }
                div.columns { @for tried in &tried { (shown(tried)) } }
                (golden_form(&visitor, question, tried.first()))
                (command(&format!("search {} --top-k {}", quoted(question), settings[0].top_k)))
            }
        }
    };
    Ok(layout::page(&pages, &visitor, "Playground", &body))
}

async fn attempt(
    pages: &Pages,
    form: &Form,
    question: &str,
    sources: Option<&[String]>,
    settings: &[Setting],
    cost: &AnswerCost,
) -> Result<(Vec<Tried>, Option<Markup>), JobError> {
    let retriever = &*pages.retriever;
    let searched = retriever.versions.searched().await?;
    let phrasings = pages.composer.rephrase(question, cost).await;
    let vectors = retriever.embed(&searched, &phrasings, cost).await?;
    let within = SearchFilter { sources, metadata: None };
    let constraints = retriever.constraints(question).await;
    let mut tried = Vec::new();
    for setting in settings {
        let before = cost.usage("").cost;
        let Setting { top_k, reranks, .. } = *setting;
        let query =
            Query { text: question, vectors: &vectors, within, constraints: &constraints, top_k, reranks };
        let passages = retriever.find(&searched, query, cost).await?;
        let prompt = prompt(&pages.composer.prompt, "…", &[], &passages, question, "mark");
        let prompt = prompt.messages.last().map(|message| message.content.clone()).unwrap_or_default();
        let settlement = if form.answer {
            let conversation = Conversation { question, history: &[], locale: None };
            let composer = pages.composer.with_threshold(setting.threshold);
            let fit = searched.fit.as_deref();
            let evidence = Evidence { searched_for: question, passages: &passages, fit };
            Some(composer.compose(conversation, evidence, &Draft::default(), cost).await?)
        } else {
            None
        };
        tried.push(Tried {
            constraints: constraints.clone(),
            setting: *setting,
            passages,
            settlement,
            prompt,
            cost: cost.usage("").cost - before,
        });
    }
    let why = match form.why(pages) {
        Some(id) => Some({
            let query = Query {
                text: question,
                vectors: &vectors,
                within,
                constraints: &constraints,
                top_k: FAR,
                reranks: false,
            };
            explain(retriever, &searched, query, settings[0].top_k, &id, cost).await?
        }),
        None => None,
    };
    Ok((tried, why))
}

/// Says where a document is among the passages, or why it is not.
async fn explain(
    retriever: &Retriever,
    searched: &SearchedVersions,
    query: Query<'_>,
    top_k: u32,
    id: &DocumentId,
    cost: &AnswerCost,
) -> Result<Markup, JobError> {
    let own = match &query.vectors.first {
        Some(vector) => retriever.store.nearest_of(&searched.first.index, vector, id).await?,
        None => None,
    };
    let near = retriever.find(searched, query, cost).await?;
    let place = near.iter().position(|passage| passage.source == id.source && passage.key == id.key);
    let last = near.last().map_or(2.0, |passage| passage.distance);
    let is_left_out = query.within.sources.is_some_and(|sources| !sources.contains(&id.source));
    let title = own.as_ref().map_or("", |own| &own.title);
    let distance = own.as_ref().map_or(2.0, |own| own.distance);
    Ok(html! {
        section.panel {
            h2 { "Was " @if title.is_empty() { (id.source) "/" (text(&id.key, 80)) } @else { a href=(document_path(id)) { (text(title, 100)) } } " found?" }
            @match (&own, place) {
                (None, _) => p { "No. Nothing with this key is indexed: see " a href=(path("/catalogue", &[("source", Some(&*id.source)), ("q", Some(&*id.key))])) { "the catalogue" } ", where a document that waits or failed says so." },
                (Some(own), Some(place)) if place < top_k as usize => p { "Yes: it is passage " b { (place + 1) } @if own.is_named || near[place].is_named { ", first because the question names its SKU" } ", at the distance " (format!("{distance:.3}")) "." },
                (Some(_), Some(place)) => p { "No: it is at place " b { (place + 1) } @if searched.second.is_some() { " in the order of both models" } ", and the model reads the first " (top_k) "." },
                (Some(_), None) if is_left_out => p { "No: the question is limited to another source." },
                (Some(_), None) => p { "No: it is not even among the " (near.len()) " nearest passages, which end at the distance " (format!("{last:.3}")) "." },
            }
            @if own.is_some() {
                p { "Its nearest text is at the distance " b { (format!("{distance:.3}")) } " from the question."
                    @if place.is_none_or(|place| place >= top_k as usize) { " More of what customers ask for, in its description, brings it nearer." }
                }
            }
        }
    })
}

fn shown(tried: &Tried) -> Markup {
    let Setting { top_k, threshold, reranks } = tried.setting;
    html! {
        div {
            section.panel {
                h2 { (top_k) " passages, threshold " (threshold) @if !reranks { ", without the reranker" } }
                @if let Some(settlement) = &tried.settlement { (judged(settlement)) (p_cost(tried.cost)) }
                @if let Some(doubt) = tried.settlement.as_ref().and_then(|settlement| settlement.doubt.as_ref()) { p { (doubt_of(doubt)) } }
                @if !tried.constraints.is_empty() {
                    p { "The question states: " @for stated in &tried.constraints { span.tag { (text(&stated.words, 60)) ": " (stated.field) " " (text(&stated.condition.to_json().to_string(), 120)) } " " } }
                }
                h3 { "Passages" }
                @if tried.passages.is_empty() { p.hint { "Nothing was found." } }
                @for (n, passage) in (1..).zip(&tried.passages) { (passage_of(n, passage, threshold)) }
                details { summary { "What the model reads" } pre { (clip(&tried.prompt, 3000)) } }
            }
        }
    }
}

fn p_cost(cost: f64) -> Markup {
    html! { p.hint { "It cost " (usd(cost)) "." } }
}

fn judged(settlement: &Settlement) -> Markup {
    html! {
        div.answer-text { bdi { (clip(settlement.answer.as_ref().map_or("", |answer| &answer.text), 4000)) } }
        p {
            @if let Some(outcome) = settlement.outcome { (parts::outcome(settlement.status, Some(outcome))) " " }
            @if let Some(reason) = settlement.escalation_reason { span.tag.warn { "a human is asked for: " (<&str>::from(reason).replace('_', " ")) } " " }
            @if settlement.is_sound() { span.tag.good { "sound" } } @else { span.tag.bad { "not supported by the passages" } }
        }
    }
}

fn passage_of(n: u32, passage: &Passage, threshold: f64) -> Markup {
    let id = DocumentId { source: passage.source.clone(), key: passage.key.clone() };
    html! {
        div.turn.bot {
            b { (n) ". " } a href=(document_path(&id)) { (text(if passage.title.is_empty() { &passage.key } else { &passage.title }, 120)) }
            " " @if passage.is_named { span.tag.good { "named by its SKU" } }
            p.hint {
                @if passage.distance < FARTHEST {
                    "distance " (format!("{:.3}", passage.distance))
                    @if let Some(rank) = passage.rank { ", place " (rank) }
                    @if passage.distance > threshold { ", beyond the threshold" }
                } @else { "the first model is away" }
                @if let Some(distance) = passage.second_distance {
                    "; by the second model " (format!("{distance:.3}"))
                    @if let Some(rank) = passage.second_rank { ", place " (rank) }
                }
                @if let Some(score) = passage.rerank_score { "; by the reranker " (format!("{score:.3}")) }
            }
            details { summary { "The chunk" } p { (text(&passage.content, 600)) } }
        }
    }
}

fn golden_form(visitor: &Visitor, question: &str, tried: Option<&Tried>) -> Markup {
    let first = tried.and_then(|tried| tried.passages.first());
    html! {
        details.panel {
            summary { "Add to the golden set" }
            form.stack method="post" action="/do/golden" {
                (form_token(visitor)) input type="hidden" name="question" value=(question); input type="hidden" name="back" value="/playground";
                label { "Documents that answer it, as source/key, one a line; none if it must be refused" textarea name="expected" rows="3" { @if let Some(first) = first { (first.source) "/" (first.key) } } }
                div { button type="submit" { "Add" } " " a href="/golden.jsonl" { "Download the set" } }
            }
            (command("eval run golden.jsonl"))
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Golden {
    question: String,
    #[serde(default)]
    expected: String,
    #[serde(default)]
    back: String,
}

pub(super) async fn add_golden(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Golden { question, expected, back }): Fields<Golden>,
) -> Result<Response, PageError> {
    check_text("The question", &question, pages.max_question_chars)?;
    check_text("expected", &expected, 60_000)?;
    let mut documents = Vec::new();
    for line in expected.lines().map(str::trim).filter(|line| !line.is_empty()) {
        documents.push(pages.document(line).ok_or_else(|| {
            PageError::Invalid(format!("{line:?} is not source/key of a source in the settings."))
        })?);
    }
    if question.trim().is_empty() || documents.len() > MOST_EXPECTED {
        return Err(PageError::Invalid(format!(
            "A golden question needs a text, and at most {MOST_EXPECTED} documents."
        )));
    }
    let store = &pages.console.store;
    let id = store.add_golden(question.trim(), &documents, &visitor.name).await?;
    store.note_action(&visitor.name, "add to golden set", &id.to_string(), 1).await?;
    let back = if back.starts_with("/answers/") { back } else { "/playground".to_owned() };
    Ok(super::access::done(&back, "golden", 1))
}

/// The golden set, as `eval run` reads it.
pub(super) async fn golden(State(pages): State<Arc<Pages>>, _: Visitor) -> Result<Response, PageError> {
    let mut lines = String::new();
    for question in pages.store.golden_questions().await? {
        let line = serde_json::json!({
            "id": question.id, "kind": "console", "question": question.question, "expected": question.expected,
        });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    let name = "attachment; filename=\"golden.jsonl\"";
    Ok(([(header::CONTENT_TYPE, "application/jsonl"), (header::CONTENT_DISPOSITION, name)], lines)
        .into_response())
}
