//! What is searched: documents cut into chunks, each with a vector.

/// A part of a document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The part itself, without the title.
    pub content: String,
    /// What is embedded: the title, then the part.
    pub input: String,
    /// Tokens of `input`.
    pub tokens: u32,
}

impl Chunk {
    /// Identifies what is embedded. Chunks of one model with the same hash have the same vector.
    pub fn hash(&self) -> InputHash {
        let mut hash = [0; 16];
        blake3::Hasher::new().update(self.input.as_bytes()).finalize_xof().fill(&mut hash);
        InputHash(hash)
    }
}

/// The first half of the BLAKE3 hash of a chunk's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputHash(pub [u8; 16]);

/// A chunk with its vector, at its place.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EmbeddedChunk {
    /// Its place in the document, from 1.
    pub ordinal: i32,
    pub chunk: Chunk,
    pub hash: InputHash,
    /// As many numbers as the model has dimensions.
    pub vector: Vec<f32>,
}

/// What is to be in the index of one document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunks {
    /// In the index already, perhaps at another place.
    pub kept: Vec<(i32, InputHash)>,
    /// New.
    pub fresh: Vec<EmbeddedChunk>,
}
