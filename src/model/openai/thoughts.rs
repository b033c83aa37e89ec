//! Takes a model's thoughts out of its text, piece by piece.
//!
//! Models that think write their thoughts between tags, or in channels, before the text that is meant for the reader. A
//! tag may be cut between two pieces. Some templates begin the thoughts themselves, so that only the closing tag is sent.

/// Tags around thoughts, in lower case.
const TAGS: [(&str, &str); 11] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|start_thinking|>", "<|end_thinking|>"),
    ("<unused94>thought", "<unused95>"),
];
/// Harmony, the format of gpt-oss: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`.
const HEADERS: [&str; 2] = ["<|channel|>", "<|start|>"];
const MESSAGE: &str = "<|message|>";
const ENDS: [&str; 5] = ["<|end|>", "<|return|>", "<|call|>", "<|channel|>", "<|start|>"];
/// The same without its special tokens, which some servers drop: `analysisThe customer…assistantfinalYes.`
const BARE_ANALYSIS: &str = "analysis";
const BARE_FINAL: &str = "assistantfinal";
/// Tokens that mark the end of a text and are no part of it.
const LEAKED: [&str; 7] =
    ["<|end|>", "<|return|>", "<|call|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<end_of_turn>"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing came yet.
    Start,
    /// All is kept until it is known whether it was thought: the model's thoughts begin without a tag.
    Held,
    Text,
    /// Until one of these.
    Thought(&'static [&'static str]),
    /// The name of a channel, until [`MESSAGE`].
    Header,
}

/// What a piece adds to the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Visible {
    /// The text so far was thought.
    pub is_reset: bool,
    pub text: String,
}

/// Takes thoughts out of one completion.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else of the text so far")]
pub(super) struct ThoughtFilter {
    state: State,
    is_held: bool,
    /// What is not decided yet.
    pending: String,
    /// Bytes of it, while it is held, in which no marker begins.
    searched: usize,
    has_text: bool,
    has_thoughts: bool,
    is_unopened: bool,
}

impl ThoughtFilter {
    /// `is_held` keeps the text back until its thoughts end.
    pub(super) fn new(is_held: bool) -> Self {
        Self {
            state: State::Start,
            is_held,
            pending: String::new(),
            searched: 0,
            has_text: false,
            has_thoughts: false,
            is_unopened: false,
        }
    }

    /// Whether there were thoughts.
    pub(super) fn has_thoughts(&self) -> bool {
        self.has_thoughts
    }

    /// Whether thoughts ended that had no beginning.
    pub(super) fn is_unopened(&self) -> bool {
        self.is_unopened
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, piece: &str) -> Visible {
        self.pending.push_str(piece);
        let mut visible = Visible::default();
        while self.step(&mut visible) {}
        visible
    }

    /// Ends the text. Returns the rest of it, and whether it is whole: thoughts that never end hide the text.
    pub(super) fn finish(&mut self) -> (String, bool) {
        let mut visible = Visible::default();
        if self.state == State::Held {
            self.release();
            while self.step(&mut visible) {}
        }
        let pending = std::mem::take(&mut self.pending);
        match self.state {
            State::Start | State::Held | State::Text => (visible.text + &pending, true),
            State::Thought(_) | State::Header => (String::new(), false),
        }
    }

