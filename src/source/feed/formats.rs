//! Reads the rows of a feed: CSV, JSON lines, Google Merchant's XML and TSV, each also packed by gzip.
//!
//! A feed that was cut off must not pass for a short one: rows have as many fields as the header, the last
//! line has its end, elements are closed.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use serde_json::{Map, Value};

/// How a feed is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma, semicolon or tab separated values with a header.
    Csv,
    /// A JSON object a line.
    Jsonl,
    /// Google Merchant's XML (RSS or Atom) or TSV.
    GoogleMerchant,
}

/// A row's columns by name.
pub(super) type Columns = Map<String, Value>;

/// Is handed each row, with its number from 1.
type OnRow<'a> = &'a mut dyn FnMut(u64, Columns) -> Result<(), String>;

/// Reads all rows; fails with what is wrong.
pub(super) fn read(format: Format, input: impl Read, row: OnRow<'_>) -> Result<(), String> {
    let mut input = BufReader::new(input);
    if begin(&mut input)?.starts_with(&[0x1f, 0x8b]) {
        return plain(format, BufReader::new(MultiGzDecoder::new(input)), row);
    }
    plain(format, input, row)
}

fn plain(format: Format, mut input: impl BufRead, row: OnRow<'_>) -> Result<(), String> {
    if begin(&mut input)?.starts_with(b"\xef\xbb\xbf") {
        input.consume(3);
    }
    match format {
        Format::Jsonl => json_lines(input, row),
        Format::GoogleMerchant if begin(&mut input)?.trim_ascii_start().starts_with(b"<") => {
            elements(input, row)
        }
        Format::Csv | Format::GoogleMerchant => separated(input, row),
    }
}

/// What the buffer holds of the beginning.
fn begin(input: &mut impl BufRead) -> Result<&[u8], String> {
    input.fill_buf().map_err(|error| error.to_string())
}

