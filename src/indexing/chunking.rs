//! Cuts a text into chunks, counted in the embedding model's own tokens.
//!
//! Cuts fall at the ends of paragraphs and sentences if possible, and stay where they are when another part of the text
//! changes (`cuts.rs`). The title is embedded before each chunk, so that a chunk from the middle of a long text still has
//! its subject. No input is longer than the model's limit.

use crate::{
    catalogue::{Document, Fingerprint},
    indexing::{
        chunk::Chunk,
        cuts::{cuts, parts, pieces},
        tokenizer,
    },
    model::InputForm,
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

    /// Counts the tokens of a prefix.
    pub fn prefix_tokens(&self, form: &InputForm) -> usize {
        if form.prefix.is_empty() { 0 } else { self.count(&form.prefix) }
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

/// A chunk of a text without sentences has at least so many parts, unless the overlap is larger than such a part.
const LEAST_PARTS: usize = 6;

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
    /// What the model wants with each document.
    pub form: InputForm,
    /// Tokens that each input leaves free: at least those of the form's prefix. Two models with the same chunks leave free
    /// what the longer prefix takes.
    pub reserved: usize,
}

impl Chunking {
    /// Cuts a document's text. There is always at least one chunk.
    pub fn chunks(&self, document: &Document) -> Vec<Chunk> {
        let title = self.title(&document.title);
        // Most texts are one chunk, and are counted once.
        let whole = self.chunk(&title, document.text.trim());
        let also_reserved = self.also_reserved();
        let length = |chunk: &Chunk| chunk.tokens as usize + also_reserved;
        if length(&whole) <= self.chunk_tokens.min(self.max_input_tokens) {
            return vec![whole];
        }
        let beside = self.tokenizer.count(&title) + self.reserved;
        let room = self.max_input_tokens.saturating_sub(beside + 1).max(1);
        let size = self.chunk_tokens.min(room);
        let overlap = self.overlap.min(size.saturating_sub(1));
        let text = document.text.as_str();
        let count = |text: &str| self.tokenizer.count(text);
        // Small enough that neighbours can share some, and that chunks of them are nearly full.
        let part = overlap.clamp(size.div_ceil(LEAST_PARTS), size);
        let pieces = pieces(text, size, part, count);
        let mut chunks = Vec::new();
        for run in cuts(&pieces, size, overlap) {
            let content = text[pieces[run.start].range.start..pieces[run.end - 1].range.end].trim();
            let chunk = self.chunk(&title, content);
            // Pieces are counted one by one, and may come to more when they are joined.
            if length(&chunk) <= self.max_input_tokens {
                chunks.push(chunk);
            } else {
                let parts = parts(content, size / 2, count).into_iter();
                chunks.extend(parts.map(|(part, _)| self.chunk(&title, content[part].trim())));
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
        let parts = parts(title, most, |text| self.tokenizer.count(text));
        parts.first().map_or("", |(part, _)| title[part.clone()].trim()).into()
    }

    fn prefix_tokens(&self) -> usize {
        self.tokenizer.prefix_tokens(&self.form)
    }

    /// What is reserved beyond the prefix.
    fn also_reserved(&self) -> usize {
        self.reserved.saturating_sub(self.prefix_tokens())
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
        let count = self.tokenizer.count(&input) + self.prefix_tokens();
        let tokens = u32::try_from(count).unwrap_or(u32::MAX);
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
        let form = if self.form.is_plain() { String::new() } else { format!(" {}", self.form.text()) };
        let reserved = match self.also_reserved() {
            0 => String::new(),
            more => format!(" +{more}"),
        };
        let Self { chunk_tokens, overlap, max_input_tokens, .. } = self;
        format!("{chunk_tokens} {overlap} {max_input_tokens} {tokenizer}{form}{reserved}")
    }
}

#[cfg(test)]
mod tests;
