//! Embeds chunks in one request, and in more if that fails: the inputs that the server cannot embed are isolated, and the
//! others pass.

use async_stream::stream;
use futures::Stream;

use crate::{
    indexing::{
        refresh::{RefreshDocument, embed::WantedChunk},
        versions::Version,
    },
    job::{JobError, OUTAGE},
    model::{ModelError, ModelFault, rate_limit::AskError},
};

/// Embedded to find out whether the server embeds anything.
const PROBE: &str = "shopkeeper";

/// The result of each of some chunks, in their order.
pub(super) type Embedded<'a> = (&'a [WantedChunk], Vec<Result<Vec<f32>, JobError>>);

/// What is known of a server while a batch is embedded.
#[derive(Default)]
struct Findings {
    /// Whether it embeds other inputs: then a failure is the fault of one of the request's.
    is_proven: bool,
    /// Whether it refused several inputs, and none of them alone.
    has_refused_many: bool,
    has_culprit: bool,
    largest_passed: usize,
}

/// What to do after a failed request.
enum Next {
    /// The same again, in another form.
    Again,
    Split,
    /// The only input is to blame, or none is.
    Fail(JobError),
    /// Nothing can be embedded now.
    FailAll(JobError),
}

impl RefreshDocument {
    /// Embeds chunks; yields them in parts as they pass or fail.
    ///
    /// One input that the server fails on costs twice as many requests as the chunks can be halved, and a probe: a word
    /// that must pass shows that the server is not down.
    pub(super) fn isolate<'a>(
        &'a self,
        version: &'a Version,
        chunks: &'a [WantedChunk],
    ) -> impl Stream<Item = Embedded<'a>> + Send + 'a {
        stream! {
            let mut findings = Findings::default();
            let mut parts = vec![chunks];
            while let Some(part) = parts.pop() {
                let most = version.model.most_inputs();
                if part.len() > most {
                    parts.extend(part.chunks(most).rev());
                    continue;
                }
                let error = match self.ask(version, part).await {
                    Ok(vectors) => {
                        findings.is_proven = true;
                        findings.largest_passed = findings.largest_passed.max(part.len());
                        findings.has_culprit |= vectors.iter().any(Result::is_err);
                        let blamed = |vector: Result<_, ModelError>| vector.map_err(|error| blame(&error));
                        yield (part, vectors.into_iter().map(blamed).collect());
                        continue;
                    }
                    Err(error) => error,
                };
                match self.next(version, part, error, &mut findings).await {
                    Next::Again => parts.push(part),
                    Next::Split => {
                        let half = part.len().div_ceil(2).min(version.model.most_inputs());
                        parts.extend(part.chunks(half).rev());
                    }
                    Next::Fail(error) => yield (part, vec![Err(error); part.len()]),
                    Next::FailAll(error) => {
                        for part in std::iter::once(part).chain(parts.drain(..)) {
                            yield (part, vec![Err(error.clone()); part.len()]);
                        }
                    }
                }
            }
            // No input was to blame, so there were too many.
            if findings.has_refused_many && !findings.has_culprit && findings.largest_passed > 0 {
                let most = findings.largest_passed;
                version.model.embedder.learned().learn(|lessons| lessons.max_inputs = Some(most));
            }
        }
    }

    async fn next(
        &self,
        version: &Version,
        part: &[WantedChunk],
        error: AskError,
        findings: &mut Findings,
    ) -> Next {
        let error = match error {
            AskError::Model(error) if error.may_blame_an_input() => error,
            other => return Next::FailAll(other.into()),
        };
        let is_alone = part.len() == 1;
        findings.has_refused_many |= !is_alone && error.fault == ModelFault::Rejected;
        let is_down = matches!(error.fault, ModelFault::Unavailable { .. });
        if !findings.is_proven && (!is_alone || is_down) {
            let form = version.model.embedder.learned().lessons();
            match self.probe(version, part).await {
                Ok(()) => findings.is_proven = true,
                Err(AskError::Model(probe)) => return Next::FailAll(no_input(&error, probe)),
                Err(withheld) => return Next::FailAll(withheld.into()),
            }
            let found = version.model.embedder.learned().lessons();
            let same = (form.encoding_format, form.dimensions_parameter);
            if same != (found.encoding_format, found.dimensions_parameter) {
                return Next::Again;
            }
        }
        if !is_alone {
            return Next::Split;
        }
        findings.has_culprit = true;
        Next::Fail(blame(&error))
    }

    async fn probe(&self, version: &Version, part: &[WantedChunk]) -> Result<(), AskError> {
        let jobs: Vec<_> = part.iter().flat_map(|wanted| &wanted.jobs).copied().collect();
        self.request(version, &[PROBE.to_owned()], 1, &jobs).await.map(drop)
    }
}

/// The error of a document whose input alone the server fails on.
fn blame(error: &ModelError) -> JobError {
    match error.fault {
        ModelFault::Rejected => error.clone().into(),
        _ => JobError::Faulty(error.to_string()),
    }
}

/// The error of all inputs if the probe fails, too.
fn no_input(error: &ModelError, probe: ModelError) -> JobError {
    match probe.fault {
        // No input can be right: it is a setting.
        ModelFault::Rejected => {
            let reason = format!("{probe}; it rejects any input, so a setting must be wrong");
            JobError::Snooze { after: 12 * OUTAGE, reason }
        }
        // It may be a fault of the server that passes: the documents have all their attempts.
        ModelFault::Nonsense => JobError::Retry(error.to_string()),
        ModelFault::Refused | ModelFault::Unavailable { .. } => probe.into(),
    }
}
