//! Finds what changed in the catalogue.

pub mod reconcile;
pub mod report;
pub mod watch;
