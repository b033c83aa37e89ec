//! Exit codes: what a service manager or a script learns from how a verb ended.

use crate::store::{Store, StoreError};
use crate::{
    catalogue::CatalogueError,
    config::ConfigError,
    daemon::Parts,
    daemon::plan::PlanError,
    job::JobError,
    model::{ModelError, ModelFault},
    store::jobs::WaitsFor,
    sync::report::SyncError,
};

const FAILED: u8 = 1;
const CONFIGURATION: u8 = 2;
pub(super) const UNREACHABLE: u8 = 3;
pub(super) const REFUSED: u8 = 4;

/// An error with its own exit code. Errors without a known cause end with `FAILED`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Exit {
    pub(super) code: u8,
    pub(super) message: String,
}

impl Exit {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: CONFIGURATION, message: message.into() }
    }
}

pub(super) fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(FAILED)
}

fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(Exit { code, .. }) = cause.downcast_ref() {
        return Some(*code);
    }
    if cause.is::<ConfigError>() {
        return Some(CONFIGURATION);
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return matches!(error, StoreError::Unreachable(_)).then_some(UNREACHABLE);
    }
    if let Some(error) = cause.downcast_ref::<ModelError>() {
        let is_down = matches!(error.fault, ModelFault::Unavailable { .. } | ModelFault::Refused);
        return is_down.then_some(UNREACHABLE);
    }
    if let Some(error) = cause.downcast_ref::<CatalogueError>() {
        return Some(match error {
            CatalogueError::Unreachable { .. } => UNREACHABLE,
            CatalogueError::Broken { .. } => FAILED,
            CatalogueError::Misfit { .. } => CONFIGURATION,
        });
    }
    if let Some(error) = cause.downcast_ref::<JobError>() {
        return match error {
            // A dependency is unavailable for now.
            JobError::Snooze { .. } | JobError::Withheld { by: WaitsFor::RateLimit(_), .. } => {
                Some(UNREACHABLE)
            }
            JobError::Withheld { .. } => Some(REFUSED),
            JobError::Retry(_)
            | JobError::Faulty(_)
            | JobError::Dead(_)
            | JobError::Unfit(_)
            | JobError::Rejected { .. }
            | JobError::LeaseLost => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<PlanError>() {
        return match error {
            PlanError::Sync(error) => code_of(error),
            PlanError::Read(error) => code_of(error),
        };
    }
    match cause.downcast_ref::<SyncError>()? {
        SyncError::MassDelete { .. } => Some(REFUSED),
        SyncError::Unknown(_) => Some(CONFIGURATION),
        SyncError::Busy(_) => Some(FAILED),
        SyncError::Catalogue(error) => code_of(error),
        SyncError::Store(error) => code_of(error),
    }
}

/// The error of a wait that was given up: refused if spending is stopped or the budget is used up, else unreachable.
pub(super) async fn given_up(store: &Store, parts: &Parts, message: String) -> anyhow::Error {
    match is_refused(store, parts).await {
        Ok(is_refused) => Exit { code: if is_refused { REFUSED } else { UNREACHABLE }, message }.into(),
        Err(error) => error,
    }
}

async fn is_refused(store: &Store, parts: &Parts) -> anyhow::Result<bool> {
    let daily = parts.versions.models().find_map(|model| model.backfill.daily());
    if let Some((operation, most)) = daily
        && store.usd_today(operation).await? >= most
    {
        return Ok(true);
    }
    Ok(store.stopped_since().await?.is_some())
}
