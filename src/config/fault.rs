//! What is wrong with the settings, said so that it can be mended without a manual.

use std::fmt;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of the configuration file, counted from 1.
    Line(usize),
    /// An environment variable.
    Environment(String),
    /// Nowhere: the default is in force.
    Default,
}

/// One thing that is wrong: where it stands, which key it is, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where the value was written.
    pub origin: Origin,
    /// The key's full path, `source.product.poll`.
    pub path: String,
    /// What is wrong and what would be right; never holds a secret.
    pub message: String,
}

/// Every fault of one configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults {
    /// The file, as it was named by the caller.
    pub file: String,
    /// Never empty.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        write!(f, "{count} fault{} in the configuration", if count == 1 { "" } else { "s" })?;
        for fault in &self.faults {
            match &fault.origin {
                Origin::Line(line) => write!(f, "\n  {}:{line}: ", self.file)?,
                Origin::Environment(name) => write!(f, "\n  environment {name}: ")?,
                Origin::Default => write!(f, "\n  {}: ", self.file)?,
            }
            if !fault.path.is_empty() {
                write!(f, "{}: ", fault.path)?;
            }
            f.write_str(&fault.message)?;
        }
        Ok(())
    }
}

/// Suggests the candidate nearest to what was written, when one is near enough to be meant.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(written, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
