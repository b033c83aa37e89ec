//! How a document is rendered from a row.

use serde_json::Value as Json;

use crate::catalogue::{
    Key,
    render::{Rendering, RowsAre},
};
use crate::config::value::wrong;
use crate::config::{ReadError, Section, Setting, Value, table};

table! {
    Rendering, section {
        key: required(),
        rows: get(RowsAre::Single),
        title: with(required_template),
        text: with(required_template),
        link: with(template),
        metadata: get(Vec::new()),
        sku: get(None::<String>),
        group: get(None::<String>),
    }
}

/// Checks the syntax of a template; its columns are checked later, against the source.
fn template(section: &Section<'_>, key: &str) -> Result<Option<String>, ReadError> {
    section.checked(key, None, |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        match minijinja::Environment::new().template_from_str(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("is not a template: {error}")),
        }
    })
}

fn required_template(section: &Section<'_>, key: &str) -> Result<String, ReadError> {
    template(section, key)?.ok_or_else(|| section.missing(key, "is required"))
}

/// A column, or a list of columns.
impl Setting for Key {
    fn read(value: &Value) -> Result<Self, String> {
        let columns = match value {
            Value::List(_) => Vec::<String>::read(value)?,
            Value::Text(column) => vec![column.clone()],
            other => return wrong("a column or a list of columns", other),
        };
        Self::new(columns).ok_or_else(|| "names no column".to_owned())
    }

    fn show(&self) -> Json {
        match self.columns() {
            [column] => column.show(),
            columns => columns.to_vec().show(),
        }
    }
}
