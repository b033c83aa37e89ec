//! Makes the index match the catalogue.

pub mod batching;
pub mod chunk;
pub mod chunking;
mod cuts;
pub mod fill;
pub mod maintain;
pub mod refresh;
mod tokenizer;
pub mod versions;
