//! What a request for embeddings may hold.

/// What one request may hold.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Inputs.
    pub inputs: usize,
    /// Tokens of all inputs together; a single input may be over it, since it cannot be cut.
    pub tokens: u64,
}
