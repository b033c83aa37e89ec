//! A copy of a feed: in memory the keys, hashes and places of its rows, in a file without a name what the settings read of
//! each row.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufWriter, Write},
    os::unix::fs::FileExt,
};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    catalogue::{CatalogueError, CatalogueResult},
    source::feed::{Settings, formats},
};

/// A feed as it was when it was read.
pub(super) struct FeedCopy {
    /// Ordered by key.
    pub rows: Vec<RowPlace>,
    spool: File,
}

/// Where a row is in the spool.
pub(super) struct RowPlace {
    pub key: Box<str>,
    pub hash: i64,
    at: u64,
    length: u32,
}

/// One row in the spool.
#[derive(Deserialize)]
pub(super) struct SpooledRow {
    pub columns: Box<RawValue>,
    pub metadata: Box<RawValue>,
    pub sku: Option<String>,
}

impl FeedCopy {
    /// Whether these rows are as they were listed. A hash of 0 stands for a row that was read in a newer state: any row
    /// will do.
    pub(super) fn holds(&self, listed: &[(String, Option<i64>)]) -> bool {
        listed.iter().all(|(key, hash)| match (self.find(key), *hash) {
            (Some(_), Some(0)) => true,
            (kept, hash) => kept.map(|kept| kept.hash) == hash,
        })
    }

    pub(super) fn find(&self, key: &str) -> Option<&RowPlace> {
        let at = self.rows.binary_search_by(|kept| (*kept.key).cmp(key)).ok()?;
        self.rows.get(at)
    }

    pub(super) fn row(&self, kept: &RowPlace) -> std::io::Result<SpooledRow> {
        let mut bytes = vec![0; kept.length as usize];
        self.spool.read_exact_at(&mut bytes, kept.at)?;
        serde_json::from_slice(&bytes).map_err(std::io::Error::from)
    }
}

/// Reads a feed into a spool. Blocks.
pub(super) fn copy(
    settings: &Settings,
    in_templates: &BTreeSet<String>,
    seed: i64,
    file: File,
) -> CatalogueResult<FeedCopy> {
    let broken = |reason: String| CatalogueError::Broken { source_name: settings.name.clone(), reason };
    let spooling = |error: std::io::Error| format!("it cannot be kept: {error}");
    let spool = tempfile::tempfile().map_err(|error| broken(spooling(error)))?;
    let (mut spool, mut kept, mut at) = (BufWriter::new(spool), Vec::new(), 0);
    let (mut present, mut bytes) = (BTreeSet::new(), Vec::new());
    let reading = formats::read(settings.format, file, &mut |number, mut columns| {
        if present.len() < COLUMNS {
            present
                .extend(columns.keys().filter(|name| !present.contains(*name)).cloned().collect::<Vec<_>>());
        }
        let key = text(columns.get(&settings.rendering.key))
            .ok_or_else(|| format!("row {number} has no key: its `{}` is empty", settings.rendering.key))?;
        let picked =
            |columns: &formats::Columns, name: &String| columns.get(name).cloned().unwrap_or_default();
        let metadata: serde_json::Map<_, _> =
            settings.rendering.metadata.iter().map(|name| (name.clone(), picked(&columns, name))).collect();
        let sku = settings.rendering.sku.as_ref().and_then(|sku| text(columns.get(sku)));
        let columns: serde_json::Map<_, _> = in_templates
            .iter()
            .map(|name| (name.clone(), columns.remove(name).unwrap_or_default()))
            .collect();
        bytes.clear();
        let row = serde_json::json!({ "columns": columns, "metadata": metadata, "sku": sku });
        serde_json::to_writer(&mut bytes, &row).map_err(|error| error.to_string())?;
        spool.write_all(&bytes).map_err(spooling)?;
        let length = u32::try_from(bytes.len()).map_err(|_| format!("row {number} is too long"))?;
        let mut hash = [0; 8];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(&bytes).finalize_xof().fill(&mut hash);
        kept.push(RowPlace { key: key.into(), hash: i64::from_le_bytes(hash), at, length });
        at += u64::from(length);
        Ok(())
    });
    reading.map_err(&broken)?;
    let spool = spool.into_inner().map_err(|error| broken(spooling(error.into_error())))?;
    if kept.is_empty() {
        return Err(broken("it has no rows; an empty feed is taken for a broken one".to_owned()));
    }
    check_columns(settings, in_templates, &present)?;
    kept.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    kept.shrink_to_fit();
    if let Some([twice, _]) = kept.array_windows().find(|[one, other]| one.key == other.key) {
        return Err(broken(format!("it has more than one row with the key {:?}", twice.key)));
    }
    Ok(FeedCopy { rows: kept, spool })
}

/// The number of column names that are kept for the error that lists them.
const COLUMNS: usize = 1000;

/// A value as text; `None` for one that is empty or neither text nor a number.
fn text(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// Fails if the settings name a column that no row has.
fn check_columns(
    settings: &Settings,
    in_templates: &BTreeSet<String>,
    present: &BTreeSet<String>,
) -> CatalogueResult<()> {
    let named = in_templates.iter().chain(&settings.rendering.metadata).chain(&settings.rendering.sku);
    let missing: BTreeSet<_> =
        named.filter(|name| !present.contains(*name)).map(|name| format!("`{name}`")).collect();
    if missing.is_empty() || present.len() >= COLUMNS {
        return Ok(());
    }
    let missing: Vec<_> = missing.into_iter().collect();
    let all: Vec<_> = present.iter().map(String::as_str).collect();
    let reason = format!(
        "the settings name the column {}, but no row has it; there are: {}",
        missing.join(", "),
        all.join(", ")
    );
    Err(CatalogueError::Misfit { source_name: settings.name.clone(), reason })
}
