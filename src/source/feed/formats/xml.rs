//! Google Merchant's XML: RSS or Atom.

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{self, BufRead, Read},
    rc::Rc,
};

use quick_xml::{
    Reader,
    errors::{Error, IllFormedError},
    events::{BytesStart, Event},
};
use serde_json::Value;

use super::{FeedRow, LONGEST_ROW, OnRow};

const GOOGLE: &str = "http://base.google.com/ns/1.0";

/// An element that is not closed yet.
#[derive(Default)]
struct Element {
    /// As it is written, with its prefix.
    tag: String,
    text: String,
    inside: BTreeMap<String, Member>,
}

/// The values of the elements of one name inside an element.
struct Member {
    value: Value,
    rank: Rank,
}

/// Which of two elements with the same name but other prefixes wins: Google's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Other,
    Plain,
    Google,
}

impl Element {
    fn new(start: &BytesStart<'_>) -> Self {
        // Atom's links have no text.
        let href = start.try_get_attribute("href").ok().flatten();
        let text = href.map(|href| unescaped(&href.value)).unwrap_or_default();
        Self { tag: start.name().as_ref().to_owned(), text, ..Self::default() }
    }

    fn value(self) -> Value {
        match self.text.trim() {
            _ if !self.inside.is_empty() => {
                self.inside.into_iter().map(|(name, member)| (name, member.value)).collect()
            }
            "" => Value::Null,
            text => Value::from(text),
        }
    }
}

/// The item that is read, and the elements around it.
struct Items {
    /// How many elements around an item are open.
    outside: u32,
    /// The open elements of the item, the item first.
    open: Vec<Element>,
    /// The prefixes of Google's elements.
    prefixes: Vec<String>,
    /// The first fault of the item.
    fault: Option<String>,
    number: u64,
    /// Bytes of the item.
    size: usize,
}

/// The most bytes of a text or a tag, such as a comment that is never closed.
const LONGEST_EVENT: usize = 4 * LONGEST_ROW;

/// Reads no more than what is left for one event.
struct Limited<R> {
    input: R,
    left: Rc<Cell<usize>>,
}

impl<R: BufRead> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Limited<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left.get() == 0 {
            let reason =
                format!("a text or tag is longer than {} MiB: it may not be closed", LONGEST_EVENT >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.input.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.left.set(self.left.get().saturating_sub(amount));
        self.input.consume(amount);
    }
}

/// Reads the items or entries.
pub(super) fn read(input: impl BufRead, row: OnRow<'_>) -> Result<(), String> {
    let left = Rc::new(Cell::new(LONGEST_EVENT));
    let mut reader = Reader::from_reader(Limited { input, left: left.clone() });
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    reader.config_mut().allow_dangling_amp = true;
    let mut items = Items {
        outside: 0,
        open: Vec::new(),
        prefixes: vec!["g".to_owned()],
        fault: None,
        number: 0,
        size: 0,
    };
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        left.set(LONGEST_EVENT);
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            // The reader is beyond it, and goes on.
            Err(Error::IllFormed(error)) if !matches!(error, IllFormedError::MissingDeclVersion(_)) => {
                items.blame(&error.to_string());
                continue;
            }
            Err(error) => return Err(format!("byte {}: {error}", reader.error_position())),
        };
        if event == Event::Eof {
            break;
        }
        if let Some(read) = items.event(event) {
            row(read)?;
        }
    }
    if items.outside > 0 || !items.open.is_empty() {
        return Err("it ends before its last element is closed: it was cut".to_owned());
    }
    Ok(())
}

