//! `[answers]`: how questions are answered.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use serde_json::Value as Json;

use super::defaults::{at_most, count, seconds};
use super::{ReadError, Section, Setting, Shown, Table, Value, endpoint::Endpoint, table, value::wrong};
use crate::answering::{cost::Prices, job::AnswerLimits, prompt::PromptSettings, prompt::Temperature};
use crate::model::learned::{MaxTokensParameter, SystemRole};

/// More phrasings would drown the question.
const MOST_PHRASINGS: u32 = 8;

/// How passages are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Retrieval {
    /// By cosine distance alone.
    Vector,
    /// By cosine distance; products named by their SKU come first.
    Hybrid,
}

table! {
    /// The settings of answers.
    pub struct Answers, section {
        endpoint: Endpoint = flat(),
        /// The time limit of one request: at most that of the whole answer.
        request_timeout: Duration = hidden(request_timeout),
        model: String = get("gpt-4o-mini".to_owned()),
        top_k: NonZeroU32 = get(count(5)),
        retrieval: Retrieval = get(Retrieval::Hybrid),
        constraints: bool = get(true),
        phrasings: NonZeroU32 = with(phrasings),
        prompt: PromptSettings = flat(),
        max_tokens_parameter: Option<MaxTokensParameter> = get(None),
        stream: Option<bool> = get(None),
        system_role: Option<SystemRole> = get(None),
        limits: AnswerLimits = flat(),
        escalate_above_distance: f64 = with(|section, key| at_most(section, key, 0.4, 2.0)),
        refusal: BTreeMap<String, String> = table(),
        fallback: BTreeMap<String, String> = table(),
        max_queued: NonZeroU32 = get(count(10_000)),
        prices: Prices = flat(),
    }
}

table! {
    PromptSettings, section {
        system = "system_prompt": get(String::new()),
        temperature: get(Temperature::Value(0.3)),
        max_tokens: get(count(500)),
    }
}

table! {
    AnswerLimits, section {
        history_messages: get(6),
        max_question_chars: get(count(4000)),
        timeout: get(seconds(60)),
        fallback_after: get(seconds(300)),
        watch_for: get(seconds(86_400)),
    }
}

table! {
    Prices, section {
        input = "usd_per_million_input_tokens": get(0.15),
        output = "usd_per_million_output_tokens": get(0.6),
    }
}

fn phrasings(section: &Section<'_>, key: &str) -> Result<NonZeroU32, ReadError> {
    section.checked(key, count(1), |phrasings| {
        (phrasings.get() <= MOST_PHRASINGS)
            .then_some(())
            .ok_or(format!("must be at most {MOST_PHRASINGS}, not {phrasings}"))
    })
}

fn request_timeout(section: &Section<'_>, _: &str) -> Result<Duration, ReadError> {
    let request = section.inherited("openai.timeout", seconds(60));
    let whole = section.get("timeout", seconds(60));
    Ok(request?.min(whole?))
}

impl Setting for Temperature {
    fn read(value: &Value) -> Result<Self, String> {
        let expected = "a number from 0 to 2, or \"default\"";
        match value {
            Value::Text(text) if text == "default" => Ok(Self::Default),
            other => match f64::read(other) {
                Ok(temperature) if temperature <= 2.0 => Ok(Self::Value(temperature)),
                _ => wrong(expected, other),
            },
        }
    }

    fn show(&self) -> Json {
        match self {
            Self::Default => "default".into(),
            Self::Value(temperature) => (*temperature).into(),
        }
    }
}

/// Texts by language. English is always among them, as the fallback.
impl Table for BTreeMap<String, String> {
    fn read(section: &Section<'_>) -> Result<Self, ReadError> {
        let english = match section.path() {
            "answers.refusal" => {
                "I don't have information about that. Let me connect you with a human agent."
            }
            _ => "We will get back to you.",
        };
        let written: Vec<_> =
            section.written_keys().map(|language| (language, section.required(language))).collect();
        let mut texts = Self::from([("en".to_owned(), english.to_owned())]);
        for (language, text) in written {
            texts.insert(language.to_owned(), text?);
        }
        Ok(texts)
    }

    fn show(&self, shown: &mut Shown) {
        shown.extend(self.iter().map(|(language, text)| (language.clone(), text.show())));
    }
}
