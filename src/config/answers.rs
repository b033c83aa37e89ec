//! `[answers]`: how questions are answered.

use std::collections::BTreeMap;

use super::{
    Amount, Answers, Endpoint, Retrieval, Span,
    models::OpenAi,
    reader::{Faulty, Section},
    sections::{count, seconds},
};

pub(super) fn answers(section: &Section<'_>, openai: &OpenAi<'_>) -> Result<Answers, Faulty> {
    let timeout = section.get("timeout", seconds(60));
    let endpoint = openai.of_use(section, None).endpoint().and_then(|endpoint| {
        // One request of an answer has no longer than the whole of it.
        let (Span(request), Span(whole)) = (openai.timeout()?, timeout?);
        Ok(Endpoint { timeout: Span(request.min(whole)), ..endpoint })
    });
    let model = section.get("model", "gpt-4o-mini".to_owned());
    let top_k = section.get("top_k", count(5));
    let retrieval = section.get("retrieval", Retrieval::Hybrid);
    let temperature = at_most(section, "temperature", Amount(0.3), 2.0);
    let max_tokens = section.get("max_tokens", count(500));
    let history_messages = section.get("history_messages", 6);
    let escalate_above = at_most(section, "escalate_above_distance", Amount(0.4), 2.0);
    let system_prompt = section.get("system_prompt", String::new());
    let refusal = by_language(
        section,
        "refusal",
        "I don't have information about that. Let me connect you with a human agent.",
    );
    let fallback = by_language(section, "fallback", "We will get back to you.");
    let max_question_chars = section.get("max_question_chars", count(4000));
    let max_queued = section.get("max_queued", count(10_000));
    let fallback_after = section.get("fallback_after", seconds(300));
    let input_price = section.get("usd_per_million_input_tokens", Amount(0.15));
    let output_price = section.get("usd_per_million_output_tokens", Amount(0.6));
    section.finish();
    Ok(Answers {
        endpoint: endpoint?,
        model: model?,
        top_k: top_k?,
        retrieval: retrieval?,
        temperature: temperature?,
        max_tokens: max_tokens?,
        history_messages: history_messages?,
        escalate_above_distance: escalate_above?,
        system_prompt: system_prompt?,
        refusal: refusal?,
        fallback: fallback?,
        max_question_chars: max_question_chars?,
        max_queued: max_queued?,
        fallback_after: fallback_after?,
        timeout: timeout?,
        usd_per_million_input_tokens: input_price?,
        usd_per_million_output_tokens: output_price?,
    })
}

fn at_most(section: &Section<'_>, key: &str, default: Amount, most: f64) -> Result<Amount, Faulty> {
    let amount = section.get(key, default)?;
    if amount.0 <= most {
        return Ok(amount);
    }
    Err(section.fault(key, format!("must be from 0 to {most}, not {}", amount.0)))
}

/// Texts by language; `en` is always there, since it is what is said when no other fits.
fn by_language(section: &Section<'_>, key: &str, english: &str) -> Result<BTreeMap<String, String>, Faulty> {
    let inner = section.section(key);
    let own = inner.written_keys().into_iter().map(|language| (language.clone(), inner.required(&language)));
    let own: Vec<_> = own.collect();
    let mut texts = BTreeMap::from([("en".to_owned(), english.to_owned())]);
    for (language, text) in own {
        texts.insert(language, text?);
    }
    Ok(texts)
}
