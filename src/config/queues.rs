//! `[queue.…]`: how each kind of job is run.

use std::time::Duration;

use super::{
    Backoff, QueueLimits, Queues, Span,
    reader::{Faulty, Section},
    sections::{count, seconds},
};

pub(super) fn queues(section: &Section<'_>) -> Result<Queues, Faulty> {
    let refresh_document = queue(&section.section("refresh_document"), 200, 10);
    let sync_catalogue = queue(&section.section("sync_catalogue"), 2, 10);
    let answer_question = queue(&section.section("answer_question"), 50, 10);
    let deliver_webhook = queue(&section.section("deliver_webhook"), 50, 10);
    let prune_history = queue(&section.section("prune_history"), 1, 10);
    let fill_index = queue(&section.section("fill_index"), 1, 10);
    let maintain_index = queue(&section.section("maintain_index"), 1, 10);
    let eval = queue(&section.section("eval"), 1, 10);
    section.finish();
    Ok(Queues {
        refresh_document: refresh_document?,
        sync_catalogue: sync_catalogue?,
        answer_question: answer_question?,
        deliver_webhook: deliver_webhook?,
        prune_history: prune_history?,
        fill_index: fill_index?,
        maintain_index: maintain_index?,
        eval: eval?,
    })
}

fn queue(section: &Section<'_>, running: u32, attempts: u32) -> Result<QueueLimits, Faulty> {
    let concurrency = section.get("concurrency", count(running));
    let fleet_concurrency = section.get("fleet_concurrency", 0);
    let max_attempts = section.get("max_attempts", count(attempts));
    let lease = section.get("lease", seconds(60));
    if let Ok(Span(lease)) = &lease
        && *lease < Duration::from_secs(1)
    {
        section.fault("lease", "must be at least \"1s\", so that it can be renewed in time");
    }
    let backoff = backoff(&section.section("backoff"));
    section.finish();
    Ok(QueueLimits {
        concurrency: concurrency?,
        fleet_concurrency: fleet_concurrency?,
        max_attempts: max_attempts?,
        lease: lease?,
        backoff: backoff?,
    })
}

fn backoff(section: &Section<'_>) -> Result<Backoff, Faulty> {
    let first = section.get("first", seconds(1));
    let max = section.get("max", seconds(600));
    section.finish();
    let (first, max) = (first?, max?);
    if first > max {
        return Err(section.fault("first", "must not be longer than max"));
    }
    Ok(Backoff { first, max })
}
