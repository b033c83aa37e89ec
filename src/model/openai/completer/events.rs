//! What the events of a reply say. Only the text must be there.

use serde_json::Value;

use super::text::ReplyText;
use crate::model::{FinishReason, TokenUsage, openai::lenient::number};

/// A reply as it arrives.
pub(super) struct ChatReply<'a> {
    text: ReplyText<'a>,
    has_choices: bool,
    finish_reason: Option<FinishReason>,
    usage: Value,
    /// Characters of the reply, thoughts included.
    characters: u64,
    has_reasoning: bool,
}

impl<'a> ChatReply<'a> {
    pub(super) fn new(text: ReplyText<'a>) -> Self {
        let (has_choices, has_reasoning) = (false, false);
        Self { text, has_choices, finish_reason: None, usage: Value::Null, characters: 0, has_reasoning }
    }

    /// Adds a chunk of a stream, or a whole reply.
    pub(super) fn add(&mut self, event: &Value) {
        let usage = [&event["usage"], &event["x_groq"]["usage"]];
        if let Some(usage) = usage.into_iter().find(|usage| usage.is_object()) {
            self.usage = usage.clone();
        }
        let choice = &event["choices"][0];
        let message = [&choice["delta"], &choice["message"], &event["message"]];
        let Some(message) = message.into_iter().find(|message| message.is_object()).or(Some(choice)) else {
            return;
        };
        self.has_choices |= choice.is_object() || message.is_object();
        if let Some(reason) = finish_reason(&choice["finish_reason"]) {
            self.finish_reason = Some(reason);
        }
        for reasoning in [&message["reasoning_content"], &message["reasoning"]] {
            if let Some(text) = reasoning.as_str().filter(|text| !text.is_empty()) {
                self.has_reasoning = true;
                self.characters += text.chars().count() as u64;
            }
        }
        let content = if message["content"].is_null() { &choice["text"] } else { &message["content"] };
        self.add_content(content);
    }

    /// Adds a text, or a list of parts of which some are texts.
    fn add_content(&mut self, content: &Value) {
        match content {
            Value::String(text) => {
                self.characters += text.chars().count() as u64;
                self.text.add(text);
            }
            Value::Array(parts) => parts.iter().for_each(|part| self.add_content(part)),
            Value::Object(part) => match part.get("type").and_then(Value::as_str) {
                None | Some("text" | "output_text") => {
                    let text = part.get("text").or_else(|| part.get("content"));
                    self.add_content(text.unwrap_or(&Value::Null));
                }
                Some(kind) => self.has_reasoning |= kind.contains("think") || kind.contains("reason"),
            },
            _ => {}
        }
    }

    /// Whether anything came that was paid for.
    pub(super) fn has_begun(&self) -> bool {
        self.characters > 0
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.text.is_too_long()
    }

    /// Whether the model thinks, and whether its thoughts end without a beginning.
    pub(super) fn thoughts(&self) -> (bool, bool) {
        let (has_thoughts, is_unopened) = self.text.thoughts();
        let details = &self.usage["completion_tokens_details"]["reasoning_tokens"];
        (has_thoughts || self.has_reasoning || number(details).is_some_and(|tokens| tokens > 0), is_unopened)
    }

    /// The tokens of the reply; `input` estimates those of the prompt.
    pub(super) fn usage(&self, input: impl FnOnce() -> u64) -> TokenUsage {
        let read = |keys: [&str; 3]| keys.into_iter().find_map(|key| number(&self.usage[key]));
        let reported = read(["prompt_tokens", "input_tokens", "prompt_eval_count"]);
        let output = read(["completion_tokens", "output_tokens", "eval_count"]);
        let estimate = self.characters.div_ceil(4);
        match (reported, output, number(&self.usage["total_tokens"])) {
            (Some(input), Some(output), _) => TokenUsage { input, output, is_estimated: false },
            (Some(input), None, Some(total)) => {
                TokenUsage { input, output: total.saturating_sub(input), is_estimated: false }
            }
            (None, Some(output), Some(total)) => {
                TokenUsage { input: total.saturating_sub(output), output, is_estimated: false }
            }
            (None, None, Some(total)) => {
                let output = estimate.min(total);
                TokenUsage { input: total - output, output, is_estimated: true }
            }
            (reported, output, None) => TokenUsage {
                input: reported.unwrap_or_else(input),
                output: output.unwrap_or(estimate),
                is_estimated: true,
            },
        }
    }

