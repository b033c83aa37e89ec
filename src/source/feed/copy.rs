//! A copy of a feed: in memory the keys, hashes and places of its rows, in a file without a name what the settings read of
//! each row.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufWriter, Write},
    os::unix::fs::FileExt,
};

use serde_json::value::RawValue;

use crate::{
    catalogue::{
        CatalogueError, CatalogueResult, SetAside, key_fault,
        render::{ColumnsRead, Rendering, RowsAre},
        values::{self, Columns},
    },
    source::{
        check_columns,
        feed::{
            Settings,
            formats::{self, FeedRow},
        },
    },
};

/// A feed as it was when it was read.
pub(super) struct FeedCopy {
    /// Ordered by key; rows of one key in the order of the feed.
    rows: Vec<RowPlace>,
    spool: File,
    /// The names of columns that occur.
    present: BTreeSet<String>,
    pub set_aside: SetAside,
}

/// Where a row is in the spool.
pub(super) struct RowPlace {
    pub key: Box<str>,
    hash: i64,
    at: u64,
    length: u32,
}

impl FeedCopy {
    /// The rows of each document, in key order.
    pub(super) fn documents(&self) -> impl Iterator<Item = &[RowPlace]> {
        self.rows.chunk_by(|one, other| one.key == other.key)
    }

    /// Whether it has a document that the other one lacks.
    pub(super) fn has_more_than(&self, other: &Self) -> bool {
        self.documents().any(|rows| other.find(&rows[0].key).is_empty())
    }

    /// Adds the documents of another copy that this one lacks.
    pub(super) fn adopt_missing(&mut self, other: &Self) -> std::io::Result<()> {
        let mut at = self.spool.metadata()?.len();
        let mut adopted = Vec::new();
        for row in other.documents().filter(|rows| self.find(&rows[0].key).is_empty()).flatten() {
            let json = other.row(row)?;
            self.spool.write_all_at(json.as_bytes(), at)?;
            adopted.push(RowPlace { key: row.key.clone(), hash: row.hash, at, length: row.length });
            at += u64::from(row.length);
        }
        self.rows.extend(adopted);
        self.rows.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(())
    }

    /// Fails if the settings name a column that no row has.
    pub(super) fn check_columns(&self, settings: &Settings, read: &ColumnsRead) -> CatalogueResult<()> {
        if !(1..COLUMNS).contains(&self.present.len()) {
            return Ok(());
        }
        let present: Vec<_> = self.present.iter().cloned().collect();
        let misfit = |reason| CatalogueError::Misfit { source_name: settings.name.clone(), reason };
        check_columns(&settings.rendering, read, &present).map_err(misfit)
    }

    /// Whether these documents are as they were listed. A hash of 0 stands for one that was read in a newer state: any will
    /// do.
    pub(super) fn holds(&self, listed: &[(String, Option<i64>)]) -> bool {
        listed.iter().all(|(key, hash)| match (self.find(key), *hash) {
            ([], _) if self.set_aside.keys.contains(key) => true,
            ([], hash) => hash.is_none(),
            (_, Some(0)) => true,
            (rows, hash) => Some(hash_of(rows)) == hash,
        })
    }

    /// The rows with a key.
    pub(super) fn find(&self, key: &str) -> &[RowPlace] {
        let begin = self.rows.partition_point(|row| &*row.key < key);
        let length = self.rows[begin..].iter().take_while(|row| &*row.key == key).count();
        &self.rows[begin..begin + length]
    }

    /// The columns of a row that the settings read.
    pub(super) fn row(&self, place: &RowPlace) -> std::io::Result<String> {
        let mut bytes = vec![0; place.length as usize];
        self.spool.read_exact_at(&mut bytes, place.at)?;
        String::from_utf8(bytes).map_err(std::io::Error::other)
    }
}

/// The hash of the rows of a document.
pub(super) fn hash_of(rows: &[RowPlace]) -> i64 {
    match rows {
        [row] => row.hash,
        rows => hash(rows.iter().map(|row| row.hash.to_le_bytes())),
    }
}

fn hash<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_ref());
    }
    let mut hash = [0; 8];
    hasher.finalize_xof().fill(&mut hash);
    i64::from_le_bytes(hash)
}

