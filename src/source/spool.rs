//! Keeps a listing until it is used: in memory while it is small, then in a file without a name.
//!
//! The consumer of a listing writes to another database page by page, and may wait there. A transaction that stayed open in
//! the shop meanwhile would hold up its vacuum and its migrations. So a listing is read to its end first.

use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use futures::Stream;
use tempfile::{SpooledTempFile, spooled_tempfile};

use crate::catalogue::{CatalogueError, CatalogueResult, ListedRow};

/// Bytes that are kept in memory: some hundreds of thousands of entries.
const IN_MEMORY: usize = 8 << 20;
/// Entries that are read at once.
const PAGE: u64 = 5000;
/// Bytes that are read or written at once.
const BUFFER: usize = 256 << 10;

/// Where entries are written.
pub(in crate::source) struct Spool {
    file: BufWriter<SpooledTempFile>,
    entries: u64,
}

/// Entries that were written, from the first one on.
pub(in crate::source) struct SpoolReader {
    file: BufReader<SpooledTempFile>,
    left: u64,
}

impl Spool {
    pub(in crate::source) fn new() -> Self {
        Self { file: BufWriter::with_capacity(BUFFER, spooled_tempfile(IN_MEMORY)), entries: 0 }
    }

    /// Appends entries.
    pub(in crate::source) async fn append(mut self, listed: Vec<ListedRow>) -> io::Result<Self> {
        unblocked(move || {
            for ListedRow { key, row_hash } in listed {
                let length = u32::try_from(key.len()).map_err(io::Error::other)?;
                self.file.write_all(&length.to_ne_bytes())?;
                self.file.write_all(key.as_bytes())?;
                self.file.write_all(&row_hash.to_ne_bytes())?;
                self.entries += 1;
            }
            Ok(self)
        })
        .await
    }

    /// How many there are.
    pub(in crate::source) fn entries(&self) -> u64 {
        self.entries
    }

    /// Ends the writing.
    pub(in crate::source) async fn rewind(self) -> io::Result<SpoolReader> {
        unblocked(move || {
            let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.rewind()?;
            Ok(SpoolReader { file: BufReader::with_capacity(BUFFER, file), left: self.entries })
        })
        .await
    }
}

impl SpoolReader {
    /// The next entries, in the order in which they were written; empty after the last one.
    pub(in crate::source) async fn page(mut self) -> io::Result<(Vec<ListedRow>, Self)> {
        unblocked(move || {
            let entries = self.left.min(PAGE);
            let page = (0..entries).map(|_| self.entry()).collect::<io::Result<_>>()?;
            self.left -= entries;
            Ok((page, self))
        })
        .await
    }

    fn entry(&mut self) -> io::Result<ListedRow> {
        let (mut length, mut row_hash) = ([0; 4], [0; 8]);
        self.file.read_exact(&mut length)?;
        let mut key = vec![0; u32::from_ne_bytes(length) as usize];
        self.file.read_exact(&mut key)?;
        self.file.read_exact(&mut row_hash)?;
        let key = String::from_utf8(key).map_err(io::Error::other)?;
        Ok(ListedRow { key, row_hash: i64::from_ne_bytes(row_hash) })
    }
}

/// Streams the entries of a spool once these were all written, so that nothing is open at the source meanwhile.
pub(in crate::source) fn spooled<'a>(
    source: &'a str,
    spooling: impl Future<Output = CatalogueResult<Spool>> + Send + 'a,
) -> impl Stream<Item = CatalogueResult<ListedRow>> + Send + 'a {
    async_stream::try_stream! {
        let mut reader = spooling.await?.rewind().await.map_err(|error| not_kept(source, &error))?;
        loop {
            let page;
            (page, reader) = reader.page().await.map_err(|error| not_kept(source, &error))?;
            if page.is_empty() {
                break;
            }
            for listed in page {
                yield listed;
            }
        }
    }
}

/// The error of a full or broken local disk.
pub(in crate::source) fn not_kept(source: &str, error: &io::Error) -> CatalogueError {
    let reason = format!("its listing cannot be kept: {error}");
    CatalogueError::Unreachable { source_name: source.to_owned(), reason }
}

/// Runs file I/O on a blocking thread, so that a slow disk does not stall the runtime.
async fn unblocked<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn entries_come_back_in_their_order_from_memory_and_from_a_file() {
        for entries in [0, 1, 2500, 600_000] {
            let all: Vec<_> =
                (0..entries).map(|n| ListedRow { key: format!("schlüssel/{n}"), row_hash: -n }).collect();
            let mut spool = Spool::new();
            for part in all.chunks(7000) {
                spool = spool.append(part.to_vec()).await.unwrap();
            }
            assert_eq!(spool.file.get_ref().is_rolled(), entries == 600_000);
            let (mut spooled, mut back) = (spool.rewind().await.unwrap(), Vec::new());
            loop {
                let (page, rest) = spooled.page().await.unwrap();
                if page.is_empty() {
                    break;
                }
                back.extend(page);
                spooled = rest;
            }
            assert!(back == all, "{entries} entries");
        }
    }
}
