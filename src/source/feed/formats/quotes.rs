//! Watches the quotes of separated values on their way to the parser, which is silent about those that are wrong.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use super::LONGEST_ROW;

/// Where in a value a byte stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Start,
    Unquoted,
    Quoted,
    /// After an escape within quotes.
    Escaped,
    /// After a quote within quotes: the last one, or the first of two.
    Closing,
    /// After spaces after the last quote.
    Closed,
}

/// A reader that notes which lines have a wrong quote, and how the input ends.
pub(super) struct Quotes<R> {
    input: R,
    separator: u8,
    escape: Option<u8>,
    place: Place,
    line: u64,
    /// Bytes that went through, and those of the present line.
    at: u64,
    line_bytes: usize,
    /// Whether lines end with two characters.
    has_pairs: bool,
    /// Where the present quoted value began, and how long it is.
    quoted: (u64, usize),
    /// The places of text after a closing quote, and the lines of the quotes that opened there.
    faults: VecDeque<(u64, u64)>,
    last: Option<u8>,
}

impl<R> Quotes<R> {
    pub(super) fn new(input: R, separator: u8, escape: Option<u8>) -> Self {
        Self {
            input,
            separator,
            escape,
            place: Place::Start,
            line: 1,
            at: 0,
            line_bytes: 0,
            has_pairs: false,
            quoted: (1, 0),
            faults: VecDeque::new(),
            last: None,
        }
    }

    /// The first quote before this place that has text after its partner, as the line where it opens; asked for rising
    /// places.
    pub(super) fn fault_before(&mut self, at: u64) -> Option<u64> {
        let mut first = None;
        while let Some((_, line)) = self.faults.pop_front_if(|(place, _)| *place < at) {
            first.get_or_insert(line);
        }
        first
    }

    /// Whether lines end with a carriage return and a line feed.
    pub(super) fn has_pairs(&self) -> bool {
        self.has_pairs
    }

    /// The line with a quote that the input does not close.
    pub(super) fn unclosed(&self) -> Option<u64> {
        matches!(self.place, Place::Quoted | Place::Escaped).then_some(self.quoted.0)
    }

    /// Whether the input ends with a line end, or is empty.
    pub(super) fn ends_line(&self) -> bool {
        self.last.is_none_or(|byte| byte == b'\n' || byte == b'\r')
    }

    fn pass(&mut self, byte: u8) {
        let is_end = byte == self.separator || byte == b'\n' || byte == b'\r';
        self.place = match self.place {
            Place::Start if byte == b'"' => {
                self.quoted = (self.line, 0);
                Place::Quoted
            }
            Place::Start | Place::Unquoted | Place::Closing | Place::Closed if is_end => Place::Start,
            Place::Start | Place::Unquoted => Place::Unquoted,
            Place::Quoted if byte == b'"' => Place::Closing,
            Place::Quoted if self.escape == Some(byte) => Place::Escaped,
            Place::Quoted | Place::Escaped => {
                self.quoted.1 += 1;
                Place::Quoted
            }
            Place::Closing if byte == b'"' => Place::Quoted,
            Place::Closing | Place::Closed if byte == b' ' => Place::Closed,
            Place::Closing | Place::Closed => {
                self.faults.push_back((self.at, self.quoted.0));
                Place::Unquoted
            }
        };
        self.line += u64::from(byte == b'\n');
        self.has_pairs |= byte == b'\n' && self.last == Some(b'\r');
        self.line_bytes = if byte == b'\n' || byte == b'\r' { 0 } else { self.line_bytes + 1 };
        self.last = Some(byte);
        self.at += 1;
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        buffer[..read].iter().for_each(|byte| self.pass(*byte));
        if self.line_bytes > LONGEST_ROW {
            let reason = format!("line {} is longer than {} MiB", self.line, LONGEST_ROW >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        if self.quoted.1 > LONGEST_ROW && self.unclosed().is_some() {
            let reason =
                format!("the quote on line {} is not closed within {} MiB", self.quoted.0, LONGEST_ROW >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(read)
    }
}
