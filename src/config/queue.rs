//! `[queue.…]`: how many jobs of each kind run at once, and how often they are retried.

use std::time::Duration;

use super::defaults::{at_least_one, seconds};
use super::{ReadError, Section, table};
use crate::job::Backoff;
use crate::queue::{self, Limits};

table! {
    /// `[queue.…]`: one section for each kind of job.
    pub struct Queues, section {
        refresh_document: Limits = table(),
        sync_catalogue: Limits = table(),
        answer_question: Limits = table(),
        deliver_webhook: Limits = table(),
        prune_history: Limits = table(),
        fill_index: Limits = table(),
        maintain_index: Limits = table(),
        eval: Limits = table(),
        change_jobs: Limits = table(),
    }
}

table! {
    Limits, section {
        concurrency: with(|section, key| at_least_one(section, key, match section.path() {
            "queue.refresh_document" => 200,
            "queue.answer_question" | "queue.deliver_webhook" => 50,
            "queue.sync_catalogue" => 2,
            _ => 1,
        })),
        fleet_concurrency: get(None::<u32>),
        max_attempts: with(|section, key| at_least_one(section, key, 10)),
        ahead: hidden(|_: &Section<'_>, _: &str| Ok(queue::AHEAD)),
        lease: with(lease),
        backoff: table(),
    }
}

fn lease(section: &Section<'_>, key: &str) -> Result<Duration, ReadError> {
    section.checked(key, seconds(60), |lease| {
        let is_renewable = *lease >= seconds(1);
        is_renewable
            .then_some(())
            .ok_or("must be at least \"1s\", so that it can be renewed in time".to_owned())
    })
}

table! {
    Backoff, section { first: get(seconds(1)), max: get(seconds(600)) }
    check {
        if let (Ok(first), Ok(max)) = (&first, &max) && first > max {
            section.fault("first", "must not be longer than max");
        }
    }
}
