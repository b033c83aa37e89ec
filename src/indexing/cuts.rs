//! Chooses where a text is cut, by the text around the cut and not by the length before it.
//!
//! Otherwise a sentence that grows would move every later cut, and every chunk would be embedded again. A chunk ends with
//! the sentence of the smallest hash among those that it could end with: texts that are equal from some sentence on are
//! soon cut at the same places.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// A piece of text that is never cut: a sentence, with the white space before it.
pub(super) struct Piece {
    /// Byte range in the text.
    pub(super) range: Range<usize>,
    /// The number of its tokens.
    pub(super) tokens: usize,
    /// Whether a paragraph ends with it.
    ends_paragraph: bool,
    /// The hash of its text.
    hash: u64,
}

/// Splits a text into sentences, and sentences of more than `most` tokens into parts of at most `part` tokens.
pub(super) fn pieces(text: &str, most: usize, part: usize, count: impl Fn(&str) -> usize) -> Vec<Piece> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let sentences = windows(text, LONGEST_LINE).flat_map(|window| {
        text[window.clone()]
            .split_sentence_bound_indices()
            .map(move |(start, sentence)| (window.start + start, sentence))
    });
    for (start, sentence) in sentences {
        // The space between two pieces belongs to the second, as in tokenizers.
        let start = ranges.last().map_or(start, |last| last.end);
        let end = start.max(sentence_end(text, start, sentence));
        if end > start {
            ranges.push(start..end);
        }
    }
    let mut pieces = Vec::new();
    for range in ranges {
        let sentence = &text[range.clone()];
        let tokens = count(sentence);
        if tokens <= most {
            pieces.push(piece(text, range, tokens));
            continue;
        }
        for (inner, tokens) in parts(sentence, part, &count) {
            pieces.push(piece(text, range.start + inner.start..range.start + inner.end, tokens));
        }
    }
    pieces
}

/// Bytes of a line within which sentences are looked for. The search may look at all that follows, for each character.
const LONGEST_LINE: usize = 16 << 10;
/// Bytes of a token, roughly: parts of so many are tried first.
const BYTES_PER_TOKEN: usize = 4;
/// Bytes in which the end of a word is looked for.
const LONGEST_WORD: usize = 64;

/// Splits a text into parts of at most `most` tokens, each with the number of its tokens. A single character may have more.
/// Takes linear time: a part that has too many is halved.
pub(super) fn parts(text: &str, most: usize, count: impl Fn(&str) -> usize) -> Vec<(Range<usize>, usize)> {
    let mut parts = Vec::new();
    for window in windows(text, most.saturating_mul(BYTES_PER_TOKEN).max(1)) {
        let mut open = vec![window];
        while let Some(range) = open.pop() {
            let (part, tokens) = (&text[range.clone()], count(&text[range.clone()]));
            let middle = part_end(part, part.len() / 2);
            if tokens <= most || middle >= part.len() {
                parts.push((range, tokens));
            } else {
                open.extend([range.start + middle..range.end, range.start..range.start + middle]);
            }
        }
    }
    parts
}

/// Splits a text into its lines, as no sentence goes on after a line, and longer lines into parts of about `most` bytes.
fn windows(text: &str, most: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = &text[start..];
        if rest.is_empty() {
            return None;
        }
        let reach = rest.len().min(most);
        let line = rest.as_bytes()[..reach].iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let length = match line {
            Some(length) => length,
            None if reach == rest.len() => reach,
            None => part_end(rest, reach),
        };
        start += length;
        Some(start - length..start)
    })
}

/// Where a part of about `most` bytes ends: before a space, else after a word, else after what is shown as one character,
/// if there is any in its second half. At least one character.
fn part_end(text: &str, most: usize) -> usize {
    let reach = text.floor_char_boundary(most);
    let near = text.floor_char_boundary(reach.saturating_sub(LONGEST_WORD))
        ..text.floor_char_boundary(reach.saturating_add(LONGEST_WORD));
    let is_far = |end: &usize| *end > most / 2 && *end > near.start && *end <= reach;
    let around = &text[near.clone()];
    let space = text[..reach].rfind(char::is_whitespace).filter(|space| *space > most / 2);
    let word = || {
        around.split_word_bound_indices().map(|(at, _)| near.start + at).take_while(|at| *at <= reach).last()
    };
    let character =
        || around.grapheme_indices(true).map(|(at, _)| near.start + at).take_while(|at| *at <= reach).last();
    let end = space.or_else(|| word().filter(is_far)).or_else(|| character().filter(is_far)).unwrap_or(reach);
    end.max(text.chars().next().map_or(1, char::len_utf8))
}

fn sentence_end(text: &str, start: usize, sentence: &str) -> usize {
    let from = sentence.as_ptr() as usize - text.as_ptr() as usize;
    start.max(from + sentence.trim_end().len())
}

fn piece(text: &str, range: Range<usize>, tokens: usize) -> Piece {
    let after = &text[range.end..];
    let white = &after[..after.len() - after.trim_start().len()];
    let ends_paragraph = white.matches('\n').count() > 1;
    let hash = blake3::hash(text[range.clone()].trim().as_bytes());
    let hash = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default());
    Piece { range, tokens, ends_paragraph, hash }
}

/// Chunks of no more than `size` tokens, as runs of pieces; neighbours share up to `overlap` tokens.
pub(super) fn cuts(pieces: &[Piece], size: usize, overlap: usize) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < pieces.len() {
        let (mut end, mut tokens, mut candidates) = (start, 0, Vec::new());
        while end < pieces.len() && (end == start || tokens + pieces[end].tokens <= size) {
            tokens += pieces[end].tokens;
            end += 1;
            // A chunk is filled at least this far.
            if 2 * tokens >= size {
                candidates.push(end);
            }
        }
        if end == pieces.len() {
            chunks.push(start..end);
            break;
        }
        let last = |end: &usize| &pieces[end - 1];
        if candidates.iter().any(|end| last(end).ends_paragraph) {
            candidates.retain(|end| last(end).ends_paragraph);
        }
        let end = candidates.into_iter().min_by_key(|end| last(end).hash).unwrap_or(end);
        chunks.push(start..end);
        let (mut next, mut shared) = (end, 0);
        while next > start + 1 && shared + pieces[next - 1].tokens <= overlap {
            shared += pieces[next - 1].tokens;
            next -= 1;
        }
        start = next;
    }
    chunks
}
