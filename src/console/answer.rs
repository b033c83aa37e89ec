//! `/answers/{id}`: one answer, with what it rests on.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use serde_json::json;
use unicode_segmentation::UnicodeSegmentation;

use super::{
    Pages,
    access::{Role, Visitor, done},
    layout,
    page::{Fields, PageError, PageResult, id_of},
    parts::{
        Action, clip, command, document_path, form_token, length, number, outcome, path, private, quoted,
        tag, text, time, usd,
    },
};
use crate::{
    answering::{
        Question,
        handover::Doubt,
        object::{AnswerObject, EscalationReason, Outdated, Rating},
    },
    catalogue::DocumentId,
    store::{answers::AnswerShown, jobs::JobRow},
};

/// The most characters of a text that are shown.
const CHARS: usize = 6000;
/// The client of questions that are asked from the console.
pub(super) const CONSOLE: &str = "console";

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> PageResult {
    let (store, id) = (&pages.store, id_of("answer", &id)?);
    let shown = store.answer_shown(id).await?.ok_or(PageError::NotFound("answer"))?;
    let runs = store.jobs_of("answer_question", &id.to_string()).await?;
    let answer = &shown.answer;
    let body = html! {
        p.hint { a href="/answers" { "Answers" } }
        h1 { (private(&visitor, &answer.question, 400)) }
        div data-moves {
            p { (outcome(answer.status, answer.outcome)) @if answer.needs_escalation { " " span.tag.warn { "a human was asked for" } } @if let Some(by) = &answer.answered_by { " " span.tag.good { "by " (text(by, 60)) } } }
            @if let Some(outdated) = &answer.outdated { (changed(outdated)) }
            div.columns {
                div { (said(&visitor, &shown)) (passages(&visitor, answer)) }
                div { (facts(&visitor, &shown)) (timeline(&visitor, answer, &runs)) (actions(&visitor, &shown)) }
            }
        }
    };
    Ok(layout::page(&pages, &visitor, "Answer", &body))
}

/// What changed after the answer was given.
fn changed(outdated: &Outdated) -> Markup {
    let id = DocumentId { source: outdated.source.clone(), key: outdated.key.clone() };
    html! {
        p.banner.warn role="status" {
            "Outdated: of a document that it cites, " a href=(document_path(&id)) { (text(&outdated.source, 60)) "/" (text(&outdated.key, 80)) } ", "
            b { (text(&outdated.changed.join(", "), 200)) } " changed; noticed " (time(outdated.at)) "."
        }
    }
}

