//! What is searched: documents cut into chunks, each with a vector.

pub mod batching;
pub mod chunking;

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

/// A chunk with its vector.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedChunk {
    /// The chunk.
    pub chunk: Chunk,
    /// As many numbers as the model has dimensions.
    pub vector: Vec<f32>,
}
