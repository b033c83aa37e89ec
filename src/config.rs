//! `jobs.toml` and the environment, parsed into settings that cannot be wrong, or every fault at once.
//!
//! Precedence: defaults < file < environment < flags. Only the entry layer reads this module; the layers below get
//! the values they need in types of their own. docs/settings.md explains every key.

use std::path::{Path, PathBuf};
use std::{cell::RefCell, collections::BTreeMap};

use serde::{Serialize, Serializer};

mod access;
mod answers;
mod console;
mod database;
mod defaults;
mod embedding;
mod endpoint;
mod environment;
mod fault;
mod http;
mod inheritance;
mod model_cards;
mod presets;
mod queue;
mod reader;
mod rerank;
mod schedule;
mod section;
mod shown;
mod source;
mod starter;
mod table;
mod telemetry;
#[cfg(test)]
mod tests;
mod tree;
mod value;
mod webhook;

pub use answers::{Answers, Retrieval};
pub use console::Console;
pub use embedding::{Embedding, TokenizerChoice};
pub use endpoint::{Budget, Endpoint, RateLimit};
pub use fault::{ConfigError, Fault, Faults, Origin};
pub use http::{Http, RequireToken};
pub use presets::{Preset, presets};
pub use queue::Queues;
pub use rerank::Rerank;
pub use schedule::{Overlap, Schedule, ScheduledJob};
pub use source::{ApiConnection, Connection, MySqlConnection, Source, SourceKind};
pub use starter::settings_for;
pub use telemetry::{LogFormat, Telemetry};
pub use webhook::{Event, Webhook};

use crate::{retention::Retention, store::DatabaseSettings};
use reader::{ReadError, Reader};
use section::Section;
use shown::{NullAsNone, Shown};
use table::{Table, table};
use tree::Value;
use value::Setting;

/// The commented file that `config init` writes: the repository's own `jobs.toml`.
pub const COMMENTED: &str = include_str!("../jobs.toml");

table! {
    /// Everything an operator can set.
    pub struct Config, root {
        database: DatabaseSettings = table(),
        http: Http = table(),
        console: Console = table(),
        embedding: Embedding = table(),
        answers: Answers = table(),
        rerank: Option<Box<Rerank>> = optional_table(),
        budget: Budget = table(),
        retention: Retention = table(),
        queue: Queues = table(),
        sources as "source": Vec<Source> = list(),
        schedules as "schedule": Vec<Schedule> = list(),
        webhooks as "webhook": Vec<Webhook> = list(),
        telemetry: Telemetry = table(),
        /// The paths of the keys whose values come from a model card, each with the name of the card.
        from_cards: Vec<(String, String)> = hidden(|_: &Section<'_>, _: &str| Ok(Vec::new())),
    }
    check {
        endpoint::check_openai(root);
        schedule::check_sources(root);
    }
}

impl Config {
    /// Reads the file and the given environment.
    pub fn load(path: &Path, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, &path.display().to_string(), folder, environment).map_err(Into::into)
    }

    /// Parses settings; relative paths start at `folder`.
    pub fn parse(
        text: &str,
        file: &str,
        folder: PathBuf,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Faults> {
        let of_file = |faults| Faults { file: file.to_owned(), faults };
        let mut tree = tree::parse(text).map_err(|fault| of_file(vec![fault]))?;
        let mut faults = Vec::new();
        environment::overlay(&mut tree, environment, &mut faults);
        let reader = Reader { folder, environment, faults: RefCell::new(faults) };
        presets::apply(&mut tree, &reader);
        inheritance::inherit(&mut tree, &reader);
        let from_cards = model_cards::apply(&mut tree, &reader);
        inheritance::default_addresses(&mut tree, &reader);
        let root = Section::root(&reader, &tree);
        let config = Self::read(&root);
        root.finish();
        let mut faults = reader.faults.into_inner();
        faults.sort();
        faults.dedup();
        match config {
            Ok(config) if faults.is_empty() => Ok(Self { from_cards, ..config }),
            _ => Err(of_file(faults)),
        }
    }

    /// The names of all sources.
    pub fn source_names(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.name.clone()).collect()
    }

    /// The embedding models: the present one, and the next if there is one.
    pub fn embeddings(&self) -> impl Iterator<Item = &Embedding> {
        self.embedding.all()
    }

    /// Whether the settings have a source of this name.
    pub fn has_source(&self, name: &str) -> bool {
        self.sources.iter().any(|source| source.name == name)
    }
}

/// The settings in force, without their secrets.
impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        NullAsNone(&shown::shown(self)).serialize(serializer)
    }
}
