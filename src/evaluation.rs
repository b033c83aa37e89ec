//! Measures retrieval and answers on golden sets.

pub mod compare;
pub mod fit;
pub mod golden;
pub mod job;
pub mod metrics;
pub mod threshold;
