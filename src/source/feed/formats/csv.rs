//! Separated values with a header.

use std::io::{BufRead, Cursor, Read};

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord};

use super::{
    Dialect, Escape, FeedRow, Format, OnRow, Quoting, lines, maybe_cut,
    quotes::Quotes,
    separator::{likeliest, names, stated},
};
use crate::catalogue::values::{self, Columns};

/// Bytes in which the separator is found out.
const SAMPLE: u64 = 64 << 10;

/// Reads the rows below the header.
pub(super) fn read(
    dialect: &Dialect,
    mut input: impl BufRead,
    is_whole: bool,
    row: OnRow<'_>,
) -> Result<(), String> {
    let stated = stated(&mut input).map_err(|error| error.to_string())?;
    let mut sample = Vec::new();
    input.by_ref().take(SAMPLE).read_to_end(&mut sample).map_err(|error| error.to_string())?;
    let by_format = (dialect.format == Format::Tsv).then_some(b'\t');
    let separator = by_format.or(stated).unwrap_or_else(|| likeliest(&sample));
    let has_newlines = sample.contains(&b'\n');
    let input = Cursor::new(sample).chain(input);
    let default = if separator == b'\t' { Quoting::Auto } else { Quoting::Rfc4180 };
    let first = 1 + u64::from(stated.is_some());
    match dialect.quoting.unwrap_or(default) {
        Quoting::Rfc4180 => quoted(dialect, input, (separator, first), is_whole, row),
        quoting => {
            let end = if has_newlines { b'\n' } else { b'\r' };
            by_lines(input, (char::from(separator), end, first), quoting == Quoting::Auto, is_whole, row)
        }
    }
}

/// Reads values whose quotes may span lines.
fn quoted(
    dialect: &Dialect,
    input: impl Read,
    (separator, first): (u8, u64),
    is_whole: bool,
    row: OnRow<'_>,
) -> Result<(), String> {
    let escape = dialect.escape.map(|Escape::Backslash| b'\\');
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .escape(escape)
        .flexible(true)
        .from_reader(Quotes::new(input, separator, escape));
    let reason = |error: csv::Error| match error.kind() {
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    };
    let names = names(reader.headers().map_err(reason)?);
    let below = reader.position().byte();
    reader.get_mut().fault_before(below);
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(reason)? {
        // The parser ends a row before the line feed of a pair.
        let number =
            record.position().map_or(0, Position::line) + first - 1 + u64::from(reader.get_ref().has_pairs());
        let end = reader.position().byte();
        let mut read = feed_row(number, &names, record.iter());
        if let Some(opened) = reader.get_mut().fault_before(end) {
            let hint = if escape.is_none() {
                "; if the feed writes \\\" for a quote, set escape = \"backslash\""
            } else {
                ""
            };
            let fault = format!("there is text after a closing quote{hint}");
            if record.iter().any(|value| value.contains(['\n', '\r'])) {
                // What was swallowed may be rows.
                return Err(format!("the quote on line {} may not be closed: {fault}", opened + first - 1));
            }
            read.fault = Some(fault);
        }
        row(read)?;
    }
    if let Some(line) = reader.get_ref().unclosed() {
        return Err(format!("the quote on line {} is never closed", line + first - 1));
    }
    if is_whole || reader.get_ref().ends_line() { Ok(()) } else { Err(maybe_cut()) }
}

/// Reads values each of whose rows is one line.
fn by_lines(
    mut input: impl BufRead,
    (separator, end, first): (char, u8, u64),
    quotes: bool,
    is_whole: bool,
    row: OnRow<'_>,
) -> Result<(), String> {
    let (mut line, mut header) = (Vec::new(), None);
    let mut number = first - 1;
    while let Some(read) = lines::next(&mut input, end, &mut line).map_err(|error| error.to_string())? {
        number += 1;
        if !read.is_ended && !is_whole {
            return Err(maybe_cut());
        }
        let text = String::from_utf8_lossy(&line);
        if read.is_too_long {
            row(FeedRow { number, fault: Some("the line is too long".to_owned()), ..FeedRow::default() })?;
        } else if !text.is_empty() {
            let values = lines::values(&text, separator, quotes);
            match &header {
                None => header = Some(names(&values.into())),
                Some(names) => row(feed_row(number, names, values.iter().map(String::as_str)))?,
            }
        }
    }
    Ok(())
}

/// A row of values; values beyond the header must be empty.
fn feed_row<'a>(number: u64, names: &[String], mut values: impl Iterator<Item = &'a str>) -> FeedRow {
    let mut columns = Columns::new();
    let mut count = 0;
    for (name, value) in names.iter().zip(values.by_ref()) {
        count += 1;
        let column = if value.is_empty() { values::null() } else { values::text_column(value) };
        add(&mut columns, name, column);
    }
    let beyond = values.filter(|value| !value.is_empty()).count();
    let fault = (count < names.len() || beyond > 0)
        .then(|| format!("it has {} values, and the header has {}", count + beyond, names.len()));
    FeedRow { number, columns, fault }
}

/// Adds a column; one that is repeated is a list.
fn add(columns: &mut Columns, name: &str, column: Box<serde_json::value::RawValue>) {
    let Some(first) = columns.get_mut(name) else {
        columns.insert(name.to_owned(), column);
        return;
    };
    if values::is_empty(&column) {
        return;
    }
    let list = match first.get() {
        "null" => return *first = column,
        list if list.starts_with('[') => format!("{},{}]", &list[..list.len() - 1], column.get()),
        one => format!("[{one},{}]", column.get()),
    };
    *first = serde_json::value::RawValue::from_string(list).unwrap_or(column);
}
