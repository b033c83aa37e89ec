//! The only reader of wall time, so that tests can say what time it is.

use chrono::{DateTime, Utc};

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads wall time")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