fn said(visitor: &Visitor, shown: &AnswerShown) -> Markup {
    let answer = &shown.answer;
    html! {
        section.panel {
            h2 { "Answer" }
            @match &answer.answer {
                Some(said) if visitor.may(Role::Operator) => div.answer-text { bdi { (linked(&said.text, answer)) } },
                Some(said) => (private(visitor, &said.text, CHARS)),
                None => p.hint { "None" @if answer.status.is_settled() { "." } @else { " yet." } },
            }
            @if let Some(error) = &answer.error { p.banner.bad { (private(visitor, error, 1000)) } }
            @if let Some(draft) = &shown.draft {
                h3 { "Withheld draft of the model" }
                div.answer-text { (private(visitor, draft, CHARS)) }
            }
            @if let Some(grounding) = &answer.grounding {
                h3 { "Checks" }
                @let wrong = [("numbers that no passage has", grounding.unsupported_numbers.join(", ")), ("links that no passage contains", grounding.invalid_links.join(", ")), ("invalid citations", grounding.invalid_citations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")), ("sentences that no passage supports", grounding.unsupported_sentences.join(" | "))];
                @if !grounding.checked { p.hint { "There was nothing to check." } }
                @else if wrong.iter().all(|(_, found)| found.is_empty()) { p { span.tag.good { "sound" } " Every number, link and citation is found in the passages." } }
                @for (what, found) in wrong.iter().filter(|(_, found)| !found.is_empty()) { p { span.tag.bad { (what) } " " (private(visitor, found, 300)) } }
            }
        }
    }
}

/// The text, in which each `[n]` leads to its passage.
fn linked(said: &str, answer: &AnswerObject) -> Markup {
    let said = clip(said, CHARS);
    let (mut markup, mut rest) = (String::new(), &*said);
    while let Some(open) = rest.find('[') {
        let (before, after) = rest.split_at(open);
        markup.push_str(&html! { (before) }.into_string());
        let close = after.find(']').unwrap_or(0);
        let number = after.get(1..close).and_then(|number| number.parse::<u32>().ok());
        if let Some(n) = number.filter(|number| answer.sources.iter().any(|source| source.n == *number)) {
            markup.push_str(&html! { a href={ "#passage-" (n) } { "[" (n) "]" } }.into_string());
            rest = &after[close + 1..];
        } else {
            markup.push('[');
            rest = &after[1..];
        }
    }
    markup.push_str(&html! { (rest) }.into_string());
    PreEscaped(markup)
}

fn passages(visitor: &Visitor, answer: &AnswerObject) -> Markup {
    html! {
        section.panel {
            h2 { "Passages" }
            @if answer.sources.is_empty() { p.hint { "Nothing was found." } }
            @for source in &answer.sources {
                div.turn.bot #{ "passage-" (source.n) } {
                    b { "[" (source.n) "] " } a href=(document_path(&DocumentId { source: source.source.clone(), key: source.key.clone() })) { (text(if source.title.is_empty() { &source.key } else { &source.title }, 160)) }
                    " " @if source.cited { span.tag.good { "cited" } }
                    @let sentences = cited_sentences(answer, source.n);
                    @for sentence in &sentences { p.hint { (private(visitor, sentence, 240)) } }
                    p.hint {
                        (source.source) ", distance " (format!("{:.3}", source.distance))
                        @if let Some(rank) = source.rank { ", place by the first model " (rank) }
                        @if let Some(rank) = source.second_rank { ", by the second " (rank) }
                        @if let Some(score) = source.rerank_score { ", reranker " (format!("{score:.3}")) }
                    }
                }
            }
        }
    }
}

/// The sentences of the answer that cite a passage.
fn cited_sentences(answer: &AnswerObject, n: u32) -> Vec<String> {
    let Some(said) = &answer.answer else { return Vec::new() };
    let mark = format!("[{n}]");
    let mut sentences: Vec<String> = Vec::new();
    for part in said.text.split_sentence_bounds() {
        // Marks after the end of a sentence are its own.
        let Some(last) = sentences.last_mut() else {
            sentences.push(part.to_owned());
            continue;
        };
        let (marks, sentence) = part.split_at(leading_marks(part));
        last.push_str(marks);
        sentences.push(sentence.to_owned());
    }
    let cites = sentences.into_iter().filter(|sentence| sentence.contains(&mark));
    cites.map(|sentence| sentence.trim().to_owned()).take(3).collect()
}

/// Bytes of the marks `[n]` with which a text begins, and of the spaces around them.
fn leading_marks(text: &str) -> usize {
    let mut rest = text;
    while let Some((number, after)) =
        rest.trim_start().strip_prefix('[').and_then(|mark| mark.split_once(']'))
        && number.parse::<u32>().is_ok()
    {
        rest = after.trim_start();
    }
    text.len() - rest.len()
}

fn facts(visitor: &Visitor, shown: &AnswerShown) -> Markup {
    let answer = &shown.answer;
    html! {
        section.panel {
            h2 { "Facts" }
            dl.facts {
                @if let Some(standalone) = answer.standalone_question.as_ref().filter(|standalone| **standalone != answer.question) { dt { "searched for" } dd { (private(visitor, standalone, 400)) } }
                @if let Some(distance) = answer.nearest_distance {
                    dt { "nearest passage" } dd {
                        "at the distance " (format!("{distance:.3}")) ", a confidence of " (format!("{:.2}", (1.0 - distance).clamp(0.0, 1.0)))
                        @if let Some(threshold) = answer.escalation_threshold { ". Beyond the distance " (format!("{threshold:.3}")) ", or if the model finds no answer, a human is asked for." }
                    }
                }
                @if !answer.constraints.is_empty() { dt { "constraints" } dd { @for stated in &answer.constraints { (private(visitor, &format!("{}: {} {}", stated.words, stated.field, stated.condition), 200)) br; } } }
                @if let Some(doubt) = &answer.doubt { dt { "doubt" } dd { (doubt_of(doubt)) } }
                @if let Some(escalation) = &answer.escalation { dt { "hand-over" } dd { (why(answer)) " " a href={ "/escalations/" (escalation.id) } { (escalation.status.to_string()) } } }
                dt { "client" } dd { (text(&shown.client, 100)) }
                @if let Some(session) = &answer.session_id { dt { "session" } dd { a href=(path("/session", &[("client", Some(&shown.client)), ("id", Some(session))])) { (private(visitor, session, 100)) } } }
                @if let Some(customer) = &shown.customer_id { dt { "customer" } dd { (private(visitor, customer, 100)) } }
                @if let Some(rating) = shown.rating { dt { "rating" } dd { (tag(rating.into(), if rating == Rating::Up { "good" } else { "bad" })) @if let Some(comment) = &shown.comment { " " (private(visitor, comment, 400)) } } }
                @if let Some(usage) = &answer.usage {
                    dt { "cost" } dd { (usd(usage.cost)) ": " (number(total(usage.input_tokens))) " tokens in, " (number(total(usage.output_tokens))) " out, " (number(total(usage.embedding_tokens + usage.rerank_tokens))) " for the search" @if usage.estimated { " (estimated)" } }
                    dt { "model" } dd { (text(&usage.model, 100)) }
                }
                @if shown.deliveries > 0 { dt { "webhooks" } dd { a href="/webhooks" { (shown.deliveries) @if shown.deliveries == 1 { " message" } @else { " messages" } } } }
                @if let Some(reply) = shown.reply { dt { "replied" } dd { a href={ "/answers/" (reply) } { "by a human" } } }
                @if let Some(reply_to) = answer.reply_to { dt { "replies to" } dd { a href={ "/answers/" (reply_to) } { "the escalated question" } } }
            }
        }
    }
}

/// Why a human was asked for, in a sentence.
fn why(answer: &AnswerObject) -> &'static str {
    let is_near =
        answer.nearest_distance.zip(answer.escalation_threshold).is_some_and(|(near, most)| near <= most);
    match answer.escalation.as_ref().map(|escalation| escalation.reason) {
        Some(EscalationReason::LowConfidence) if is_near => "The model found no answer in the passages:",
        Some(EscalationReason::LowConfidence) => "The nearest passage is too far away:",
        Some(EscalationReason::NoPassages) => "Nothing was found:",
        Some(EscalationReason::Ungrounded) => "The passages do not support what the model said:",
        Some(EscalationReason::AskedForHuman) => "The customer asked for a human:",
        Some(EscalationReason::Failed) => "It could not be answered:",
        Some(EscalationReason::Paused) => {
            "No model was asked, because of the stop button, a budget or an outage:"
        }
        None => "",
    }
}