fn json_lines(input: impl BufRead, row: OnRow<'_>) -> Result<(), String> {
    for (number, line) in (1..).zip(input.lines()) {
        let line = line.map_err(|error| format!("line {number}: {error}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let columns = serde_json::from_str(&line)
            .map_err(|error| format!("line {number} is not a JSON object: {error}"))?;
        row(number, columns)?;
    }
    Ok(())
}

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

fn separated(mut input: impl BufRead, row: OnRow<'_>) -> Result<(), String> {
    let header = begin(&mut input)?.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.split(|byte| *byte == separator).count();
    let separator = *b",;\t".iter().rev().max_by_key(|separator| count(**separator)).unwrap_or(&b',');
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(Last { input, byte: None });
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let names: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        let number = record.position().map_or(0, csv::Position::line);
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

/// An element that is open.
struct Element {
    name: String,
    text: String,
    inside: Columns,
}

impl Element {
    fn new(start: &BytesStart<'_>) -> Self {
        // Atom's links have no text.
        let href = start.try_get_attribute("href").ok().flatten();
        let text = href.map(|href| unescaped(&href.value)).unwrap_or_default();
        Self { name: start.local_name().as_ref().to_owned(), text, inside: Map::new() }
    }

    fn value(self) -> Value {
        match self.text.trim() {
            _ if !self.inside.is_empty() => Value::Object(self.inside),
            "" => Value::Null,
            text => Value::from(text),
        }
    }
}

fn elements(input: impl BufRead, row: OnRow<'_>) -> Result<(), String> {
    let mut reader = Reader::from_reader(input);
    // Those that are open: names outside of an item, elements from the item on.
    let (mut outside, mut open, mut buffer) = (0_u32, Vec::<Element>::new(), Vec::new());
    let mut number = 0;
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer);
        let event = event.map_err(|error| format!("byte {}: {error}", reader.error_position()))?;
        match event {
            Event::Start(start) if open.is_empty() && !is_item(&start) => outside += 1,
            Event::Start(start) => open.push(Element::new(&start)),
            Event::Empty(start) if !open.is_empty() => close(&mut open, Element::new(&start)),
            Event::End(_) => match open.pop() {
                None => outside = outside.saturating_sub(1),
                Some(item) if open.is_empty() => {
                    number += 1;
                    row(number, item.inside)?;
                }
                Some(element) => close(&mut open, element),
            },
            Event::Text(text) => say(&mut open, &text.xml10_content()),
            Event::CData(text) => say(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(character)) => say(&mut open, character.encode_utf8(&mut [0; 4])),
                Ok(None) => say(&mut open, &entity(&reference)),
                Err(error) => return Err(format!("byte {}: {error}", reader.buffer_position())),
            },
            Event::Eof if outside > 0 || !open.is_empty() => {
                return Err("it ends before its last element is closed: it was cut".to_owned());
            }
            Event::Eof => return Ok(()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// RSS has items, Atom entries.
fn is_item(start: &BytesStart<'_>) -> bool {
    matches!(start.local_name().as_ref(), "item" | "entry")
}

fn say(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// Puts an element into the one around it: one that comes again makes a list.
fn close(open: &mut [Element], element: Element) {
    let Some(around) = open.last_mut() else { return };
    let (name, value) = (element.name.clone(), element.value());
    match around.inside.get_mut(&name) {
        None => {
            around.inside.insert(name, value);
        }
        Some(Value::Array(list)) => list.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// One of XML's own entities, or a no-break space; another one stays as it is written.
fn entity(name: &str) -> String {
    match name {
        "nbsp" => "\u{a0}".to_owned(),
        _ => quick_xml::escape::resolve_xml_entity(name).map_or_else(|| format!("&{name};"), str::to_owned),
    }
}

fn unescaped(value: &str) -> String {
    quick_xml::escape::unescape(value).map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn rows(format: Format, feed: &[u8]) -> Result<Vec<String>, String> {
        let mut rows = Vec::new();
        read(format, feed, &mut |_, columns| {
            rows.push(serde_json::to_string(&columns).unwrap());
            Ok(())
        })?;
        Ok(rows)
    }

    #[test]
    fn separated_values_are_read_whatever_separates_them() {
        let expected = ["{\"id\":\"1\",\"name\":\"Mug, \\\"red\\\"\",\"price\":null}"];
        assert_eq!(rows(Format::Csv, b"id,name,price\n1,\"Mug, \"\"red\"\"\",\n").unwrap(), expected);
        assert_eq!(
            rows(Format::Csv, b"\xef\xbb\xbfid;name;price\r\n1;\"Mug, \"\"red\"\"\";\r\n").unwrap(),
            expected
        );
        assert_eq!(
            rows(Format::GoogleMerchant, b"id\tname\tprice\n1\t\"Mug, \"\"red\"\"\"\t\n").unwrap(),
            expected
        );
    }

    #[test]
    fn json_lines_keep_their_types() {
        let feed = b"{\"id\": 1, \"tags\": [\"a\"]}\n\n{\"id\": 2}";
        assert_eq!(rows(Format::Jsonl, feed).unwrap(), ["{\"id\":1,\"tags\":[\"a\"]}", "{\"id\":2}"]);
        assert!(
            rows(Format::Jsonl, b"{\"id\": 1}\n[2]\n")
                .unwrap_err()
                .starts_with("line 2 is not a JSON object")
        );
    }

    #[test]
    fn merchant_items_are_read_from_rss_and_atom() {
        let rss = br#"<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
            <item><g:id>1</g:id><title><![CDATA[Mug & more]]></title><g:price>9.90 EUR</g:price>
            <g:image_link>a</g:image_link><g:image_link>b</g:image_link><description>For &lt;tea&gt; &#38; caf&#xe9;</description>
            <g:shipping><g:country>DE</g:country></g:shipping><g:brand/></item></channel></rss>"#;
        assert_eq!(
            rows(Format::GoogleMerchant, rss).unwrap(),
            [
                r#"{"id":"1","title":"Mug & more","price":"9.90 EUR","image_link":["a","b"],"description":"For <tea> & café","shipping":{"country":"DE"},"brand":null}"#
            ]
        );
        let atom = br#"<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>2</id><link href="https://s/?a=1&amp;b=2"/></entry></feed>"#;
        assert_eq!(
            rows(Format::GoogleMerchant, atom).unwrap(),
            [r#"{"id":"2","link":"https://s/?a=1&b=2"}"#]
        );
    }

    #[test]
    fn a_feed_that_was_cut_anywhere_is_noticed() {
        let csv = b"id,name\n1,Mug\n2,\"A kettle\nof steel\"\n";
        let jsonl = b"{\"id\":1}\n{\"id\":2,\"name\":\"Kettle\"}\n";
        let xml = b"<rss><channel><item><id>1</id></item><item><id>2</id></item></channel></rss>";
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(jsonl).unwrap();
        let packed = packed.finish().unwrap();
        for (format, feed) in [
            (Format::Csv, csv.as_slice()),
            (Format::Jsonl, jsonl),
            (Format::GoogleMerchant, xml),
            (Format::Jsonl, &packed),
        ] {
            assert_eq!(rows(format, feed).unwrap().len(), 2);
            for end in 1..feed.len() - 1 {
                // At the end of a line nobody can tell; a short feed is held by the guard against mass deletes.
                let is_line = feed[end - 1] == b'\n' || format == Format::Jsonl && feed[end - 1] == b'}';
                let is_whole = is_line && !feed.starts_with(&[0x1f]);
                let cut = rows(format, &feed[..end]);
                assert!(is_whole || cut.is_err(), "{format:?} cut at {end}: {cut:?}");
            }
        }
    }
}
