//! lib
pub mod answer;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod http;
pub mod index;
pub mod jobs;
pub mod model;
pub mod openai;
pub mod queue;
pub mod shop;
pub mod store;
pub mod telemetry;
