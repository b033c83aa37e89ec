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
//! # Where to look
//! | module | what it does |
//! |---|---|
//! | [`catalogue`] | what a document is: key, fingerprint, templates, comparison with the known rows |
//! | [`source`] | reads a shop as a catalogue: PostgreSQL by listing, polling and triggers; feeds |
//! | [`sync`] | finds what changed: `reconcile` compares a whole source, `watch` polls, and reads what triggers noted |
//! | [`indexing`] | makes the index match: `refresh` is the pipeline over a batch, `chunking` cuts texts, `fill` fills an index version, `maintain` builds HNSW indexes |
//! | [`answering`] | answers a question: `condense`, `retrieve`, `prompt`, `complete`, `grounding`; `verdict` decides between answer, refusal and hand-over, [`job`](answering::job) hands over what could not be answered |
//! | [`evaluation`] | measures retrieval and answers on golden sets |
//! | [`webhook`] | signs and sends deliveries; `address_filter` refuses private addresses, `job` retries |
//! | [`model`] | requests to models: `openai` sends them, `rate_limit` holds them back |
//! | [`job`] | what a job is; `job::retry` decides what becomes of a failed run (after a crash `queue::acknowledge` does) |
//! | [`queue`] | runs jobs: claims, leases, acknowledgements, schedules |
//! | [`store`] | every statement on our own tables, one file per aggregate; `store::status` counts documents and jobs for `cli::status` |
//! | [`http`] | the API for other services and for operators |
//! | [`console`] | the pages of operators and of people who work in the shop; `console::access` decides who may see and do what |
//! | [`retention`], [`bulk`] | delete old rows; change all jobs that a filter matched |
//! | [`cli`], [`daemon`], [`config`], `demo` | the commands, the composition root, the settings, the embedded default |
//! | [`address`], [`clock`], [`telemetry`], [`http_client`], [`pg_connection`], [`retry_hint`] | shared by all modules above |
//!
//! # Layers
//! A module imports only from layers below its own; `tests/layers.rs` lists and checks them. From the bottom: the pure
//! domain (`catalogue`, `model`, the pure files of `indexing` and `answering`); adapters that do not know each other
//! (`store`, `source`, `model::openai`, `webhook`); `job`; use cases (`sync`, `indexing`, `answering`, `evaluation`,
//! `webhook::job`, `retention`, `bulk`); edges (`queue`, `http`, `console`); the entry (`cli`, `daemon`, `config`, `demo`).
//!
//! # Glossary
//! - **source**: where documents come from, named in `jobs.toml`; **document**: one row of it, identified by its key.
//! - **revision**: raised by each noticed change of a document; **fingerprint**: a hash of all that decides its vectors.
//! - **chunk**: a part of a document's text; **index version**: the chunks with vectors of one model and dimension.
//! - **job**: work to be done once, of a **kind**, with a **key** that at most one live job has; **claim**: a worker's
//!   hold on it; **lease**: how long the claim lasts; **fence**: the number that voids writes of older claims.
//! - **retry**: again later, counted; **snooze**: again later, not counted; **dead**: given up, kept with its error.
//! - **passage**: a chunk found for a question; **citation**: a place in an answer that names one; **escalation**: a
//!   request for a human.

pub mod address;
pub mod answering;
pub mod bulk;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod daemon;
#[cfg(feature = "embedded")]
pub mod demo;
pub mod evaluation;
pub mod http;
pub mod http_client;
pub mod indexing;
pub mod job;
pub mod model;
pub mod pg_connection;
pub mod queue;
pub mod retention;
pub mod retry_hint;
pub mod source;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod webhook;
mod words;
