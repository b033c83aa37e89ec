//! JSON: an object per line, or an array of objects.
//!
//! An array is split at its commas before its elements are parsed, so that one that is no JSON is a fault of its own.

use std::io::BufRead;

use super::{FeedRow, LONGEST_ROW, OnRow, lines, maybe_cut, peek};
use crate::catalogue::values;

/// Reads an array if the input begins with one, else lines.
pub(super) fn read(mut input: impl BufRead, is_whole: bool, row: OnRow<'_>) -> Result<(), String> {
    while let Some(byte) = peek(&mut input)?.first().filter(|byte| byte.is_ascii_whitespace()).copied() {
        // An empty line counts as a line.
        if byte == b'\n' {
            break;
        }
        input.consume(1);
    }
    if peek(&mut input)?.first() == Some(&b'[') { array(input, row) } else { by_lines(input, is_whole, row) }
}

fn by_lines(mut input: impl BufRead, is_whole: bool, row: OnRow<'_>) -> Result<(), String> {
    let (mut line, mut number) = (Vec::new(), 0);
    while let Some(read) = lines::next(&mut input, b'\n', &mut line).map_err(|error| error.to_string())? {
        number += 1;
        let text = String::from_utf8_lossy(&line);
        if read.is_too_long {
            row(FeedRow { number, fault: Some("the line is too long".to_owned()), ..FeedRow::default() })?;
        } else if !text.trim().is_empty() {
            let parsed = object(number, text.trim());
            // A line that was cut is no JSON.
            if !read.is_ended && !is_whole && parsed.fault.is_some() {
                return Err(maybe_cut());
            }
            row(parsed)?;
        }
    }
    Ok(())
}

fn object(number: u64, json: &str) -> FeedRow {
    match values::columns(json) {
        Ok(columns) => FeedRow { number, columns, fault: None },
        Err(reason) => FeedRow { number, columns: members(json), fault: Some(reason) },
    }
}

/// The members that can be made out in an object that is broken: its key may be among them.
fn members(json: &str) -> values::Columns {
    let mut columns = values::Columns::new();
    let (mut depth, mut at) = (0_u32, 0);
    while let Some(byte) = json.as_bytes().get(at) {
        match byte {
            b'"' => {
                let end = at + values::string_length(&json[at..]);
                let value = json[end..].trim_start().strip_prefix(':').filter(|_| depth == 1);
                if let (Some(value), Ok(name)) = (value, serde_json::from_str::<String>(&json[at..end])) {
                    let value = value.trim_start();
                    let length = if value.starts_with('"') {
                        values::string_length(value)
                    } else {
                        value.find([',', '}', ']']).unwrap_or(value.len())
                    };
                    if let Ok(column) =
                        serde_json::value::RawValue::from_string(value[..length].trim().to_owned())
                    {
                        columns.entry(name).or_insert(column);
                    }
                    at = json.len() - value.len() + if value.starts_with(['{', '[']) { 0 } else { length };
                } else {
                    at = end;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    columns
}

fn array(input: impl BufRead, row: OnRow<'_>) -> Result<(), String> {
    let mut place = Place::default();
    let (mut number, mut element, mut is_too_long) = (1, Vec::new(), false);
    for byte in input.bytes() {
        let byte = byte.map_err(|error| error.to_string())?;
        match place.pass(byte) {
            Part::Element => {
                is_too_long |= element.len() >= LONGEST_ROW;
                if !is_too_long {
                    element.push(byte);
                }
            }
            Part::Bracket => {}
            Part::Beyond if byte.is_ascii_whitespace() => {}
            Part::Beyond => return Err("there is text after the end of its array".to_owned()),
            Part::End => {
                let text = String::from_utf8_lossy(&element);
                if is_too_long {
                    row(FeedRow { number, fault: Some("it is too long".to_owned()), ..FeedRow::default() })?;
                } else if byte == b',' || !text.trim().is_empty() {
                    row(object(number, text.trim()))?;
                }
                number += 1;
                element.clear();
                is_too_long = false;
            }
        }
    }
    if place.is_closed { Ok(()) } else { Err("it ends before its array is closed: it was cut".to_owned()) }
}

/// Where in an array a byte stands. It finds its way back after an element that is no JSON.
#[derive(Default)]
struct Place {
    /// The brackets that are open, the array's among them.
    open: Vec<u8>,
    in_string: bool,
    is_escaped: bool,
    is_closed: bool,
}

enum Part {
    /// The array's first bracket.
    Bracket,
    Element,
    /// What ends an element: a comma or the array's last bracket.
    End,
    Beyond,
}

impl Place {
    fn pass(&mut self, byte: u8) -> Part {
        if self.is_closed {
            return Part::Beyond;
        }
        if self.in_string {
            self.in_string = (byte != b'"' || self.is_escaped) && byte != b'\n';
            self.is_escaped = byte == b'\\' && !self.is_escaped && self.in_string;
            if byte != b'\n' {
                return Part::Element;
            }
            // No string has a line break: a quote is missing, and a new element may begin here.
            self.open.truncate(1);
            return Part::End;
        }
        let is_outside = self.open.len() == 1;
        match byte {
            b',' if is_outside => return Part::End,
            b']' if is_outside => {
                self.is_closed = true;
                return Part::End;
            }
            b'"' => self.in_string = true,
            b'[' if self.open.is_empty() => {
                self.open.push(byte);
                return Part::Bracket;
            }
            b'[' | b'{' if self.open.len() < LONGEST_ROW => self.open.push(byte),
            b']' => self.close(b'['),
            b'}' => self.close(b'{'),
            _ => {}
        }
        Part::Element
    }

    /// Closes the innermost bracket of a kind, and what is open inside of it.
    fn close(&mut self, bracket: u8) {
        if let Some(inner) = self.open[1..].iter().rposition(|open| *open == bracket) {
            self.open.truncate(1 + inner);
        }
    }
}
