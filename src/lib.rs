//! Keeps a shop's embeddings equal to its catalogue in PostgreSQL, and answers queued questions from them.
//!
//! ```text
//!  shop catalogue ─► detect changes ─► queue ─► read ► render ► chunk ► embed ─► replace chunks
//!  (Postgres, feed)   (poll, trigger,  (Postgres)                    (batched)   (one short transaction)
//!                      reconcile)
//!
//!  other services ─► ask (HTTP, SQL) ─► queue ─► condense ► retrieve ► prompt ► complete ► judge ─► settle ─► deliver
//! ```
//!
//! # Layers
//! A module imports only from layers below its own; `tests/layers.rs` holds it.
//!
//! | layer | modules |
//! |---|---|
//! | entry | [`cli`], [`daemon`], `embedded`, `bench` |
//! | edges | [`http`], [`queue`] |
//! | apart | `offline`: the model server for demo and tests |
//! | use cases | [`jobs`] |
//! | adapters | [`store`], [`shop`], [`openai`], [`webhook`] |
//! | domain, pure | [`catalogue`], [`model`], [`index`], [`answer`] |
//! | side | [`clock`], [`telemetry`], [`retry_hint`], [`tls`], [`wire`], [`config`] (read by the entry only) |
//!
//! # Glossary
//! - **source**: where documents come from, named in `jobs.toml`; **document**: one row of it, told apart by its key.
//! - **revision**: raised by each change of a document that was noticed; **fingerprint**: of all that decides its
//!   vectors.
//! - **chunk**: a part of a document's text; **index version**: the chunks with vectors of one model and dimension.
//! - **job**: work to be done once, of a **kind**, with a **key** that at most one live job has; **claim**: a worker's
//!   hold on it; **lease**: how long that holds; **fence**: the number that voids what an older claim writes.
//! - **retry**: again later, counted; **snooze**: again later, not counted; **dead**: given up, kept with its error.
//! - **passage**: a chunk found for a question; **citation**: a place in an answer that names one; **escalation**: a
//!   human is asked for.

pub mod answer;
#[cfg(feature = "embedded")]
pub mod bench;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod http;
pub mod index;
pub mod jobs;
pub mod model;
#[cfg(feature = "embedded")]
pub mod offline;
pub mod openai;
pub mod queue;
pub mod retry_hint;
pub mod shop;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod webhook;
pub mod wire;
