//! Cuts a text into chunks, counted in the embedding model's own tokens.
//!
//! The cuts fall at the ends of paragraphs and sentences where that is possible, and stay where they are when
//! something else changes (`cuts.rs`). The title stands
//! before each chunk when it is embedded, so that a chunk from the middle of a long text still says
//! what it is about. No input is ever longer than the model takes.

use text_splitter::{ChunkConfig, ChunkSizer, TextSplitter};

use crate::{
    catalogue::{Document, Fingerprint},
    indexing::{
        chunk::Chunk,
        cuts::{cuts, pieces},
        tokenizer,
    },
};

/// The embedding model's own way to count.
pub enum Tokenizer {
    /// `OpenAI`'s byte pairs, compiled in.
    Cl100kBase,
    /// A Hugging Face `tokenizer.json`, and what it is told from others by.
    File(Box<tokenizers::Tokenizer>, blake3::Hash),
}

/// The file is not a valid `tokenizer.json`.
#[derive(Debug, thiserror::Error)]
#[error("not a tokenizer.json: {0}")]
pub struct TokenizerError(#[from] tokenizers::Error);

impl Tokenizer {
    /// Reads a `tokenizer.json`. Its own truncation is switched off, since a count that stops at a
    /// limit hides what is over it.
    pub fn from_json(json: &[u8]) -> Result<Self, TokenizerError> {
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(json)?;
        tokenizer.with_truncation(None)?;
        tokenizer.with_padding(None);
        Ok(Self::File(Box::new(tokenizer), blake3::hash(json)))
    }

    /// Counts the tokens of a text, with those that the model puts around an input.
    pub fn count(&self, text: &str) -> usize {
        match self {
            Self::Cl100kBase => tokenizer::count(text),
            // A text that does not encode is counted by its bytes: more than it can have.
            Self::File(tokenizer, _) => {
                tokenizer.encode_fast(text, true).map_or(text.len(), |encoding| encoding.len())
            }
        }
    }
}

impl ChunkSizer for &Tokenizer {
    fn size(&self, chunk: &str) -> usize {
        self.count(chunk)
    }
}

/// How texts are cut.
#[expect(missing_docs, reason = "the names say it")]
pub struct Chunking {
    pub tokenizer: Tokenizer,
    /// Tokens of one chunk, title not counted.
    pub chunk_tokens: usize,
    /// Tokens that neighbouring chunks share; smaller than `chunk_tokens`.
    pub overlap: usize,
    /// Tokens of one input of the model, title counted.
    pub max_input_tokens: usize,
}

impl Chunking {
    /// Cuts a document's text. There is always at least one chunk.
    pub fn chunks(&self, document: &Document) -> Vec<Chunk> {
        let title = self.title(&document.title);
        // Most texts are one chunk, and are counted once.
        let whole = self.chunk(&title, document.text.trim());
        if whole.tokens as usize <= self.chunk_tokens.min(self.max_input_tokens) {
            return vec![whole];
        }
        let room = self.max_input_tokens.saturating_sub(self.tokenizer.count(&title) + 1).max(1);
        let size = self.chunk_tokens.min(room);
        let overlap = self.overlap.min(size.saturating_sub(1));
        let text = document.text.as_str();
        let parts = TextSplitter::new(ChunkConfig::new(size).with_sizer(&self.tokenizer));
        let part = |sentence: &str| -> Vec<_> {
            parts.chunk_indices(sentence).map(|(start, part)| start..start + part.len()).collect()
        };
        let pieces = pieces(text, size, |piece| self.tokenizer.count(piece), part);
        let mut chunks = Vec::new();
        for run in cuts(&pieces, size, overlap) {
            let content = text[pieces[run.start].range.start..pieces[run.end - 1].range.end].trim();
            let chunk = self.chunk(&title, content);
            // Pieces are counted one by one, and may come to more when they are joined.
            if chunk.tokens as usize <= self.max_input_tokens {
                chunks.push(chunk);
            } else {
                chunks.extend(parts.chunks(content).map(|part| self.chunk(&title, part)));
            }
        }
        chunks
    }

    /// A title longer than half an input would leave no room for the text: its beginning is kept.
    fn title<'a>(&self, title: &'a str) -> std::borrow::Cow<'a, str> {
        let most = (self.max_input_tokens / 2).max(1);
        // No token is shorter than a byte.
        if title.len() <= most || self.tokenizer.count(title) <= most {
            return title.into();
        }
        let splitter = TextSplitter::new(ChunkConfig::new(most).with_sizer(&self.tokenizer));
        splitter.chunks(title).next().unwrap_or_default().to_owned().into()
    }

    fn chunk(&self, title: &str, content: &str) -> Chunk {
        // A text that begins with its title says it once.
        let input = if title.is_empty() || content.starts_with(title) {
            content.to_owned()
        } else if content.is_empty() {
            title.to_owned()
        } else {
            format!("{title}\n{content}")
        };
        let tokens = u32::try_from(self.tokenizer.count(&input)).unwrap_or(u32::MAX);
        Chunk { content: content.to_owned(), input, tokens }
    }

    /// Identifies all that decides a document's vectors: its title and text, and these settings.
    /// `model` names the embedding model; two documents with one fingerprint need no second request.
    pub fn fingerprint(&self, document: &Document, model: &str) -> Fingerprint {
        let mut hash = blake3::Hasher::new();
        for part in [model, &self.settings(), &document.title, &document.text] {
            hash.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        Fingerprint(*hash.finalize().as_bytes())
    }

    /// Identifies these settings.
    pub fn settings(&self) -> String {
        let tokenizer = match &self.tokenizer {
            Tokenizer::Cl100kBase => "cl100k_base".to_owned(),
            Tokenizer::File(_, digest) => digest.to_string(),
        };
        format!("{} {} {} {tokenizer}", self.chunk_tokens, self.overlap, self.max_input_tokens)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    proptest! {
        #[test]
        fn tokens_are_counted_as_the_model_counts_them(text in "(\\PC|[a-z]{1,9} |[0-9]|\\s|'[a-z]){0,40}") {
            let expected = tiktoken_rs::cl100k_base_singleton().encode_ordinary(&text).len();
            prop_assert_eq!(Tokenizer::Cl100kBase.count(&text), expected);
        }
    }

    fn document(title: &str, text: &str) -> Document {
        let metadata = RawValue::from_string("{}".to_owned()).unwrap();
        Document {
            key: "1".into(),
            title: title.into(),
            text: text.into(),
            link: None,
            sku: None,
            metadata,
            row_hash: 1,
        }
    }

    fn chunking(chunk_tokens: usize, overlap: usize, max_input_tokens: usize) -> Chunking {
        Chunking { tokenizer: Tokenizer::Cl100kBase, chunk_tokens, overlap, max_input_tokens }
    }

    #[test]
    fn a_short_text_is_one_chunk_with_its_title_before_it() {
        let chunks = chunking(300, 50, 8192).chunks(&document("Tent", "Sleeps two."));
        assert_eq!(chunks.len(), 1);
        assert_eq!(
            (chunks[0].content.as_str(), chunks[0].input.as_str()),
            ("Sleeps two.", "Tent\nSleeps two.")
        );
    }

    #[test]
    fn a_title_that_the_text_begins_with_is_not_said_twice() {
        let chunks = chunking(300, 50, 8192).chunks(&document("Tent", "Tent. Sleeps two."));
        assert_eq!(chunks[0].input, "Tent. Sleeps two.");
    }

    #[test]
    fn a_document_without_text_is_found_by_its_title() {
        assert_eq!(chunking(300, 50, 8192).chunks(&document("Tent", ""))[0].input, "Tent");
    }

    #[test]
    fn long_texts_are_cut_at_sentence_ends_and_neighbours_share_some() {
        let text = (1..=60).map(|n| format!("Sentence number {n} is here.")).collect::<Vec<_>>().join(" ");
        let chunks = chunking(50, 15, 8192).chunks(&document("T", &text));
        assert!(chunks.len() > 5);
        for pair in chunks.windows(2) {
            assert!(pair[0].content.ends_with('.'), "{:?}", pair[0].content);
            let last = pair[0].content.rsplit_terminator('.').next().unwrap();
            assert!(pair[1].content.contains(last.trim()), "{pair:?}");
        }
    }

    #[test]
    fn a_sentence_that_grows_changes_few_chunks() {
        let chunking = chunking(300, 50, 8192);
        let text = |grown: usize| -> String {
            let sentence = |n| {
                let more =
                    if n == grown { "and has grown by quite a few more words than it had" } else { "" };
                format!("Sentence number {n} says something of its own {more} about {}. ", n * n)
            };
            (1..=320).map(sentence).collect()
        };
        let before: Vec<_> = chunking.chunks(&document("T", &text(0))).iter().map(Chunk::hash).collect();
        assert!((18..32).contains(&before.len()), "{}", before.len());
        let changed = (20..300).map(|grown| {
            let after = chunking.chunks(&document("T", &text(grown)));
            after.iter().filter(|chunk| !before.contains(&chunk.hash())).count()
        });
        let mut changed: Vec<_> = changed.collect();
        changed.sort_unstable();
        assert!(changed[changed.len() * 95 / 100] <= 3, "{changed:?}");
    }

    #[test]
    fn the_fingerprint_changes_with_the_text_the_title_the_model_and_the_settings() {
        let of = |chunking: &Chunking, title: &str, text: &str, model: &str| {
            chunking.fingerprint(&document(title, text), model)
        };
        let (a, b) = (chunking(300, 50, 8192), chunking(200, 50, 8192));
        let all = [
            of(&a, "t", "x", "m"),
            of(&a, "tx", "", "m"),
            of(&a, "t", "y", "m"),
            of(&a, "t", "x", "n"),
            of(&b, "t", "x", "m"),
        ];
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), all.len());
        assert_eq!(all[0], of(&a, "t", "x", "m"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_input_is_longer_than_the_model_takes_and_no_word_is_lost(
            title in "[a-zé]{0,8}( [a-zé]{1,8}){0,30}",
            text in "([a-zß]{1,9}[ .,\n]{1,2}){0,120}",
        ) {
            let chunking = chunking(30, 8, 40);
            let chunks = chunking.chunks(&document(&title, &text));
            let mut words = text.split_whitespace().peekable();
            for chunk in &chunks {
                prop_assert!(chunk.tokens <= 40, "{} tokens in {:?}", chunk.tokens, chunk.input);
                for word in chunk.content.split_whitespace() {
                    words.next_if(|next| next.contains(word) || word.contains(*next));
                }
            }
            prop_assert_eq!(words.count(), 0);
        }
    }
}
