//! Google Merchant's XML: RSS or Atom.

use std::io::BufRead;

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use serde_json::{Map, Value};

use super::{Columns, OnRow};

/// An element that is not closed yet.
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

/// Reads the items or entries.
pub(super) fn read(input: impl BufRead, row: OnRow<'_>) -> Result<(), String> {
    let mut reader = Reader::from_reader(input);
    // Outside of an item elements are counted; from the item on they are kept.
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
            Event::Text(text) => append(&mut open, &text.xml10_content()),
            Event::CData(text) => append(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(character)) => append(&mut open, character.encode_utf8(&mut [0; 4])),
                Ok(None) => append(&mut open, &entity(&reference)),
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

/// `item` in RSS, `entry` in Atom.
fn is_item(start: &BytesStart<'_>) -> bool {
    matches!(start.local_name().as_ref(), "item" | "entry")
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// Moves an element into its parent; a repeated one makes a list.
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
