//! `source preview`: documents as they would be indexed.

use std::path::Path;

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::catalogue::html::{is_hidden, is_html};
use crate::catalogue::{Document, render::LeftOut};
use crate::cli::{load, output, require_source};
use crate::daemon;
use crate::indexing::chunking::Chunking;

#[derive(Debug, Args)]
pub(in crate::cli) struct Preview {
    /// The source
    #[arg(value_name = "SOURCE")]
    name: String,
    /// The keys of rows; without any, some rows are shown
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// How many rows to show if no key is given
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    rows: u32,
    /// Print one JSON object per document and line
    #[arg(long)]
    json: bool,
}

/// What becomes of a row.
#[derive(Serialize)]
struct Shown {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    document: Option<ShownDocument>,
}

#[derive(Serialize)]
struct ShownDocument {
    title: String,
    text: String,
    link: Option<String>,
    sku: Option<String>,
    group: Option<String>,
    metadata: Box<RawValue>,
    left_out: LeftOut,
    chunks: Vec<ShownChunk>,
    warnings: Vec<&'static str>,
}

#[derive(Serialize)]
struct ShownChunk {
    tokens: u32,
    content: String,
}

pub(super) async fn preview(arguments: Preview, path: &Path) -> anyhow::Result<()> {
    let config = load(path)?;
    require_source(&config, &arguments.name)?;
    let (catalogue, chunking) = daemon::previewed(&config, &arguments.name)?;
    let keys =
        if arguments.keys.is_empty() { catalogue.sample(arguments.rows).await? } else { arguments.keys };
    catalogue.templates().keep_rows();
    let mut documents: Vec<_> = catalogue.read(&keys).await?;
    let place = |key: &str| keys.iter().position(|asked| asked == key);
    documents.sort_by_key(|document| {
        place(document.as_ref().map_or_else(|fault| &fault.key, |document| &document.key))
    });
    let shown = documents.into_iter().map(|document| match document {
        Ok(document) => {
            let left_out = catalogue.templates().left_out(&document.key);
            Shown {
                key: document.key.clone(),
                error: None,
                document: Some(shown(document, left_out, &chunking)),
            }
        }
        Err(fault) => Shown { key: fault.key, error: Some(fault.reason), document: None },
    });
    let mut shown: Vec<_> = shown.collect();
    for key in &keys {
        if !shown.iter().any(|shown| shown.key == *key) {
            let error = Some("no row has this key".to_owned());
            shown.push(Shown { key: key.clone(), error, document: None });
        }
    }
    for document in &shown {
        if arguments.json { output::json(document)? } else { print(&arguments.name, document) }
    }
    Ok(())
}

fn shown(document: Document, left_out: LeftOut, chunking: &Chunking) -> ShownDocument {
    let chunks = chunking.chunks(&document);
    let chunks = chunks.into_iter().map(|chunk| ShownChunk { tokens: chunk.tokens, content: chunk.content });
    let mut warnings = Vec::new();
    if is_html(&document.text) || is_html(&document.title) {
        warnings.push("HTML tags would be embedded: write {{ column|text }} in the template");
    }
    if document.title.is_empty() {
        warnings.push("the title is empty");
    }
    if document.text.is_empty() {
        warnings.push("the text is empty: the document is found by its title alone");
    }
    let chunks = chunks.collect();
    let Document { title, text, link, sku, group, metadata, .. } = document;
    ShownDocument { title, text, link, sku, group, metadata, left_out, chunks, warnings }
}

fn print(source: &str, shown: &Shown) {
    output::line(format!("{source}/{}", shown.key));
    if let Some(error) = &shown.error {
        output::line(format!("  error     {error}"));
    }
    let Some(document) = &shown.document else { return output::line("") };
    output::line(format!("  title     {}", document.title));
    for (name, value) in [("link", &document.link), ("sku", &document.sku), ("group", &document.group)] {
        if let Some(value) = value {
            output::line(format!("  {name:<9} {value}"));
        }
    }
    output::line(format!("  metadata  {}", document.metadata.get()));
    let LeftOut { empty, elements } = &document.left_out;
    if !empty.is_empty() {
        output::line(format!("  empty     {}", empty.join(", ")));
    }
    if !elements.is_empty() {
        let elements = elements.iter().map(|(name, number)| {
            let with = if is_hidden(name) { " with all in it" } else { "" };
            format!("{name} {number}{with}")
        });
        output::line(format!("  HTML      {}", elements.collect::<Vec<_>>().join(", ")));
    }
    for (number, chunk) in (1..).zip(&document.chunks) {
        let content = chunk.content.replace('\n', "\n    ");
        output::line(format!("  chunk {number} ({} tokens)\n    {content}", chunk.tokens));
    }
    for warning in &document.warnings {
        output::line(format!("  warning   {warning}"));
    }
    output::line("");
}
