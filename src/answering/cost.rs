//! What models have charged for one question so far, also if it is never answered. A run that is broken off, because its
//! worker ends or another one has the question, is not counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{
    answering::object::AnswerUsage,
    model::{
        TokenUsage,
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
    sums: Mutex<AnswerUsage>,
    job: Option<JobRef>,
}

impl AnswerCost {
    /// Counts the requests of this job.
    pub(crate) fn for_job(job: JobRef) -> Self {
        Self { job: Some(job), ..Self::default() }
    }

    /// Counts a part of the same work apart, until it is [added](Self::add_part).
    pub(crate) fn part(&self) -> Self {
        Self { job: self.job, ..Self::default() }
    }

    /// Adds what a part has cost.
    pub(crate) fn add_part(&self, part: &Self) {
        let (mut sums, part) = (self.sums(), part.sums());
        sums.embedding_tokens += part.embedding_tokens;
        sums.rerank_tokens += part.rerank_tokens;
        sums.input_tokens += part.input_tokens;
        sums.output_tokens += part.output_tokens;
        sums.cost += part.cost;
        sums.estimated |= part.estimated;
    }

    pub(super) fn jobs(&self) -> &[JobRef] {
        self.job.as_slice()
    }

    /// Adds the embedding of a text, at a price in dollars for a million tokens; estimated if the server does not say.
    pub(super) fn add_embedding(&self, reported: Option<u64>, estimate: u64, price: f64) {
        let tokens = reported.unwrap_or(estimate);
        let mut sums = self.add(&[(tokens, price)]);
        sums.embedding_tokens += tokens;
        sums.estimated |= reported.is_none();
    }

    /// The same for a reranking.
    pub(super) fn add_reranking(&self, reported: Option<u64>, estimate: u64, price: f64) {
        let tokens = reported.unwrap_or(estimate);
        let mut sums = self.add(&[(tokens, price)]);
        sums.rerank_tokens += tokens;
        sums.estimated |= reported.is_none();
    }

    pub(super) fn add_completion(&self, usage: TokenUsage, prices: Prices) {
        let TokenUsage { input, output, is_estimated } = usage;
        let mut sums = self.add(&[(input, prices.input), (output, prices.output)]);
        sums.input_tokens += input;
        sums.output_tokens += output;
        sums.estimated |= is_estimated;
    }

    /// The sums for the usage of the day; `None` if nothing was charged.
    pub(super) fn cost(&self) -> Option<Cost> {
        let sums = self.sums();
        let tokens = sums.embedding_tokens + sums.rerank_tokens + sums.input_tokens + sums.output_tokens;
        (tokens > 0).then_some(Cost { operation: OPERATION, tokens, usd: sums.cost })
    }

    /// The sums as callers see them.
    pub fn usage(&self, model: &str) -> AnswerUsage {
        AnswerUsage { model: model.to_owned(), ..self.sums().clone() }
    }

    /// Adds what was spent on a question that is not settled with it to the usage of the day.
    pub async fn account(&self, store: &Store) {
        if let Some(cost) = self.cost() {
            rate_limit::note(store, cost).await;
        }
    }

    fn add(&self, parts: &[(u64, f64)]) -> MutexGuard<'_, AnswerUsage> {
        let Cost { operation, usd, .. } = Cost::new(OPERATION, parts);
        telemetry::model_cost(operation.into(), usd);
        let mut sums = self.sums();
        sums.cost += usd;
        sums
    }

    fn sums(&self) -> MutexGuard<'_, AnswerUsage> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const OPERATION: Operation = Operation::Answer;
