//! How a document is rendered from a row.

use crate::catalogue::render::Rendering;
use crate::config::{ReadError, Section, table};

table! {
    Rendering, section {
        key: required(),
        title: with(required_template),
        text: with(required_template),
        link: with(template),
        metadata: get(Vec::new()),
        sku: get(None::<String>),
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
    template(section, key)?.ok_or_else(|| section.fault(key, "is required"))
}
