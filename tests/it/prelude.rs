//! The names that most tests use.

pub(crate) use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Stdio,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

pub(crate) use crate::{running::*, steps::*, support::*};
pub(crate) use chrono::{DateTime, Utc};
pub(crate) use futures::future::join_all;
pub(crate) use reqwest::{Method, StatusCode};
pub(crate) use serde_json::{Value, json};
pub(crate) use shopkeeper::{
    config::Config,
    daemon::{self, Role, Roles, Workers},
    demo::models::{Fault, Operation},
    job::{Job, JobError},
    store::{
        DatabaseSettings, Store, StoreError,
        jobs::{Claim, Selection},
        search::SearchFilter,
    },
    sync::{reconcile::SyncOptions, report::SyncError},
};
pub(crate) use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
pub(crate) use tempfile::TempDir;
pub(crate) use tokio::time::{sleep, timeout};
pub(crate) use tokio_util::sync::CancellationToken;
pub(crate) use uuid::Uuid;
