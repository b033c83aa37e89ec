//! The answer, whole or streamed.

use serde_json::{Value, json};

use super::{CHARS_PER_TOKEN, Prompt, count_tokens};
use crate::demo::models::reply::Reply;

impl Prompt {
    /// Writes the answer, cut at the allowed number of tokens.
    pub(crate) fn answer(&self, text: &str, has_choice: bool) -> Reply {
        let (text, finish_reason) = self.cut(text);
        let prompt_tokens = self.messages.iter().map(|message| count_tokens(&message.text)).sum::<usize>();
        let completion_tokens = count_tokens(text);
        let usage = json!({
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        });
        let choices = |part: &str, value: Value, finish_reason: Option<&str>| {
            let choice = json!({"index": 0, part: value, "logprobs": null, "finish_reason": finish_reason});
            if has_choice { vec![choice] } else { Vec::new() }
        };
        // Answers do not depend on the time, so all were created at 0.
        let envelope = |object: &str, choices: Vec<Value>| json!({"id": self.id, "object": object, "created": 0, "model": self.model, "choices": choices});
        if self.stream != Some(true) {
            let message = json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
            let mut body = envelope("chat.completion", choices("message", message, Some(finish_reason)));
            body["usage"] = usage;
            return Reply::json(body.to_string());
        }
        let with_usage =
            self.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true));
        let chunk = |choices| {
            let mut chunk = envelope("chat.completion.chunk", choices);
            if with_usage {
                chunk["usage"] = Value::Null;
            }
            chunk
        };
        // The role, each word, the finish reason, the usage if requested, and the end mark.
        let role = json!({"role": "assistant", "content": "", "refusal": null});
        let mut events = vec![chunk(choices("delta", role, None))];
        let words = text.split_inclusive(' ');
        events.extend(words.map(|word| chunk(choices("delta", json!({"content": word}), None))));
        events.push(chunk(choices("delta", json!({}), Some(finish_reason))));
        if with_usage {
            let mut last = chunk(Vec::new());
            last["usage"] = usage;
            events.push(last);
        }
        Reply::events(events.iter().map(Value::to_string).chain(["[DONE]".to_owned()]))
    }

    fn cut<'text>(&self, text: &'text str) -> (&'text str, &'static str) {
        let limit = self.max_tokens.map(|tokens| tokens.saturating_mul(CHARS_PER_TOKEN));
        match limit.and_then(|limit| text.char_indices().nth(limit)) {
            Some((end, _)) => (&text[..end], "length"),
            None => (text, "stop"),
        }
    }
}
