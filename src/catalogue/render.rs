//! Makes a document of a row: minijinja templates over the row's columns.
//!
//! A null column renders as nothing. Whole numbers, truth values, lists and objects keep their type;
//! numbers with a fraction arrive as the text that the shop's database writes (`89.00`, not `89.0`),
//! so `{{ price }}` is what a customer reads, and `{{ price|float * 2 }}` computes.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, UndefinedBehavior, Value, value::Serde};
use serde_json::value::RawValue;

use super::{Document, RenderFault};

const TITLE: &str = "title";
const TEXT: &str = "text";
const LINK: &str = "link";

/// What a document is made of.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Rendering {
    /// The column that tells documents apart.
    pub key: String,
    pub title: String,
    pub text: String,
    pub link: Option<String>,
    /// The columns that are kept beside the vectors.
    pub metadata: Vec<String>,
    /// The column of the stock keeping unit.
    pub sku: Option<String>,
}

impl Rendering {
    /// Parses the templates.
    pub fn templates(&self) -> Result<Templates, TemplateError> {
        Templates::new(&self.title, &self.text, self.link.as_deref())
    }

    /// A number for what of the settings decides a document, besides its row. `salt` is for what else does.
    pub fn seed(&self, salt: &str) -> i64 {
        let link = self.link.as_deref().unwrap_or_default();
        // What stands between them is no column: the same one may move from one to the other.
        let sku = self.sku.iter().flat_map(|sku| ["", sku]);
        let columns = self.metadata.iter().map(String::as_str).chain(sku);
        let mut hash = blake3::Hasher::new();
        for part in [&self.title, &self.text, link, salt].into_iter().chain(columns) {
            hash.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let mut seed = [0; 8];
        hash.finalize_xof().fill(&mut seed);
        i64::from_le_bytes(seed)
    }
}

/// The templates of one source, parsed.
pub struct Templates {
    environment: Environment<'static>,
    has_link: bool,
}

/// A template that does not parse.
#[derive(Debug, thiserror::Error)]
#[error("{template}: {reason}")]
pub struct TemplateError {
    /// Which of the source's templates.
    pub template: &'static str,
    /// What the parser says.
    pub reason: String,
}

/// A row as it was read.
#[expect(missing_docs, reason = "the names say it")]
pub struct Row<'a> {
    pub key: String,
    /// A JSON object of the columns that [`Templates::columns`] names.
    pub columns: &'a str,
    pub sku: Option<String>,
    pub metadata: Box<RawValue>,
    /// Of all that is read of it.
    pub row_hash: i64,
}

impl Templates {
    /// Parses the templates of a source.
    pub fn new(title: &str, text: &str, link: Option<&str>) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_formatter(|output, state, value| {
            if value.is_none() {
                return Ok(());
            }
            minijinja::escape_formatter(output, state, value)
        });
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        let parts = [(TITLE, Some(title)), (TEXT, Some(text)), (LINK, link)];
        for (template, source) in parts.iter().filter_map(|(name, source)| Some((*name, (*source)?))) {
            environment
                .add_template_owned(template, source.to_owned())
                .map_err(|error| TemplateError { template, reason: error.to_string() })?;
        }
        Ok(Self { environment, has_link: link.is_some() })
    }

    /// The columns that the templates name.
    pub fn columns(&self) -> BTreeSet<String> {
        let globals: BTreeSet<_> = self.environment.globals().map(|(name, _)| name.to_owned()).collect();
        let templates = self.environment.templates();
        let named = templates.flat_map(|(_, template)| template.undeclared_variables(false));
        named.filter(|name| !globals.contains(name)).collect()
    }

    /// Renders one row. Empty title and text are a fault: there would be nothing to find.
    pub fn render(&self, row: Row<'_>) -> Result<Document, RenderFault> {
        let fault = |reason: String| RenderFault { key: row.key.clone(), reason };
        let columns: BTreeMap<&str, &RawValue> = serde_json::from_str(row.columns)
            .map_err(|error| fault(format!("the row is not a JSON object: {error}")))?;
        let columns: BTreeMap<&str, Value> =
            columns.into_iter().map(|(name, raw)| (name, column(raw))).collect();
        let render = |name: &'static str| {
            let template = self.environment.get_template(name);
            template
                .and_then(|template| template.render(&columns))
                .map(|text| text.trim().to_owned())
                .map_err(|error| fault(format!("{name}: {error}")))
        };
        let (title, text) = (render(TITLE)?, render(TEXT)?);
        if title.is_empty() && text.is_empty() {
            return Err(fault("title and text are both empty".to_owned()));
        }
        let link = if self.has_link { Some(render(LINK)?) } else { None };
        let link = link.filter(|link| !link.is_empty());
        let Row { key, sku, metadata, row_hash, .. } = row;
        Ok(Document { key, title, text, link, sku, metadata, row_hash })
    }
}

/// A column's value for a template.
fn column(raw: &RawValue) -> Value {
    let text = raw.get();
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if is_number {
        return text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from);
    }
    let value = serde_json::from_str::<serde_json::Value>(text);
    value.map_or_else(|_| Value::from(text), |value| Value::from(Serde(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, columns: &str) -> Result<Document, RenderFault> {
        let metadata = RawValue::from_string("{}".to_owned()).unwrap();
        let row = Row { key: "1".to_owned(), columns, sku: None, metadata, row_hash: 1 };
        Templates::new("{{ name }}", text, None).unwrap().render(row)
    }

    #[test]
    fn decimals_keep_the_digits_that_the_database_writes() {
        let document = render(
            "{{ price }} {{ price|float * 2 }} {{ cents / 100 }}",
            r#"{"name":"x","price":89.00,"cents":1250}"#,
        );
        assert_eq!(document.unwrap().text, "89.00 178.0 12.5");
    }

    #[test]
    fn a_null_column_renders_as_nothing() {
        assert_eq!(render("{{ name }}|{{ colour }}|", r#"{"name":"x","colour":null}"#).unwrap().text, "x||");
    }

    #[test]
    fn text_is_not_escaped_for_html() {
        assert_eq!(render("{{ name }}", r#"{"name":"Salt & <Pepper>"}"#).unwrap().text, "Salt & <Pepper>");
    }

    #[test]
    fn the_columns_are_those_that_the_templates_name() {
        let templates = Templates::new(
            "{{ name }}",
            "{% for size in sizes %}{{ size }} {% endfor %}{{ brand.name|upper }} {{ range(3) }}",
            Some("https://shop.example/{{ slug }}"),
        );
        let columns: Vec<_> = templates.unwrap().columns().into_iter().collect();
        assert_eq!(columns, ["brand", "name", "sizes", "slug"]);
    }

    #[test]
    fn a_row_without_title_and_text_is_a_fault() {
        let fault = render("{{ text }}", r#"{"name":" ","text":""}"#).unwrap_err();
        assert_eq!(fault.reason, "title and text are both empty");
    }
}