    /// Decides about the beginning of what is pending; false if more is needed for that.
    fn step(&mut self, visible: &mut Visible) -> bool {
        let searched = self.searched;
        let lower = self.pending[searched..].to_ascii_lowercase();
        match self.state {
            State::Start => {
                let text = lower.trim_start();
                if text.len() <= BARE_ANALYSIS.len() && BARE_ANALYSIS.starts_with(text) {
                    return false;
                }
                // A text that is about an analysis has a space behind the word.
                let next = text.strip_prefix(BARE_ANALYSIS).and_then(|rest| rest.chars().next());
                let is_bare = next.is_some_and(char::is_alphanumeric)
                    && self.pending.trim_start()[BARE_ANALYSIS.len()..].starts_with(char::is_uppercase);
                self.state = match (is_bare, self.is_held) {
                    (true, _) => State::Thought(&[BARE_FINAL]),
                    (false, true) => State::Held,
                    (false, false) => State::Text,
                };
                self.has_thoughts |= is_bare;
                true
            }
            State::Text => self.read_text(&lower, visible),
            State::Held => {
                match earliest(&lower, markers().filter(|(_, marker)| !matches!(marker, Marker::Leaked))) {
                    Some((_, Marker::Closing, end)) => {
                        self.drop_until(searched + end);
                        self.release();
                        self.has_thoughts = true;
                        self.is_unopened = true;
                        true
                    }
                    Some(_) => {
                        self.release();
                        true
                    }
                    None => {
                        self.searched += undecided(&lower, markers().map(|(text, _)| text));
                        false
                    }
                }
            }
            State::Thought(ends) => {
                let Some((start, end, found)) = ends
                    .iter()
                    .filter_map(|end| lower.find(end).map(|start| (start, start + end.len(), *end)))
                    .min_by_key(|(start, ..)| *start)
                else {
                    let kept = undecided(&lower, ends.iter().copied());
                    self.drop_until(kept);
                    return false;
                };
                let is_header = HEADERS.contains(&found);
                self.drop_until(if is_header { start } else { end });
                self.state = State::Text;
                true
            }
            State::Header => {
                let Some(start) = lower.find(MESSAGE) else { return false };
                let name = &lower[..start];
                let channel = name.rsplit_once("<|channel|>").map(|(_, channel)| channel.trim_start());
                let is_text = channel.is_none_or(|channel| channel.starts_with("final"));
                self.state = if is_text { State::Text } else { State::Thought(&ENDS) };
                self.has_thoughts |= !is_text;
                self.drop_until(start + MESSAGE.len());
                true
            }
        }
    }

    fn read_text(&mut self, lower: &str, visible: &mut Visible) -> bool {
        let Some((start, marker, end)) = earliest(lower, markers()) else {
            let decided = undecided(lower, markers().map(|(text, _)| text));
            self.show(decided, visible);
            return false;
        };
        match marker {
            Marker::Closing => {
                // All before it was thought.
                if self.has_text || !self.pending[..start].trim().is_empty() {
                    self.is_unopened |= !self.has_thoughts;
                    visible.is_reset |= self.has_text;
                    visible.text.clear();
                    self.has_text = false;
                }
                self.has_thoughts = true;
                self.drop_until(end);
            }
            Marker::Leaked => {
                self.show(start, visible);
                self.drop_until(end - start);
            }
            Marker::Opening(close) => {
                self.show(start, visible);
                self.drop_until(end - start);
                self.has_thoughts = true;
                self.state = State::Thought(close);
            }
            Marker::Header => {
                self.show(start, visible);
                self.state = State::Header;
            }
        }
        true
    }

    fn show(&mut self, end: usize, visible: &mut Visible) {
        let shown: String = self.pending.drain(..end).collect();
        self.has_text |= !shown.trim().is_empty();
        visible.text.push_str(&shown);
    }

    /// What was held is text.
    fn release(&mut self) {
        self.state = State::Text;
        self.searched = 0;
    }

    fn drop_until(&mut self, end: usize) {
        self.pending.drain(..end);
    }
}

#[derive(Clone, Copy, Debug)]
enum Marker {
    Opening(&'static [&'static str]),
    Closing,
    Header,
    Leaked,
}

fn markers() -> impl Iterator<Item = (&'static str, Marker)> {
    let tags = TAGS.iter().flat_map(|(open, close)| {
        [(*open, Marker::Opening(std::slice::from_ref(close))), (*close, Marker::Closing)]
    });
    let headers = HEADERS.iter().map(|text| (*text, Marker::Header));
    tags.chain(headers).chain(LEAKED.iter().map(|text| (*text, Marker::Leaked)))
}

/// The first marker in a text: its start, itself and its end.
fn earliest(
    text: &str,
    markers: impl Iterator<Item = (&'static str, Marker)>,
) -> Option<(usize, Marker, usize)> {
    let found = markers.filter_map(|(marked, marker)| {
        let start = text.find(marked)?;
        Some((start, marker, start + marked.len()))
    });
    found.min_by_key(|(start, ..)| *start)
}

/// Where the end of a text begins that may be the beginning of one of these.
fn undecided(text: &str, markers: impl Iterator<Item = &'static str>) -> usize {
    let begins = |marker: &'static str| {
        let longest = text.len().min(marker.len() - 1);
        let starts = (text.len() - longest..text.len()).filter(|start| text.is_char_boundary(*start));
        starts.filter(|start| marker.starts_with(&text[*start..])).min()
    };
    markers.filter_map(begins).min().unwrap_or(text.len())
}

#[cfg(test)]
mod tests;
