//! Columns by their types: how the server writes a value as text, how it becomes JSON, and how a key's value is compared.

use std::fmt::Write;

use serde_json::value::RawValue;

use crate::catalogue::values;

/// What becomes of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Integer,
    Number,
    Bits,
    Text,
    /// MariaDB keeps JSON in such columns.
    LongText,
    Json,
    /// Written in hexadecimal.
    Bytes,
    Geometry,
}

impl ColumnKind {
    /// By the name of the type, and the character set of its values, which tells bytes from a text with a binary collation.
    pub(super) fn new(type_name: &str, charset: Option<&str>) -> Self {
        let is_text = charset.is_some_and(|charset| charset != "binary");
        match type_name.trim_end_matches(" UNSIGNED") {
            "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "YEAR" => Self::Integer,
            "DECIMAL" | "FLOAT" | "DOUBLE" => Self::Number,
            "BIT" => Self::Bits,
            "JSON" => Self::Json,
            "GEOMETRY" => Self::Geometry,
            name if may_be_bytes(name) && !is_text => Self::Bytes,
            name if name.ends_with("TEXT") || name.ends_with("BLOB") => Self::LongText,
            _ => Self::Text,
        }
    }

    /// The expression of a column's value as text.
    pub(super) fn as_text(self, column: &str) -> String {
        match self {
            Self::Bits => format!("cast({column} + 0 as char)"),
            Self::Geometry => format!("st_astext({column})"),
            Self::Bytes => format!("lower(hex({column}))"),
            Self::Text | Self::LongText => format!("convert({column} using utf8mb4)"),
            Self::Integer | Self::Number | Self::Json => format!("cast({column} as char)"),
        }
    }

    /// The expression of a length that decides that of the value's text.
    pub(super) fn length(self, column: &str) -> String {
        match self {
            Self::Text | Self::LongText | Self::Bytes => format!("length({column})"),
            _ => format!("length({})", self.as_text(column)),
        }
    }

    /// The JSON of a value that was written as text.
    pub(super) fn json(self, text: &str) -> Box<RawValue> {
        let looks_like = |begins: &[char]| text.trim_start().starts_with(begins);
        let is_json = match self {
            Self::Integer | Self::Number | Self::Bits => {
                looks_like(&['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
            }
            Self::Json => true,
            Self::LongText => looks_like(&['{', '[']),
            Self::Text | Self::Geometry | Self::Bytes => false,
        };
        let json = is_json.then(|| RawValue::from_string(text.trim().to_owned()).ok()).flatten();
        json.unwrap_or_else(|| values::text_column(text))
    }

    /// The literal that a key's value is compared with; `None` if no value of the column is written like this.
    pub(super) fn literal(self, value: &str) -> Option<String> {
        match self {
            Self::Integer | Self::Bits => value.parse::<i128>().ok().map(|number| number.to_string()),
            Self::Number => {
                let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e');
                (!value.is_empty() && value.chars().all(is_number)).then(|| format!("'{value}'"))
            }
            Self::Bytes => {
                let is_hex =
                    value.len().is_multiple_of(2) && value.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_hex.then(|| format!("x'{value}'"))
            }
            _ => Some(text_literal(value)),
        }
    }
}

/// A text as a literal that nothing in it can end.
pub(super) fn text_literal(text: &str) -> String {
    let mut literal = "_utf8mb4 x'".to_owned();
    for byte in text.bytes() {
        // Writing to a string cannot fail.
        let _ = write!(literal, "{byte:02x}");
    }
    literal + "'"
}

/// Whether a type is one of bytes, or of texts with a binary collation.
pub(super) fn may_be_bytes(type_name: &str) -> bool {
    ["BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"].contains(&type_name)
}
