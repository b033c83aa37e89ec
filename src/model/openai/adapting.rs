//! Asks again in another form if a server refuses a parameter by name, and learns what it accepts.

use futures::future::BoxFuture;
use reqwest::StatusCode;

use crate::model::{
    ModelError, ModelFault, RetryPermit,
    learned::{Learned, Lessons},
    openai::failure::{Failure, ResponseHints},
};

/// The result of one request: its reply, or its failure and what the response's headers say.
pub(super) type Exchange<T> = Result<T, (Failure, ResponseHints)>;

/// How requests of one kind are sent and adapted.
pub(super) trait Adaptive: Sync {
    type Reply: Send;

    /// Sends the request in the form that these lessons ask for.
    fn send<'a>(&'a self, lessons: &'a Lessons) -> BoxFuture<'a, Exchange<Self::Reply>>;

    /// Changes the form after a failure, if there is another one.
    fn adapt(&self, failure: &Failure, lessons: &mut Lessons);

    fn classify(&self, failure: Failure, hints: ResponseHints) -> ModelError;
}

/// Sends a request, and again in another form as long as there is one. Learns the form that was accepted.
pub(super) async fn ask<A: Adaptive>(
    request: &A,
    learned: &Learned,
    again: &RetryPermit<'_>,
) -> Result<A::Reply, ModelError> {
    let known = learned.lessons();
    let (mut lessons, mut tried) = (known.clone(), Vec::new());
    let mut first: Option<ModelError> = None;
    loop {
        let (failure, hints) = match request.send(&lessons).await {
            Ok(reply) => {
                if lessons != known {
                    learned.learn(|learned| *learned = lessons);
                }
                return Ok(reply);
            }
            Err(failed) => failed,
        };
        tried.push(lessons.clone());
        request.adapt(&failure, &mut lessons);
        let error = request.classify(failure, hints);
        let is_final =
            matches!(error.fault, ModelFault::Refused | ModelFault::Unavailable { has_replied: false, .. });
        // It is not known whether the form or the input was refused first.
        let spent = error.spent;
        let told = match first {
            Some(mut first) if !is_final => {
                first.spent += spent;
                first
            }
            _ => error,
        };
        if is_final || tried.contains(&lessons) || !again().await {
            return Err(told);
        }
        first = Some(told);
    }
}

/// Whether a refusal may be about the form of the request: some servers name a parameter in a 500.
pub(super) fn is_about_form(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 413 | 422 | 500 | 501)
}
