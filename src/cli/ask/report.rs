//! An answer as text.

use crate::answering::object::{AnswerObject, AnswerUsage};
use crate::{
    answering::{grounding::Grounding, handover::Doubt},
    cli::output,
};

pub(super) fn show(answer: &AnswerObject) {
    output::line(answer.answer.as_ref().map_or("(no answer)", |answer| answer.text.as_str()));
    for source in answer.sources.iter().filter(|source| source.cited) {
        let place = source.url.clone().unwrap_or_else(|| format!("{}/{}", source.source, source.key));
        output::line(format!("  [{}] {} - {place}", source.n, source.title));
    }
    let confidence = answer.confidence.map_or("-".to_owned(), |confidence| format!("{confidence:.2}"));
    let escalation = answer.escalation.as_ref().map(|escalation| escalation.reason);
    let escalation = escalation.map(|reason| format!(", a human is asked for: {reason}")).unwrap_or_default();
    output::line(format!("  confidence {confidence}{escalation}"));
}

pub(super) fn explain(answer: &AnswerObject) {
    let searched = answer.standalone_question.as_deref().unwrap_or(&answer.question);
    output::line(format!("\nsearched for: {searched}"));
    if answer.sources.is_empty() {
        output::line("no passage was found");
    } else {
        let rows = answer.sources.iter().map(|source| {
            vec![
                source.n.to_string(),
                format!("{:.3}", source.distance),
                if source.cited { "cited".to_owned() } else { String::new() },
                format!("{}/{}", source.source, source.key),
                source.title.clone(),
            ]
        });
        output::table(&["n", "distance", "", "document", "title"], rows);
    }
    let outcome = answer.outcome.map(|outcome| outcome.to_string());
    let outcome = outcome.or(answer.incomplete_reason.map(|reason| reason.to_string()));
    let outcome = outcome.as_deref().unwrap_or("-");
    output::line(format!("outcome     {}, {outcome}, attempt {}", answer.status, answer.attempt));
    output::line(format!(
        "confidence  {}: the nearest passage is at {}, above {} a human is asked for",
        output::figure(answer.confidence),
        output::figure(answer.nearest_distance),
        output::figure(answer.escalation_threshold)
    ));
    if let Some(doubt) = &answer.doubt {
        output::line(format!("doubt       {}", describe_doubt(doubt)));
    }
    output::line(match &answer.escalation {
        Some(escalation) => {
            format!("escalation  {} ({}, {})", escalation.reason, escalation.status, escalation.id)
        }
        None => "escalation  none".to_owned(),
    });
    if let Some(grounding) = &answer.grounding {
        output::line(format!("grounding   {}", describe(grounding)));
    }
    if let Some(AnswerUsage { embedding_tokens, input_tokens, output_tokens, model, cost, .. }) =
        &answer.usage
    {
        output::line(format!(
            "usage       {embedding_tokens} tokens embedded, {input_tokens} read and {output_tokens} written by \
             {model}; {cost:.6} USD"
        ));
    }
}

/// The probability that a human is needed, and the signals, the strongest first.
fn describe_doubt(doubt: &Doubt) -> String {
    let mut signals = doubt.signals.clone();
    signals.sort_by(|one, other| other.effect.abs().total_cmp(&one.effect.abs()));
    let signals: Vec<_> = signals
        .iter()
        .map(|signal| match doubt.probability {
            Some(_) => format!("{} {:.2} ({:+.2})", signal.signal, signal.value, signal.effect),
            None => format!("{} {:.2}", signal.signal, signal.value),
        })
        .collect();
    let decision = match doubt.probability {
        Some(probability) => format!("{probability:.2}, above 0.50 a human is asked for"),
        None => "the nearest distance decides".to_owned(),
    };
    format!("{decision}: {}", signals.join(", "))
}

fn describe(grounding: &Grounding) -> String {
    if !grounding.checked {
        return "not checked".to_owned();
    }
    if grounding.is_sound() {
        return "sound".to_owned();
    }
    let citations: Vec<_> = grounding.invalid_citations.iter().map(|n| format!("[{n}]")).collect();
    let faults = [
        ("numbers", &grounding.unsupported_numbers),
        ("citations", &citations),
        ("links", &grounding.invalid_links),
    ];
    let faults = faults.iter().filter(|(_, which)| !which.is_empty());
    let faults: Vec<_> = faults.map(|(what, which)| format!("{what} {}", which.join(" "))).collect();
    let sentences: Vec<_> =
        grounding.unsupported_sentences.iter().map(|text| format!("\n  {text}")).collect();
    format!("no passage has {}{}", faults.join("; "), sentences.concat())
}
