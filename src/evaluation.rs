//! Measures retrieval and answers on golden sets.

pub mod job;
pub mod metrics;