/// How likely a human is needed, and the signals, the strongest first.
pub(super) fn doubt_of(doubt: &Doubt) -> Markup {
    let mut signals = doubt.signals.clone();
    signals.sort_by(|one, other| other.effect.abs().total_cmp(&one.effect.abs()));
    html! {
        @match doubt.probability {
            Some(probability) => { "A human is needed with a probability of " b { (format!("{:.0} %", 100.0 * probability)) } "; from 50 % one is asked for." }
            None => "There is no fit for this index: the nearest distance decides.",
        }
        details { summary { "Signals" }
            table {
                thead { tr { th { "signal" } th.number { "value" } @if doubt.probability.is_some() { th.number { "effect" } } } }
                tbody { @for signal in &signals { tr {
                    td { (signal.signal.to_string().replace('_', " ")) }
                    td.number { (format!("{:.3}", signal.value)) }
                    @if doubt.probability.is_some() { td.number { (format!("{:+.2}", signal.effect)) } }
                } } }
            }
        }
    }
}

fn total(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

fn timeline(visitor: &Visitor, answer: &AnswerObject, runs: &[JobRow]) -> Markup {
    let after =
        |at: chrono::DateTime<chrono::Utc>| length((at - answer.created_at).as_seconds_f64().max(0.0));
    html! {
        section.panel {
            h2 { "Timeline" }
            ul.timeline {
                li { "asked " (time(answer.created_at)) }
                @if let Some(at) = answer.started_at { li { "a worker took it after " (after(at)) } }
                @if answer.attempt > 1 { li { "attempt " (answer.attempt) } }
                @for run in runs { li { a href={ "/jobs/" (run.id) } { "job " (run.id) } " " (run.state.to_string()) @if let Some(error) = &run.last_error { ": " (private(visitor, error, 200)) } } }
                @if let Some(at) = answer.completed_at { li { "settled after " (after(at)) } }
            }
        }
    }
}

fn actions(visitor: &Visitor, shown: &AnswerShown) -> Markup {
    let answer = &shown.answer;
    let id = answer.id.to_string();
    html! {
        @if visitor.may(Role::Operator) {
            section.panel {
                h2 { "Actions" }
                (Action { path: "/do/ask-again", label: "Ask again", class: "", least: Role::Operator, fields: &[("id", &id)] }.button(visitor))
                a.button href=(path("/playground", &[("q", Some(&*clip(&answer.question, 1000))), ("why", Some("true"))])) { "Try it in the playground, or find out why a product was not found" }
                (command(&format!("ask {} --explain", quoted(&answer.question))))
                form.stack method="post" action="/do/golden" {
                    (form_token(visitor))
                    input type="hidden" name="question" value=(answer.question);
                    input type="hidden" name="back" value={ "/answers/" (id) };
                    label { "Documents that answer it, as source/key, one a line; none if it must be refused"
                        textarea name="expected" rows="3" {
                            @for source in answer.sources.iter().filter(|source| source.cited) { (source.source) "/" (source.key) "\n" }
                        }
                    }
                    div { button type="submit" { "Add to the golden set" } }
                }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: String,
}

/// Asks the same question once more, apart from the customer's conversation, and nobody is told of the answer.
pub(super) async fn ask_again(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Which { id }): Fields<Which>,
) -> Result<Response, PageError> {
    let store = &pages.console.store;
    let shown = store.answer_shown(id_of("answer", &id)?).await?.ok_or(PageError::NotFound("answer"))?;
    let mut asked: Question = serde_json::from_value(shown.request).unwrap_or_default();
    asked = Question {
        question: shown.answer.question,
        session_id: None,
        customer_id: None,
        on_busy: None,
        start_before: None,
        metadata: json!({ "again": id }).as_object().cloned(),
        ..asked
    };
    let again = store.ask(CONSOLE, None, &asked, None).await?;
    store.note_action(&visitor.name, "ask again", &id, 1).await?;
    Ok(done(&format!("/answers/{again}"), "enqueued", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(text: &str) -> AnswerObject {
        let sources =
            json!([{ "n": 1, "source": "p", "key": "1", "title": "Kettle", "distance": 0.2, "cited": true }]);
        serde_json::from_value(json!({
            "id": uuid::Uuid::nil(), "object": "answer", "seq": 1, "status": "completed", "outcome": "answered",
            "question": "q", "answer": { "text": text }, "sources": sources, "needs_escalation": false, "attempt": 1,
            "incomplete_reason": null, "standalone_question": null, "citations": [], "confidence": null, "nearest_distance": 0.2,
            "escalation_threshold": 0.4, "escalation": null, "grounding": null, "usage": null, "error": null,
            "session_id": null, "started_at": null, "completed_at": null,
            "created_at": "2026-11-29T00:00:00Z", "metadata": {}
        }))
        .unwrap()
    }

    #[test]
    fn marks_of_passages_are_links_and_all_else_is_text() {
        let answer = saying("<b>Two</b> litres. [1] It is [2] blue [x]");
        let text = &answer.answer.as_ref().unwrap().text;
        assert_eq!(
            linked(text, &answer).into_string(),
            "&lt;b&gt;Two&lt;/b&gt; litres. <a href=\"#passage-1\">[1]</a> It is [2] blue [x]"
        );
    }

    #[test]
    fn a_passage_is_shown_with_the_sentences_that_cite_it() {
        let answer = saying(
            "It costs 42.00 EUR. [1] It is blue. [2][1] It is light [2]. One litre [1 l] is enough! [3] [1]",
        );
        assert_eq!(
            cited_sentences(&answer, 1),
            ["It costs 42.00 EUR. [1]", "It is blue. [2][1]", "One litre [1 l] is enough! [3] [1]"]
        );
        assert_eq!(cited_sentences(&answer, 2), ["It is blue. [2][1]", "It is light [2]."]);
        assert_eq!(cited_sentences(&saying("[1] It is blue."), 1), ["[1] It is blue."]);
    }
}
