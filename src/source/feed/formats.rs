//! Reads the rows of a feed: separated values, JSON, Google Merchant's XML and TSV, each also packed by gzip or zip.
//!
//! A row that cannot be read is one fault, and the rows around it are read. But a feed that was cut off must not pass for a
//! short one: the last line must end unless the whole download is known to have arrived, and elements must be closed.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek},
};

use encoding_rs::Encoding;
use flate2::bufread::MultiGzDecoder;
use zip::{ZipArchive, result::ZipError};

use crate::catalogue::values::Columns;

mod csv;
mod encoding;
mod json;
mod lines;
mod quotes;
mod separator;
mod xml;

/// How a feed is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Format {
    /// Values with a header, separated by comma, semicolon, tab or bar.
    Csv,
    /// Values with a header, separated by tabs.
    Tsv,
    /// An array of JSON objects.
    Json,
    /// A JSON object per line.
    Jsonl,
    /// Google Merchant's XML (RSS or Atom) or TSV.
    GoogleMerchant,
}

/// Which quotes of separated values stand around a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Quoting {
    /// Those whose partner stands before a separator, or at the end of the same line.
    Auto,
    /// No quotes.
    None,
    /// Those at the beginning of a value. A quote inside is doubled, and the value may have line breaks.
    Rfc4180,
}

/// How a quote inside a quoted value is written, besides being doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Escape {
    Backslash,
}

/// How a feed is written, in full.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// The form of its rows.
    pub format: Format,
    /// Unless it is in UTF-8 or says so itself.
    pub encoding: Option<&'static Encoding>,
    /// By default, `Auto` for values that are separated by tabs, and `Rfc4180` for others.
    pub quoting: Option<Quoting>,
    /// Of separated values.
    pub escape: Option<Escape>,
}

/// A row that was read, or what could be read of one with a fault.
#[derive(Debug, Default)]
pub(super) struct FeedRow {
    /// Its line, or its place among the items, from 1.
    pub number: u64,
    pub columns: Columns,
    /// Why it cannot become a document.
    pub fault: Option<String>,
}

/// Called with each row; an error ends the reading.
type OnRow<'a> = &'a mut dyn FnMut(FeedRow) -> Result<(), String>;

/// The longest row, in bytes: a longer one is a fault of the feed, such as a quote that is never closed.
const LONGEST_ROW: usize = 16 << 20;

/// Reads all rows. `is_whole` says that nothing is missing at the end of the file. The error says what is wrong with the
/// feed.
pub(super) fn read(dialect: &Dialect, file: File, is_whole: bool, row: OnRow<'_>) -> Result<(), String> {
    unpacked(file, |input, is_packed| decoded(dialect, input, is_whole || is_packed, row))
}

/// The first character of a feed that is not white space.
pub(super) fn begins_with(file: File) -> Result<Option<u8>, String> {
    unpacked(file, |input, _| {
        let mut input = encoding::utf8(input, None)?;
        Ok(peek(&mut input)?.trim_ascii_start().first().copied())
    })
}

/// Unpacks a file if it is packed: it has an end of its own then.
fn unpacked<T>(
    mut file: File,
    read: impl FnOnce(Box<dyn Read + '_>, bool) -> Result<T, String>,
) -> Result<T, String> {
    let mut magic = [0; 4];
    file.rewind().map_err(|error| error.to_string())?;
    let length = file.read(&mut magic).map_err(|error| error.to_string())?;
    file.rewind().map_err(|error| error.to_string())?;
    match &magic[..length] {
        [0x1f, 0x8b, ..] => read(Box::new(MultiGzDecoder::new(BufReader::new(file))), true),
        b"PK\x03\x04" => {
            let unreadable = |error: ZipError| format!("it is no zip file that can be read: {error}");
            let mut archive = ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
            let place = only_file(&mut archive)?;
            read(Box::new(archive.by_index(place).map_err(unreadable)?), true)
        }
        _ => read(Box::new(file), false),
    }
}

/// The place of the only file of an archive.
fn only_file(archive: &mut ZipArchive<BufReader<File>>) -> Result<usize, String> {
    let unreadable = |error: ZipError| format!("it is no zip file that can be read: {error}");
    let mut names = Vec::new();
    for place in 0..archive.len() {
        let entry = archive.by_index(place).map_err(unreadable)?;
        let name = entry.name().map_err(unreadable)?.into_owned();
        // macOS adds a folder of its own.
        let is_hidden = name.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
        if !entry.is_dir() && !is_hidden {
            names.push((place, name));
        }
    }
    if let [(place, _)] = *names.as_slice() {
        return Ok(place);
    }
    let names: Vec<_> = names.into_iter().map(|(_, name)| name).collect();
    Err(format!("the zip file has {} files, and a feed is one: {}", names.len(), names.join(", ")))
}

fn decoded(
    dialect: &Dialect,
    input: Box<dyn Read + '_>,
    is_whole: bool,
    row: OnRow<'_>,
) -> Result<(), String> {
    let mut input = encoding::utf8(input, dialect.encoding)?;
    let is_xml = peek(&mut input)?.trim_ascii_start().starts_with(b"<");
    match dialect.format {
        Format::Json | Format::Jsonl => json::read(input, is_whole, row),
        Format::GoogleMerchant if is_xml => xml::read(input, row),
        Format::Csv | Format::Tsv | Format::GoogleMerchant => csv::read(dialect, input, is_whole, row),
    }
}

/// The beginning of the input, as far as it is buffered.
fn peek(input: &mut impl BufRead) -> Result<&[u8], String> {
    input.fill_buf().map_err(|error| error.to_string())
}

/// Says that the last line of a feed may be cut.
fn maybe_cut() -> String {
    "the last line has no line end, so that nobody can tell whether it was cut; end it".to_owned()
}

#[cfg(test)]
mod tests;
