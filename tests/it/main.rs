//! The whole of shopkeeper on a real PostgreSQL with pgvector and a real model server on loopback.
//!
//! One server serves the whole run; each test has databases of its own, made from a template.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "transactions of a test's own pool are given up with the test"
)]
#![expect(clippy::format_push_string, clippy::format_collect, reason = "short texts, and plainer so")]

mod answers;
mod api;
mod auth;
mod batches;
mod browser;
mod budget;
mod chaos;
mod cli;
mod clients;
mod coalescing;
mod conformance;
mod console;
mod console_access;
mod console_bulk;
mod constraints;
mod definer;
mod demo;
mod doctor;
mod eval;
mod exit_codes;
mod families;
mod faults;
mod feed;
mod filters;
mod given_up;
mod growth;
mod guard;
mod health;
mod hostile;
mod hosts;
mod lifecycle;
mod locks;
mod manual;
mod mariadb;
mod migrations;
mod models;
mod mysql;
mod nets;
mod operating;
mod outdated;
mod polling;
mod poolers;
mod prelude;
mod proxy;
mod queue;
mod queue_control;
mod queue_ends;
mod readable;
mod reading;
mod refresh;
mod refusals;
mod rows;
mod running;
mod sandbox;
mod schedules;
mod schema;
mod server;
mod session_chaos;
mod sessions;
mod shop_ddl;
mod shops;
mod silence;
mod steps;
mod stream;
mod support;
mod sync;
mod taking;
mod thoughts;
mod triggers;
mod two_views;
mod versions;
mod visitor;
mod webhooks;
mod worker;
