//! Finds what changed in the catalogue.

pub mod reconcile;
pub mod watch;