    /// The text and why it ended, or why this is no reply.
    pub(super) fn finish(self) -> Result<(String, FinishReason), &'static str> {
        if !self.has_choices {
            return Err("a completion without a choice");
        }
        if self.finish_reason.is_none() && self.text.is_empty() && !self.has_begun() {
            return Err("a stream that ends before the answer does");
        }
        let finish_reason = self.finish_reason.unwrap_or(FinishReason::Stop);
        let output = number(&self.usage["completion_tokens"]);
        let is_within = finish_reason == FinishReason::MaxTokens
            || output.is_some_and(|output| output <= self.text.limit());
        let (text, is_whole) = self.text.finish(is_within);
        Ok((text, if is_whole { finish_reason } else { FinishReason::MaxTokens }))
    }
}

/// Any other word than those for a limit or a filter says that the model was done.
fn finish_reason(value: &Value) -> Option<FinishReason> {
    let word = match value {
        Value::Null => return None,
        Value::String(word) => word.to_lowercase(),
        _ => String::new(),
    };
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    Some(if has(&["length", "max_tokens", "max_output", "token_limit"]) {
        FinishReason::MaxTokens
    } else if has(&["filter", "safety", "prohibited", "blocked", "recitation", "sensitive"]) {
        FinishReason::ContentFilter
    } else {
        FinishReason::Stop
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(events: &[Value]) -> ChatReply<'static> {
        let mut reply = ChatReply::new(ReplyText::new(false, 500, None));
        for event in events {
            reply.add(event);
        }
        reply
    }

    #[test]
    fn a_text_is_read_wherever_servers_put_it() {
        for event in [
            json!({ "choices": [{ "message": { "content": "Yes." }, "finish_reason": "stop" }] }),
            json!({ "choices": [{ "delta": { "content": "Yes." }, "message": null }] }),
            json!({ "choices": [{ "delta": { "content": [{ "type": "text", "text": "Yes." }] } }] }),
            json!({ "choices": [{ "message": { "content": [
                { "type": "thinking", "thinking": [{ "type": "text", "text": "Hm." }] }, { "type": "text", "text": "Yes." }
            ] } }] }),
            json!({ "choices": [{ "message": { "content": ["Yes", "."] } }] }),
            json!({ "choices": [{ "text": "Yes.", "index": 0 }], "created": 1.5, "usage": "none" }),
            json!({ "message": { "role": "assistant", "content": "Yes." }, "done": true }),
        ] {
            let finished = reply(std::slice::from_ref(&event)).finish();
            assert_eq!(finished, Ok(("Yes.".to_owned(), FinishReason::Stop)), "{event}");
        }
    }

    #[test]
    fn every_word_for_an_end_is_an_end() {
        for (word, reason) in [
            (json!("length"), FinishReason::MaxTokens),
            (json!("MAX_TOKENS"), FinishReason::MaxTokens),
            (json!("model_length"), FinishReason::MaxTokens),
            (json!("content_filter"), FinishReason::ContentFilter),
            (json!("SAFETY"), FinishReason::ContentFilter),
            (json!("eos"), FinishReason::Stop),
            (json!(""), FinishReason::Stop),
            (json!(0), FinishReason::Stop),
        ] {
            let events = [json!({ "choices": [{ "delta": { "content": "Yes" }, "finish_reason": word }] })];
            assert_eq!(reply(&events).finish().unwrap().1, reason, "{word}");
        }
    }

    #[test]
    fn what_says_nothing_is_no_reply() {
        assert!(reply(&[]).finish().is_err());
        assert!(reply(&[json!({ "choices": [] }), json!({ "id": "x" })]).finish().is_err());
        assert!(reply(&[json!({ "choices": [{ "delta": { "role": "assistant" } }] })]).finish().is_err());
        let silent = reply(&[json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] })]);
        assert_eq!(silent.finish(), Ok((String::new(), FinishReason::Stop)));
    }

    #[test]
    fn tokens_that_a_server_does_not_report_are_estimated() {
        let usage = |usage: Value| {
            let text = json!({ "choices": [{ "message": { "content": "Yes, it is." } }], "usage": usage });
            let usage = reply(&[text]).usage(|| 9);
            (usage.input, usage.output, usage.is_estimated)
        };
        assert_eq!(usage(json!({ "prompt_tokens": 7, "completion_tokens": 2 })), (7, 2, false));
        assert_eq!(usage(json!({ "input_tokens": 7, "output_tokens": "2" })), (7, 2, false));
        assert_eq!(usage(json!({ "prompt_tokens": 7, "total_tokens": 9 })), (7, 2, false));
        assert_eq!(usage(json!({ "total_tokens": 9 })), (6, 3, true));
        assert_eq!(usage(json!(null)), (9, 3, true));
    }
}