impl Items {
    /// Takes an event; returns the item that it ends.
    fn event(&mut self, event: Event<'_>) -> Option<FeedRow> {
        match event {
            Event::Start(start) => return self.start(&start),
            Event::Empty(start) if !self.open.is_empty() => self.close(Element::new(&start)),
            Event::End(end) => return self.end(end.name().as_ref()),
            Event::Text(text) => {
                let text = text.xml10_content();
                if text.contains('&') {
                    self.blame("it has an & that is not written &amp;");
                }
                self.append(&text);
            }
            Event::CData(text) => self.append(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(character)) => self.append(character.encode_utf8(&mut [0; 4])),
                Ok(None) => self.append(&entity(&reference)),
                Err(error) => self.blame(&error.to_string()),
            },
            _ => {}
        }
        None
    }

    /// Notes a fault of the present item.
    fn blame(&mut self, fault: &str) {
        if !self.open.is_empty() {
            self.fault.get_or_insert_with(|| fault.to_owned());
        }
    }

    /// Takes a start; returns the item before it if that was not closed.
    fn start(&mut self, start: &BytesStart<'_>) -> Option<FeedRow> {
        let is_item = matches!(start.local_name().as_ref(), "item" | "entry");
        let is_next = is_item && self.open.first().is_some_and(|item| item.tag == start.name().as_ref());
        let unclosed = if is_next {
            let tag = self.open[0].tag.clone();
            self.blame(&format!("<{tag}> is not closed"));
            self.end(&tag)
        } else {
            None
        };
        if !self.open.is_empty() || is_item {
            self.open.push(Element::new(start));
            return unclosed;
        }
        self.outside += 1;
        for attribute in start.attributes().flatten() {
            if let Some(prefix) = attribute.key.as_ref().strip_prefix("xmlns:")
                && &*attribute.value == GOOGLE
            {
                self.prefixes.push(prefix.to_owned());
            }
        }
        None
    }

    fn end(&mut self, tag: &str) -> Option<FeedRow> {
        if self.open.is_empty() {
            self.outside = self.outside.saturating_sub(1);
            return None;
        }
        let Some(place) = self.open.iter().rposition(|element| element.tag == tag) else {
            self.blame(&format!("</{tag}> closes nothing"));
            return None;
        };
        while self.open.len() > place + 1 {
            if let Some(element) = self.open.pop() {
                self.blame(&format!("<{}> is not closed", element.tag));
                self.close(element);
            }
        }
        let element = self.open.pop()?;
        if !self.open.is_empty() {
            self.close(element);
            return None;
        }
        self.number += 1;
        self.size = 0;
        let columns = element.inside.into_iter().filter_map(|(name, member)| {
            let column = serde_json::value::to_raw_value(&member.value).ok()?;
            Some((name, column))
        });
        Some(FeedRow { number: self.number, columns: columns.collect(), fault: self.fault.take() })
    }

    fn append(&mut self, text: &str) {
        self.size += text.len();
        if self.size > LONGEST_ROW {
            return self.blame("it is too long");
        }
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(&text.replace('\0', "\u{fffd}"));
        }
    }

    /// Moves an element into its parent. A repeated one makes a list, and of two prefixes the better one wins.
    fn close(&mut self, element: Element) {
        let (prefix, name) =
            element.tag.split_once(':').map_or((None, &*element.tag), |(prefix, name)| (Some(prefix), name));
        let rank = match prefix {
            None => Rank::Plain,
            Some(prefix) if self.prefixes.iter().any(|google| google == prefix) => Rank::Google,
            Some(_) => Rank::Other,
        };
        let name = name.to_owned();
        self.size += element.tag.len();
        if self.size > LONGEST_ROW {
            return self.blame("it is too long");
        }
        let Some(around) = self.open.last_mut() else { return };
        let value = element.value();
        match around.inside.get_mut(&name) {
            Some(member) if (member.rank > rank || value.is_null()) && !member.value.is_null() => {}
            Some(member) if member.rank == rank => match &mut member.value {
                Value::Array(list) => list.push(value),
                first => *first = Value::Array(vec![first.take(), value]),
            },
            _ => _ = around.inside.insert(name, Member { value, rank }),
        }
    }
}

/// Resolves XML's own entities and `&nbsp;`; others stay as they are written.
fn entity(name: &str) -> String {
    match name {
        "nbsp" => "\u{a0}".to_owned(),
        _ => quick_xml::escape::resolve_xml_entity(name).map_or_else(|| format!("&{name};"), str::to_owned),
    }
}

fn unescaped(value: &str) -> String {
    quick_xml::escape::unescape(value).map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned)
}
