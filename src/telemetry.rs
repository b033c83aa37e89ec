//! Logs, metrics and traces.

mod logs;
mod recorders;
mod registry;
mod traces;

pub use logs::{Format, filter, start};
pub use recorders::*;
pub use registry::{metrics, record, take_up};
pub use traces::{flush, follow, traceparent};
