//! Makes a document of a row: minijinja templates over the row's columns.
//!
//! A column is available by its name, and as `row["Name"]` whatever its name is. A null column renders as nothing, and so
//! does what is looked up in it. Whole numbers, truth values, lists and objects keep their type; other numbers arrive as
//! the text that the shop wrote (`89.00`, not `89.0`), so `{{ price }}` is what a customer reads, and
//! `{{ price|float * 2 }}` computes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde_json::value::RawValue;

use super::{
    Document, Key, RenderFault, html,
    values::{self, Columns},
};

mod columns;
mod filters;
mod group;
mod left_out;

pub use columns::ColumnsRead;
pub use left_out::LeftOut;

const TITLE: &str = "title";
const TEXT: &str = "text";
const LINK: &str = "link";

/// What a document is made of.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Rendering {
    pub key: Key,
    pub rows: RowsAre,
    pub title: String,
    pub text: String,
    pub link: Option<String>,
    /// The columns that are kept beside the vectors.
    pub metadata: Vec<String>,
    /// The column of the stock keeping unit.
    pub sku: Option<String>,
    /// The column that the variants of one product share.
    pub group: Option<String>,
}

/// How rows and documents correspond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum RowsAre {
    /// Each row is a document.
    Single,
    /// All rows with one key are one document.
    Group,
}

impl Rendering {
    /// Parses the templates.
    pub fn templates(&self) -> Result<Templates, TemplateError> {
        Templates::new(self.clone())
    }

    /// A number for what of the settings decides a document, besides its row. `salt` is for what else does.
    pub fn seed(&self, salt: &str) -> i64 {
        let link = self.link.as_deref().unwrap_or_default();
        // What stands between them is no column: the same one may move from one to the other.
        let sku = self.sku.iter().flat_map(|sku| ["", sku]);
        let group = self.group.iter().flat_map(|group| ["", "", group]);
        let columns = self.metadata.iter().map(String::as_str).chain(sku).chain(group);
        let rows: &str = self.rows.into();
        let mut hash = blake3::Hasher::new();
        for part in [&self.title, &self.text, link, salt, rows].into_iter().chain(columns) {
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
    rendering: Rendering,
    /// Whether they may look up columns in `row`.
    has_row: bool,
    /// What was rendered, by key, if it is kept.
    kept: OnceLock<Mutex<BTreeMap<String, Columns>>>,
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

/// The rows of one document as they were read: one, or all of a group.
#[expect(missing_docs, reason = "the names say it")]
pub struct Row<'a> {
    pub key: String,
    /// JSON objects of the columns that [`Templates::columns`] names.
    pub rows: Vec<&'a str>,
    /// Of all that is read of it.
    pub row_hash: i64,
}

impl Templates {
    fn new(rendering: Rendering) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        // Columns are checked against the source; objects and lists in them may lack anything.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        filters::add_to(&mut environment);
        let (title, text, link) = (&rendering.title, &rendering.text, rendering.link.as_ref());
        let parts = [(TITLE, Some(title)), (TEXT, Some(text)), (LINK, link)];
        for (template, source) in parts.into_iter().filter_map(|(name, source)| Some((name, source?))) {
            environment
                .add_template_owned(template, source.clone())
                .map_err(|error| TemplateError { template, reason: error.to_string() })?;
        }
        let has_row = environment.templates().any(|(_, template)| template.source().contains("row"));
        Ok(Self { environment, rendering, has_row, kept: OnceLock::new() })
    }

    /// The columns that documents are made of.
    pub fn columns(&self) -> ColumnsRead {
        let mut read = ColumnsRead::default();
        for (_, template) in self.environment.templates() {
            read.add_template(&template);
        }
        for (name, _) in self.environment.globals() {
            read.in_templates.remove(name);
        }
        read.beside = self
            .rendering
            .metadata
            .iter()
            .chain(&self.rendering.sku)
            .chain(&self.rendering.group)
            .cloned()
            .collect();
        read
    }

    /// Keeps the columns of each row that is rendered from now on, for [`left_out`](Self::left_out).
    pub fn keep_rows(&self) {
        self.kept.get_or_init(Mutex::default);
    }

    /// What of a kept row does not reach its document.
    pub fn left_out(&self, key: &str) -> LeftOut {
        let kept = self.kept.get().map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner));
        let columns = kept.and_then(|mut kept| kept.remove(key)).unwrap_or_default();
        LeftOut::new(&self.columns().in_templates, &columns)
    }

    /// Renders the rows of one document. Empty title and text are a fault: there would be nothing to find.
    pub fn render(&self, row: Row<'_>) -> Result<Document, RenderFault> {
        let Row { key, rows, row_hash } = row;
        let fault = |reason: String| RenderFault { key: key.clone(), reason, is_final: true };
        let rows = rows.into_iter().map(values::columns).collect::<Result<Vec<_>, _>>();
        let rows = rows.map_err(|reason| fault(format!("the row cannot be read: {reason}")))?;
        let (columns, variants) = match self.rendering.rows {
            RowsAre::Single => (rows.into_iter().next().unwrap_or_default(), None),
            RowsAre::Group => (group::merged(&rows), Some(rows)),
        };
        if let Some(kept) = self.kept.get() {
            kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), columns.clone());
        }
        let context = self.context(&columns, variants.as_deref());
        let render = |name: &'static str| {
            let template = self.environment.get_template(name);
            template
                .and_then(|template| template.render(&context))
                .map(|text| if name == LINK { text } else { html::without_data(&text).into_owned() })
                .map(|text| text.trim().to_owned())
                .map_err(|error| fault(format!("{name}: {error}")))
        };
        let (title, text) = (render(TITLE)?, render(TEXT)?);
        if title.is_empty() && text.is_empty() {
            return Err(fault("title and text are both empty".to_owned()));
        }
        let link = if self.rendering.link.is_some() { Some(render(LINK)?) } else { None };
        let link = link.filter(|link| !link.is_empty());
        let text_of = |column: &Option<String>| {
            column.as_ref().and_then(|column| values::text(columns.get(column).map(|value| &**value)))
        };
        let (sku, group) = (text_of(&self.rendering.sku), text_of(&self.rendering.group));
        let metadata = self.metadata(&columns).map_err(|error| fault(error.to_string()))?;
        Ok(Document { key, title, text, link, sku, group, metadata, row_hash })
    }

    /// What templates see.
    fn context(&self, columns: &Columns, variants: Option<&[Columns]>) -> Value {
        let values = |columns: &Columns| -> BTreeMap<String, Value> {
            columns.iter().map(|(name, column)| (name.clone(), values::template_value(column))).collect()
        };
        let mut names = values(columns);
        if self.has_row {
            let row = Value::from(names.clone());
            names.insert("row".to_owned(), row);
        }
        if let Some(variants) = variants {
            let variants: Vec<_> = variants.iter().map(|variant| Value::from(values(variant))).collect();
            names.insert("variants".to_owned(), variants.into());
        }
        names.into()
    }

    fn metadata(&self, columns: &Columns) -> Result<Box<RawValue>, serde_json::Error> {
        let null = values::null();
        let pairs = self.rendering.metadata.iter().map(|name| {
            let column = columns.get(name).unwrap_or(&null);
            Ok(format!("{}:{}", serde_json::to_string(name)?, values::stored(column)))
        });
        let pairs = pairs.collect::<Result<Vec<_>, serde_json::Error>>()?;
        RawValue::from_string(format!("{{{}}}", pairs.join(",")))
    }
}

#[cfg(test)]
mod tests;
