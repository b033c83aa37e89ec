//! Vectors that a model has computed, on disk: a demo, a test or an evaluation waits for them longest.
//!
//! A model has one file beside its weights. Its records are a key, a vector and a checksum. Several processes append to
//! it, each with one write; a process knows the records that were there when it began, and its own. What cannot be read
//! or written is computed again.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    transformer::DIMENSIONS,
    vector::{Vector, WIDTH},
};

/// Raise the number when a model computes other vectors from the same tokens.
const FILE: &str = "vectors-1";
/// Vectors that are kept: 25 MB.
const MOST: usize = 16_384;
const KEY: usize = 16;
const VECTOR: usize = DIMENSIONS * WIDTH;
const CHECKSUM: usize = 8;
const RECORD: usize = KEY + VECTOR + CHECKSUM;

/// Identifies the tokens of a text.
pub(super) type Key = [u8; KEY];

pub(super) struct Memory {
    file: PathBuf,
    known: Mutex<HashMap<Key, Vector>>,
}

impl Memory {
    /// Reads what was computed before. A damaged file is removed; the last record may be one that is being written.
    pub(super) fn open(folder: &Path) -> Self {
        let file = folder.join(FILE);
        let bytes = fs::read(&file).unwrap_or_default();
        let (records, _) = bytes.as_chunks::<RECORD>();
        let sound: Vec<_> = records.iter().map_while(read).collect();
        let is_damaged = sound.len() < records.len();
        let known: HashMap<_, _> = sound.into_iter().collect();
        if is_damaged {
            // Another process may have removed it already.
            fs::remove_file(&file).ok();
        }
        Self { file, known: Mutex::new(known) }
    }

    pub(super) fn key(tokens: &[u32]) -> Key {
        let mut hasher = blake3::Hasher::new();
        for token in tokens {
            hasher.update(&token.to_le_bytes());
        }
        start(hasher.finalize().as_bytes())
    }

    pub(super) fn find(&self, key: &Key) -> Option<Vector> {
        self.known().get(key).cloned()
    }

    /// Adds vectors, unless there are too many.
    pub(super) fn add(&self, new: Vec<(Key, Vector)>) {
        let mut known = self.known();
        let room = MOST.saturating_sub(known.len());
        let new: Vec<_> = new.into_iter().filter(|(key, _)| !known.contains_key(key)).take(room).collect();
        let bytes: Vec<u8> = new.iter().flat_map(|(key, vector)| write(key, vector)).collect();
        if !bytes.is_empty() {
            let file = OpenOptions::new().append(true).create(true).open(&self.file);
            if let Err(error) = file.and_then(|mut file| file.write_all(&bytes)) {
                tracing::debug!("computed vectors are not kept in {}: {error}", self.file.display());
            }
        }
        known.extend(new);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Vector>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(key: &Key, vector: &[u8]) -> Vec<u8> {
    let mut record = [key, vector].concat();
    record.extend(checksum(&record));
    record
}

fn read(record: &[u8; RECORD]) -> Option<(Key, Vector)> {
    let (content, check) = record.split_at(RECORD - CHECKSUM);
    (checksum(content) == check).then(|| (start(content), content[KEY..].to_vec()))
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    start(blake3::hash(content).as_bytes())
}

fn start<const LENGTH: usize>(bytes: &[u8]) -> [u8; LENGTH] {
    std::array::from_fn(|n| bytes[n])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_found_by_the_next_process_until_the_file_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let (key, other) = (Memory::key(&[1, 2]), Memory::key(&[12]));
        let vector = vec![7; VECTOR];
        let memory = Memory::open(folder.path());
        assert_eq!(memory.find(&key), None);
        memory.add(vec![(key, vector.clone())]);
        // A second process that did not know of the first one's vector.
        Memory { file: memory.file.clone(), known: Mutex::default() }.add(vec![(other, vector.clone())]);
        let next = Memory::open(folder.path());
        assert_eq!((next.find(&key), next.find(&other)), (Some(vector.clone()), Some(vector)));

        let mut bytes = fs::read(&memory.file).unwrap();
        fs::write(&memory.file, &bytes[..2 * RECORD - 1]).unwrap();
        assert!(Memory::open(folder.path()).find(&key).is_some() && memory.file.exists());
        bytes[RECORD + 20] ^= 1;
        fs::write(&memory.file, bytes).unwrap();
        let damaged = Memory::open(folder.path());
        assert!(damaged.find(&key).is_some() && damaged.find(&other).is_none());
        assert!(!memory.file.exists());
    }
}
