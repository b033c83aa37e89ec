//! Lines of limited length, and values in a line that has its quotes to itself.

use std::io::{BufRead, Read};

use super::LONGEST_ROW;

/// Reads a line into `line`, without its end; a line that is too long is read and left empty. `None` at the end of the
/// input, else whether the line has an end.
pub(super) fn next(
    input: &mut impl BufRead,
    end: u8,
    line: &mut Vec<u8>,
) -> std::io::Result<Option<LineRead>> {
    line.clear();
    let limit = LONGEST_ROW as u64 + 1;
    if input.by_ref().take(limit).read_until(end, line)? == 0 {
        return Ok(None);
    }
    let (mut is_ended, mut is_too_long) = (line.last() == Some(&end), false);
    while !is_ended && line.len() as u64 == limit {
        is_too_long = true;
        line.clear();
        let read = input.by_ref().take(limit).read_until(end, line)?;
        is_ended = read == 0 || line.last() == Some(&end);
    }
    if is_too_long {
        line.clear();
    }
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(LineRead { is_ended, is_too_long }))
}

/// What is known of a line besides its text.
#[derive(Clone, Copy)]
pub(super) struct LineRead {
    pub is_ended: bool,
    pub is_too_long: bool,
}

/// The values of a line. With `quotes`, a value that begins with a quote ends with the quote that stands before a
/// separator or at the end of the line; without such a quote, it is a quote of the text, such as an inch mark.
pub(super) fn values(line: &str, separator: char, quotes: bool) -> Vec<String> {
    let (mut values, mut rest) = (Vec::new(), line);
    loop {
        if quotes && let Some((value, after)) = quoted(rest, separator) {
            values.push(value);
            match after {
                Some(after) => rest = after,
                None => return values,
            }
            continue;
        }
        let Some((value, after)) = rest.split_once(separator) else {
            values.push(rest.to_owned());
            return values;
        };
        values.push(value.to_owned());
        rest = after;
    }
}

/// The quoted value at the beginning of a text, and what follows its separator if it has one.
fn quoted(text: &str, separator: char) -> Option<(String, Option<&str>)> {
    let inside = text.strip_prefix('"')?;
    let mut from = 0;
    while let Some(at) = inside[from..].find('"') {
        let (at, after) = (from + at, &inside[from + at + 1..]);
        let value = || inside[..at].replace("\"\"", "\"");
        if after.is_empty() {
            return Some((value(), None));
        }
        if let Some(after) = after.strip_prefix(separator) {
            return Some((value(), Some(after)));
        }
        // A doubled quote is one of the value; a single one, too, as long as another closes.
        from = at + 1 + usize::from(after.starts_with('"'));
    }
    None
}
