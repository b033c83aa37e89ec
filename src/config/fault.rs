//! What is wrong with the settings, explained so that the operator can correct it without a manual.

use std::{fmt, path::PathBuf};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of the file, counted from 1.
    Line(usize),
    /// An environment variable.
    Environment(String),
    /// Nowhere: the default applies.
    Default,
}

/// One fault: where it was written, which key it concerns, and what would be right.
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
    /// The file, as the caller named it.
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

/// Why the settings could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file does not exist, or may not be read.
    #[error(
        "cannot read {}: {error}\n  `shopkeeper config init` writes a commented one; --config or \
         SHOPKEEPER_CONFIG names another",
        path.display()
    )]
    #[expect(missing_docs, reason = "the message has them")]
    Unreadable { path: PathBuf, error: std::io::Error },
    /// The file has faults.
    #[error(transparent)]
    Faulty(#[from] Faults),
}

/// The candidate most like what was written, if it is similar enough to be meant.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(written, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The candidate most like what was written, as the end of a message.
pub(crate) fn did_you_mean<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(written, candidates).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}
