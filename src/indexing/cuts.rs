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

/// Splits a text into sentences, and sentences longer than `most` tokens with `part`.
pub(super) fn pieces(
    text: &str,
    most: usize,
    count: impl Fn(&str) -> usize,
    part: impl Fn(&str) -> Vec<Range<usize>>,
) -> Vec<Piece> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (start, sentence) in text.split_sentence_bound_indices() {
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
        for inner in part(sentence) {
            let inner = range.start + inner.start..range.start + inner.end;
            let tokens = count(&text[inner.clone()]);
            pieces.push(piece(text, inner, tokens));
        }
    }
    pieces
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
