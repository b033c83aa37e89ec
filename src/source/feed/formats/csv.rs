//! Comma, semicolon or tab separated values.

use std::io::{BufRead, Read};

use csv::{Position, ReaderBuilder, StringRecord};
use serde_json::Value;

use super::{OnRow, begin};

/// Remembers the last byte that went through.
struct Last<R> {
    input: R,
    byte: Option<u8>,
}

impl<R: Read> Read for Last<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.byte = buffer[..read].last().copied().or(self.byte);
        Ok(read)
    }
}

/// Reads the rows below the header. The separator is the one that the header has most of.
pub(super) fn read(mut input: impl BufRead, row: OnRow<'_>) -> Result<(), String> {
    let header = begin(&mut input)?.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.split(|byte| *byte == separator).count();
    let separator = *b",;\t".iter().rev().max_by_key(|separator| count(**separator)).unwrap_or(&b',');
    let mut reader = ReaderBuilder::new().delimiter(separator).from_reader(Last { input, byte: None });
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let names: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        let number = record.position().map_or(0, Position::line);
        let fields = record.iter().map(|field| match field {
            "" => Value::Null,
            field => Value::from(field),
        });
        row(number, names.iter().cloned().zip(fields).collect())?;
    }
    if reader.get_ref().byte.is_some_and(|byte| byte != b'\n' && byte != b'\r') {
        let reason = "the last line has no line end, so that nobody can tell whether it was cut; end it";
        return Err(reason.to_owned());
    }
    Ok(())
}
