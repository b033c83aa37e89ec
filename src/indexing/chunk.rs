//! Chunks: the parts of documents that are embedded and searched.

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
    /// Identifies the input. Chunks of one model with the same hash have the same vector.
    pub fn hash(&self) -> InputHash {
        let mut hash = [0; 16];
        blake3::Hasher::new().update(self.input.as_bytes()).finalize_xof().fill(&mut hash);
        InputHash(hash)
    }
}

/// The first half of the BLAKE3 hash of a chunk's input.
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
