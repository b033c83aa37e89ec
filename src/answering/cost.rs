//! What models have charged for one question until now: it is owed also when there is no answer in the end. What was
//! charged in a run that is broken off, by its worker's end or because another one has the question, is not counted.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::{
    model::{
        Completion,
        rate_limit::{self, JobRef},
    },
    store::{
        Store,
        usage::{Cost, Operation},
    },
    telemetry,
};

/// Dollars for a million tokens.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Prices {
    pub input: f64,
    pub output: f64,
}

/// Adds up tokens and dollars.
#[derive(Debug, Default)]
pub struct AnswerCost {
    sums: Mutex<Sums>,
    job: Option<JobRef>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    embedding: u64,
    input: u64,
    output: u64,
    usd: f64,
}

impl AnswerCost {
    /// Of what this job asks.
    pub(crate) fn of(job: JobRef) -> Self {
        Self { job: Some(job), ..Self::default() }
    }

    /// Who waits for the models.
    pub(super) fn jobs(&self) -> &[JobRef] {
        self.job.as_slice()
    }

    /// A text was embedded, at so many dollars for a million tokens.
    pub(super) fn embedded(&self, tokens: u64, price: f64) {
        self.add(&[(tokens, price)], |sums| sums.embedding += tokens);
    }

    /// The model said something.
    pub(super) fn completed(&self, completion: &Completion, prices: Prices) {
        let Completion { input_tokens: input, output_tokens: output, .. } = *completion;
        self.add(&[(input, prices.input), (output, prices.output)], |sums| {
            sums.input += input;
            sums.output += output;
        });
    }

    /// The same for the day's sums; nothing when nothing was charged.
    pub(super) fn cost(&self) -> Option<Cost> {
        let Sums { embedding, input, output, usd } = self.sums();
        let tokens = embedding + input + output;
        (tokens > 0).then_some(Cost { operation: OPERATION, tokens, usd })
    }

    /// The same as callers see it.
    pub(super) fn usage(&self, model: &str) -> Value {
        let Sums { embedding, input, output, usd } = self.sums();
        json!({
            "embedding_tokens": embedding,
            "input_tokens": input,
            "output_tokens": output,
            "model": model,
            "cost": usd,
        })
    }

    /// Adds to the day's sums what was spent on a question that is not settled with it.
    pub async fn account(&self, store: &Store) {
        if let Some(cost) = self.cost() {
            rate_limit::note(store, cost).await;
        }
    }

    fn add(&self, parts: &[(u64, f64)], count: impl FnOnce(&mut Sums)) {
        let Cost { operation, usd, .. } = Cost::new(OPERATION, parts);
        telemetry::model_cost(operation.into(), usd);
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.usd += usd;
        count(&mut sums);
    }

    fn sums(&self) -> Sums {
        *self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it is for, in the day's sums.
const OPERATION: Operation = Operation::Answer;

/// The tokens of a text, roughly: four characters each.
pub(super) fn estimate_tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(4) as u64
}
