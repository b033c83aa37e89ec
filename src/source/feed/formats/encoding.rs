//! Makes UTF-8 of a feed.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Bytes decoded at once.
const PART: usize = 64 << 10;

/// The feed in UTF-8, without a byte order mark. Its encoding is what the mark says, else what the settings say, else what
/// XML declares, else UTF-8. Characters that the encoding does not have are replaced, but a feed that is only taken for
/// UTF-8 must be.
pub(super) fn utf8<'a>(
    mut input: impl Read + 'a,
    encoding: Option<&'static Encoding>,
) -> Result<Box<dyn BufRead + 'a>, String> {
    let mut sample = Vec::new();
    input.by_ref().take(1024).read_to_end(&mut sample).map_err(|error| error.to_string())?;
    let (stated, mark) = match Encoding::for_bom(&sample) {
        Some((encoding, length)) => (Some(encoding), length),
        None => (encoding.or_else(|| declared(&sample)).or_else(|| wide(&sample)), 0),
    };
    let input = Cursor::new(sample.split_off(mark)).chain(input);
    let decoder = stated
        .filter(|encoding| *encoding != UTF_8 || mark == 0)
        .map(Encoding::new_decoder_without_bom_handling);
    let is_declared = stated.is_some_and(|stated| stated != UTF_8);
    Ok(match decoder.filter(|_| is_declared) {
        Some(decoder) => Box::new(BufReader::with_capacity(PART, Decoding::new(input, decoder))),
        None => Box::new(BufReader::with_capacity(
            PART,
            Utf8 { input, at: mark as u64, line: 1, rest: Vec::new() },
        )),
    })
}

/// The encoding in an XML declaration.
fn declared(sample: &[u8]) -> Option<&'static Encoding> {
    let text = String::from_utf8_lossy(sample);
    let declaration = text.trim_start().strip_prefix("<?xml")?.split("?>").next()?;
    let value = declaration.split("encoding").nth(1)?.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next()?;
    let declared = Encoding::for_label(value.get(1..)?.split(quote).next()?.as_bytes())?;
    // A declaration of UTF-16 that can be read like this is wrong.
    (declared != UTF_16LE && declared != UTF_16BE).then_some(declared)
}

/// Two bytes for each character, without a mark, as some spreadsheets write them.
fn wide(sample: &[u8]) -> Option<&'static Encoding> {
    match sample {
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => Some(UTF_16LE),
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// Decodes another encoding.
struct Decoding<R> {
    input: R,
    decoder: Decoder,
    /// What was read and not decoded, and how far.
    read: Vec<u8>,
    at: usize,
    is_at_end: bool,
    is_done: bool,
}

impl<R: Read> Decoding<R> {
    fn new(input: R, decoder: Decoder) -> Self {
        Self { input, decoder, read: Vec::new(), at: 0, is_at_end: false, is_done: false }
    }
}

impl<R: Read> Read for Decoding<R> {
    /// `buffer` has room for one character at least, as [`BufReader`] gives it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_done {
                return Ok(0);
            }
            if self.at == self.read.len() && !self.is_at_end {
                self.read.resize(PART, 0);
                let length = self.input.read(&mut self.read)?;
                self.read.truncate(length);
                (self.at, self.is_at_end) = (0, length == 0);
            }
            let (result, read, written, _) =
                self.decoder.decode_to_utf8(&self.read[self.at..], buffer, self.is_at_end);
            self.at += read;
            self.is_done = self.is_at_end && result == CoderResult::InputEmpty;
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

/// Passes UTF-8 on, and fails where it is not UTF-8.
struct Utf8<R> {
    input: R,
    at: u64,
    line: u64,
    /// The beginning of a character that the last part did not end.
    rest: Vec<u8>,
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let kept = self.rest.len();
        buffer[..kept].copy_from_slice(&self.rest);
        let read = self.input.read(&mut buffer[kept..])?;
        let part = &buffer[..kept + read];
        let valid = match std::str::from_utf8(part) {
            Ok(_) => part.len(),
            Err(error) if error.error_len().is_none() && read > 0 => error.valid_up_to(),
            Err(error) => return Err(self.fault(part, error.valid_up_to())),
        };
        self.rest = part[valid..].to_vec();
        self.line += lines(&part[..valid]);
        self.at += valid as u64;
        if valid == 0 && read > 0 { self.read(buffer) } else { Ok(valid) }
    }
}

impl<R> Utf8<R> {
    fn fault(&self, part: &[u8], at: usize) -> io::Error {
        let line = self.line + lines(&part[..at]);
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "byte {} (line {line}) is {:#04x}, which is not UTF-8: say how the feed is encoded, such as encoding = \
                 \"windows-1252\"",
                self.at + at as u64 + 1,
                part[at],
            ),
        )
    }
}

/// The number of line ends.
fn lines(part: &[u8]) -> u64 {
    part.split(|byte| *byte == b'\n').skip(1).count() as u64
}
