//! The values of a row as the shop writes them: numbers keep their digits, and nothing remains that a document cannot hold.

use std::{borrow::Cow, collections::BTreeMap};

use minijinja::Value;
use serde_json::value::RawValue;

/// The columns of a row, by name.
pub type Columns = BTreeMap<String, Box<RawValue>>;

/// How deep lists and objects may be nested.
const DEEPEST: usize = 100;
/// The most digits of a number that is stored as a number.
const LONGEST_NUMBER: usize = 100;

/// Parses a JSON object. NUL characters and halves of surrogate pairs, which PostgreSQL refuses, are replaced.
pub fn columns(json: &str) -> Result<Columns, String> {
    serde_json::from_str(&clean(json)?).map_err(|error| format!("it is not a JSON object: {error}"))
}

/// A text as a column.
pub fn text_column(text: &str) -> Box<RawValue> {
    let text = if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { Cow::from(text) };
    serde_json::value::to_raw_value(&text).unwrap_or_else(|_| null())
}

/// An empty column.
pub fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// Whether a column holds nothing.
pub fn is_empty(column: &RawValue) -> bool {
    matches!(column.get(), "null" | "\"\"" | "[]" | "{}")
}

/// A text or a number as text; `None` for other values and for an empty text.
pub fn text(column: Option<&RawValue>) -> Option<String> {
    let json = column?.get();
    let text = match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(json).ok()?.trim().to_owned(),
        b'-' | b'0'..=b'9' => json.to_owned(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// The JSON of a column as it is stored: PostgreSQL would write a number with an exponent otherwise, and cannot hold any
/// number of digits, so that such numbers are stored as texts.
pub fn stored(column: &RawValue) -> Cow<'_, str> {
    let json = column.get();
    let is_plain = |number: &str| number.len() <= LONGEST_NUMBER && !number.contains(['e', 'E']);
    if !json.contains(['e', 'E']) && json.len() <= LONGEST_NUMBER {
        return json.into();
    }
    let (mut stored, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        stored.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_number = !rest.starts_with('"');
        let length = if is_number {
            rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(rest.len())
        } else {
            string_length(rest)
        };
        let (value, after) = rest.split_at(length);
        if is_number && !is_plain(value) {
            stored.extend(["\"", value, "\""]);
        } else {
            stored.push_str(value);
        }
        rest = after;
    }
    stored.push_str(rest);
    stored.into()
}

/// The length of the JSON string at the beginning of a text, with its quotes.
pub fn string_length(json: &str) -> usize {
    let mut is_escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(json.len(), |end| end + 2)
}

/// A column's value for a template. A null is undefined, so that it renders as nothing, whatever is looked up in it.
pub(super) fn template_value(column: &RawValue) -> Value {
    let json = column.get();
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(json).map_or(Value::UNDEFINED, Value::from),
        Some(b'-' | b'0'..=b'9') => {
            // Only whole numbers that are written back as they were read.
            let whole = json.parse::<i64>().ok().filter(|whole| whole.to_string() == json);
            whole.map_or_else(|| Value::from(json), Value::from)
        }
        Some(b't') => true.into(),
        Some(b'f') => false.into(),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            items.into_iter().map(template_value).collect::<Vec<_>>().into()
        }
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_default();
            let members = members.into_iter().map(|(name, member)| (name, template_value(member)));
            members.collect::<BTreeMap<_, _>>().into()
        }
        _ => Value::UNDEFINED,
    }
}

/// Replaces what PostgreSQL refuses in a JSON text, and refuses what is nested too deeply.
fn clean(json: &str) -> Result<Cow<'_, str>, String> {
    let bytes = json.as_bytes();
    let (mut depth, mut at, mut kept) = (0_usize, 0, 0);
    let mut cleaned = String::new();
    while at < bytes.len() {
        match bytes[at] {
            b'[' | b'{' => {
                depth += 1;
                if depth > DEEPEST {
                    return Err(format!("it is nested more than {DEEPEST} levels deep"));
                }
                at += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b'"' => {
                let end = at + string_length(&json[at..]);
                while let Some(escape) = json[at..end].find('\\') {
                    at += escape;
                    let (length, is_refused) = escape_at(&json[at..end]);
                    if is_refused {
                        cleaned.extend([&json[kept..at], "\\ufffd"]);
                        kept = at + length;
                    }
                    at += length;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if kept == 0 {
        return Ok(json.into());
    }
    cleaned.push_str(&json[kept..]);
    Ok(cleaned.into())
}

/// The length of the escape at the beginning of a text, and whether it stands for no character that a text can hold.
fn escape_at(text: &str) -> (usize, bool) {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    match unit(text) {
        Some(0 | 0xdc00..=0xdfff) => (6, true),
        Some(0xd800..=0xdbff) => match unit(&text[6..]) {
            Some(0xdc00..=0xdfff) => (12, false),
            _ => (6, true),
        },
        Some(_) => (6, false),
        None => (text.chars().take(2).map(char::len_utf8).sum(), false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn what_a_document_cannot_hold_is_replaced() {
        let read = columns(r#"{"a\u0000":"x\u0000\\u0000","b":"\ud83d\ude00","c":"\ud83d!","d":["\udc00"]}"#)
            .unwrap();
        let read: Vec<_> = read.iter().map(|(name, value)| format!("{name}={}", value.get())).collect();
        let expected =
            ["a\u{fffd}=\"x\\ufffd\\\\u0000\"", r#"b="\ud83d\ude00""#, r#"c="\ufffd!""#, r#"d=["\ufffd"]"#];
        assert_eq!(read, expected);
        assert!(columns("[1]").unwrap_err().starts_with("it is not a JSON object"));
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(columns(&deep).unwrap_err(), "it is nested more than 100 levels deep");
    }

    #[test]
    fn a_number_is_stored_with_the_digits_that_were_written() {
        for (read, expected) in [
            ("89.00", "89.00"),
            ("1e2", "\"1e2\""),
            (r#"{"e":[1E+2,-0.50,"1e2"]}"#, r#"{"e":["1E+2",-0.50,"1e2"]}"#),
            ("true", "true"),
        ] {
            assert_eq!(stored(&raw(read)), expected);
        }
        let long = "9".repeat(200);
        assert_eq!(stored(&raw(&long)), format!("\"{long}\""));
    }

    #[test]
    fn a_key_is_a_text_or_a_number_with_all_its_digits() {
        assert_eq!(text(Some(&raw("12345678901234567890123"))).unwrap(), "12345678901234567890123");
        assert_eq!(text(Some(&raw("\" m1 \""))).unwrap(), "m1");
        for none in ["null", "\"\"", "\" \"", "true", "[1]", "{}"] {
            assert_eq!(text(Some(&raw(none))), None);
        }
    }

    proptest! {
        #[test]
        fn cleaning_and_storing_never_fail(text in r#"[ a1e\[\]{}:,"\\u0d8c.-]{0,40}"#) {
            let _ = columns(&text);
            if let Ok(value) = RawValue::from_string(text) {
                prop_assert!(RawValue::from_string(stored(&value).into_owned()).is_ok());
                template_value(&value);
            }
        }
    }
}