/// Reads a feed into a spool. Blocks.
pub(super) fn copy(
    settings: &Settings,
    read: &ColumnsRead,
    seed: i64,
    file: File,
    is_whole: bool,
) -> CatalogueResult<FeedCopy> {
    let broken = |reason: String| CatalogueError::Broken { source_name: settings.name.clone(), reason };
    let spool = tempfile::tempfile().map_err(|error| broken(not_kept(&error)))?;
    let mut copying = Copying {
        rendering: &settings.rendering,
        read,
        seed,
        spool: BufWriter::new(spool),
        at: 0,
        rows: Vec::new(),
        present: BTreeSet::new(),
        set_aside: SetAside::default(),
    };
    formats::read(&settings.dialect, file, is_whole, &mut |row| copying.take(row)).map_err(&broken)?;
    let Copying { spool, mut rows, present, mut set_aside, .. } = copying;
    let spool = spool.into_inner().map_err(|error| broken(not_kept(&error.into_error())))?;
    if rows.is_empty() && set_aside.count == 0 {
        return Err(broken("it has no rows; an empty feed is taken for a broken one".to_owned()));
    }
    rows.sort_unstable_by(|(_, one), (_, other)| (&one.key, one.at).cmp(&(&other.key, other.at)));
    let is_single = settings.rendering.rows == RowsAre::Single;
    if settings.place.api().is_some() {
        // An item that was on two pages is as it was last.
        rows.reverse();
        rows.dedup_by(|(_, row), (_, last)| row.key == last.key && (is_single || row.hash == last.hash));
        rows.reverse();
    } else if is_single {
        rows.dedup_by(|(number, row), (_, first)| {
            let is_repeated = row.key == first.key;
            if is_repeated {
                let reason =
                    "a row before it has the same key; with rows = \"group\", such rows are one document";
                set_aside.push(*number, Some(row.key.to_string()), reason);
            }
            is_repeated
        });
    }
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    Ok(FeedCopy { rows, spool, present, set_aside })
}

/// The number of column names that are kept for the error that lists them.
const COLUMNS: usize = 1000;

fn not_kept(error: &std::io::Error) -> String {
    format!("it cannot be kept: {error}")
}

/// A feed that is being read.
struct Copying<'a> {
    rendering: &'a Rendering,
    read: &'a ColumnsRead,
    seed: i64,
    spool: BufWriter<File>,
    at: u64,
    /// With their numbers.
    rows: Vec<(u64, RowPlace)>,
    /// The names of columns that occur.
    present: BTreeSet<String>,
    set_aside: SetAside,
}

impl Copying<'_> {
    fn take(&mut self, row: FeedRow) -> Result<(), String> {
        let FeedRow { number, columns, fault } = row;
        if self.present.len() < COLUMNS {
            let new: Vec<_> = columns.keys().filter(|name| !self.present.contains(*name)).cloned().collect();
            self.present.extend(new);
        }
        let key = self.key(&columns);
        let usable = key.as_ref().ok().filter(|key| key_fault(key).is_none()).cloned();
        if let Some(fault) =
            fault.or_else(|| key.as_ref().map_or_else(|why| Some(why.clone()), |key| key_fault(key)))
        {
            self.set_aside.push(number, usable, fault);
            return Ok(());
        }
        let picked: BTreeMap<&String, &Box<RawValue>> =
            columns.iter().filter(|(name, _)| self.read.has(name)).collect();
        let bytes = serde_json::to_vec(&picked).map_err(|error| error.to_string())?;
        let Some((key, length)) = usable.zip(u32::try_from(bytes.len()).ok()) else { return Ok(()) };
        self.spool.write_all(&bytes).map_err(|error| not_kept(&error))?;
        let hash = hash([&self.seed.to_le_bytes(), bytes.as_slice()]);
        self.rows.push((number, RowPlace { key: key.into(), hash, at: self.at, length }));
        self.at += u64::from(length);
        Ok(())
    }

    fn key(&self, columns: &Columns) -> Result<String, String> {
        let value = |column: &String| {
            values::text(columns.get(column).map(|column| &**column))
                .ok_or_else(|| format!("it has no key: its `{column}` is empty"))
        };
        let values = self.rendering.key.columns().iter().map(value).collect::<Result<Vec<_>, _>>()?;
        Ok(self.rendering.key.join(&values))
    }
}
