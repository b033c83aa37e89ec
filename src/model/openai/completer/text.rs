//! The text of a reply as it arrives: without thoughts, and no longer than was asked for.

use crate::model::{Delta, OnDelta, openai::thoughts::ThoughtFilter};

/// The text of a reply.
pub(super) struct ReplyText<'a> {
    filter: ThoughtFilter,
    on_delta: Option<&'a OnDelta<'a>>,
    text: String,
    /// Bytes of the text that `on_delta` was told.
    told: usize,
    /// The most tokens.
    limit: u64,
    estimate: TokenEstimate,
}

/// An estimate that grows with the text, as [`estimate_tokens`](crate::model::estimate_tokens) counts.
#[derive(Clone, Copy, Debug, Default)]
struct TokenEstimate {
    dense: u64,
    other: u64,
}

impl TokenEstimate {
    fn add(&mut self, text: &str) {
        for character in text.chars() {
            if character >= '\u{2e80}' { self.dense += 1 } else { self.other += 1 }
        }
    }

    fn tokens(self) -> u64 {
        self.dense + self.other.div_ceil(4)
    }
}

impl<'a> ReplyText<'a> {
    /// `is_held` keeps the text back until its thoughts end.
    pub(super) fn new(is_held: bool, limit: u32, on_delta: Option<&'a OnDelta<'a>>) -> Self {
        let (filter, estimate) = (ThoughtFilter::new(is_held), TokenEstimate::default());
        Self { filter, on_delta, text: String::new(), told: 0, limit: limit.into(), estimate }
    }

    pub(super) fn add(&mut self, piece: &str) {
        let visible = self.filter.push(piece);
        if visible.is_reset {
            self.replace("");
        }
        self.append(&visible.text);
    }

    /// Whether more tokens came than any count of the limit allows.
    pub(super) fn is_too_long(&self) -> bool {
        self.estimate.tokens() > 2 * self.limit
    }

    /// The most tokens.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Whether there were thoughts, and whether they ended without a beginning.
    pub(super) fn thoughts(&self) -> (bool, bool) {
        (self.filter.has_thoughts(), self.filter.is_unopened())
    }

    /// Ends the text; `is_within` says that the server kept to the limit. Returns the text, and whether it is whole.
    pub(super) fn finish(mut self, is_within: bool) -> (String, bool) {
        let (rest, is_whole) = self.filter.finish();
        self.append(&rest);
        // An estimate may be too high by a quarter.
        if is_within || self.estimate.tokens() <= self.limit + self.limit / 4 {
            self.tell(self.text.len());
            return (self.text, is_whole);
        }
        let end = sentence_end(&self.text, self.limit);
        if self.told > end {
            let cut = self.text[..end].to_owned();
            self.replace(&cut);
        }
        self.tell(end);
        self.text.truncate(end);
        (self.text, false)
    }

    /// Tells no more than the limit: what is beyond it may be cut.
    fn append(&mut self, visible: &str) {
        self.text.push_str(visible);
        self.estimate.add(visible);
        if self.estimate.tokens() <= self.limit {
            self.tell(self.text.len());
        }
    }

    fn replace(&mut self, text: &str) {
        if let Some(on_delta) = self.on_delta.filter(|_| self.told > 0) {
            on_delta(Delta::Reset);
        }
        (self.told, self.estimate) = Default::default();
        self.text.clear();
        self.text.push_str(text);
        self.estimate.add(text);
    }

    fn tell(&mut self, end: usize) {
        if let Some(on_delta) = self.on_delta.filter(|_| end > self.told) {
            on_delta(Delta::Text(&self.text[self.told..end]));
        }
        self.told = self.told.max(end);
    }
}

/// The end of the last sentence within so many tokens, or else of the last word.
fn sentence_end(text: &str, limit: u64) -> usize {
    let mut estimate = TokenEstimate::default();
    let over = text.char_indices().find(|(start, character)| {
        estimate.add(&text[*start..*start + character.len_utf8()]);
        estimate.tokens() > limit
    });
    let most = over.map_or(text.len(), |(start, _)| start);
    let within = &text[..most];
    let ends = |(start, character): (usize, char)| {
        let end = start + character.len_utf8();
        let is_end = match character {
            '.' | '!' | '?' => text[end..].starts_with(char::is_whitespace),
            '。' | '！' | '？' => true,
            _ => false,
        };
        is_end.then_some(end)
    };
    let sentence = within.char_indices().rev().find_map(ends);
    sentence.unwrap_or_else(|| within.rfind(char::is_whitespace).unwrap_or(most))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// The text of these pieces, whether it is whole, and what a reader of the stream has in the end.
    fn read(pieces: &[&str], limit: u32, is_within: bool) -> (String, bool, String) {
        let told = Mutex::new(String::new());
        let on_delta = |delta: Delta<'_>| match delta {
            Delta::Text(text) => told.lock().unwrap().push_str(text),
            Delta::Reset => told.lock().unwrap().clear(),
        };
        let mut reply = ReplyText::new(false, limit, Some(&on_delta));
        for piece in pieces {
            reply.add(piece);
        }
        let (text, is_whole) = reply.finish(is_within);
        (text, is_whole, told.into_inner().unwrap())
    }

    #[test]
    fn a_text_within_the_limit_is_told_as_it_is() {
        let (text, is_whole, told) = read(&["<think>7</think>It holds ", "two litres."], 5, false);
        assert_eq!(
            (text.as_str(), is_whole, told.as_str()),
            ("It holds two litres.", true, "It holds two litres.")
        );
    }

    #[test]
    fn what_a_server_sends_beyond_the_limit_is_cut_at_a_sentence_also_in_the_stream() {
        let long = "It holds two litres. It is made of steel. It is blue and it never ends";
        let words: Vec<_> = long.split_inclusive(' ').collect();
        let (text, is_whole, told) = read(&words, 12, false);
        assert_eq!((text.as_str(), is_whole), ("It holds two litres. It is made of steel.", false));
        assert_eq!(told, text);
        assert_eq!(read(&words, 12, true).0, long, "the server counts in other tokens");
        assert_eq!(read(&["aaaa bbbb cccc dddd"], 2, false).0, "aaaa");
        assert_eq!(read(&["温度。温度温度温度"], 4, false).0, "温度。");
    }

    #[test]
    fn what_is_taken_back_is_taken_back_in_the_stream() {
        let (text, _, told) = read(&["It costs 7", ".</think>", "Yes."], 50, false);
        assert_eq!((text.as_str(), told.as_str()), ("Yes.", "Yes."));
    }
}
