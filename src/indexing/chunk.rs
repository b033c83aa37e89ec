//! Chunks: the parts of documents that are embedded and searched.

use crate::model::InputForm;

/// A part of a document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The part, without the title.
    pub content: String,
    /// The text to embed: the title, then the part.
    pub input: String,
    /// Tokens of `input`.
    pub tokens: u32,
}

impl Chunk {
    /// Identifies the vector. Chunks of one model with the same hash have the same one.
    pub fn hash(&self, form: &InputForm) -> InputHash {
        let mut hash = blake3::Hasher::new();
        if !form.is_plain() {
            hash.update(form.text().as_bytes()).update(&[0]);
        }
        let mut half = [0; 16];
        hash.update(self.input.as_bytes()).finalize_xof().fill(&mut half);
        InputHash(half)
    }
}

/// The first half of the BLAKE3 hash of a chunk's input, and of what the model wants with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputHash(pub [u8; 16]);

/// A chunk with its vector and its place.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EmbeddedChunk {
    /// Its place in the document, from 1.
    pub ordinal: i32,
    pub chunk: Chunk,
    pub hash: InputHash,
    /// As long as the model's dimension.
    pub vector: Vec<f32>,
}

/// The chunks that the index must hold of one document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunks {
    /// Chunks that the index has, perhaps at another place.
    pub kept: Vec<(i32, InputHash)>,
    /// Chunks that it does not have.
    pub fresh: Vec<EmbeddedChunk>,
}
