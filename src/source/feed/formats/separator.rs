//! Finds out what separates values.

use std::io::BufRead;

use csv::{ReaderBuilder, StringRecord};

/// What may separate values, the likeliest first.
const SEPARATORS: &[u8] = b",;\t|";
/// Rows below the header that are looked at.
const ROWS: usize = 3;

/// The separator that the first line states (`sep=;`); the line is consumed.
pub(super) fn stated(input: &mut impl BufRead) -> std::io::Result<Option<u8>> {
    let first = input.fill_buf()?;
    let line = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let stated = line.trim_ascii_end().to_ascii_lowercase();
    let stated = stated.strip_prefix(b"\"").and_then(|stated| stated.strip_suffix(b"\"")).unwrap_or(&stated);
    let separator = match stated.strip_prefix(b"sep=") {
        // The trimming takes a tab away.
        Some([]) if line.to_ascii_lowercase().starts_with(b"sep=\t") => b'\t',
        Some([separator]) => *separator,
        _ => return Ok(None),
    };
    let length = line.len();
    input.consume(length);
    if input.fill_buf()?.first() == Some(&b'\n') {
        input.consume(1);
    }
    Ok(Some(separator))
}

/// The separator with which the header and the first rows have equally many values, and as many as possible.
pub(super) fn likeliest(sample: &[u8]) -> u8 {
    let score = |separator: &u8| {
        let counts = counts(sample, *separator);
        let header = counts.first().copied().unwrap_or_default();
        (header > 1 && counts.iter().all(|count| *count == header), header)
    };
    SEPARATORS.iter().rev().copied().max_by_key(score).unwrap_or(b',')
}

/// How many values the header and the first whole rows have.
fn counts(sample: &[u8], separator: u8) -> Vec<usize> {
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .quoting(separator != b'\t')
        .has_headers(false)
        .flexible(true)
        .from_reader(sample);
    let (mut counts, mut record) = (Vec::new(), csv::ByteRecord::new());
    while counts.len() <= ROWS && reader.read_byte_record(&mut record).unwrap_or_default() {
        counts.push(record.len());
    }
    // The sample may end within its last row.
    if counts.len() > 1 && reader.is_done() && !sample.ends_with(b"\n") {
        counts.pop();
    }
    counts
}

/// The names in a header.
pub(super) fn names(header: &StringRecord) -> Vec<String> {
    header.iter().map(|name| name.trim().to_owned()).collect()
}
