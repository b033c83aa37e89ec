//! `source discover`: proposes the `[[source]]` sections of a shop.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::Args;

use crate::address::{DatabaseUrl, MySqlUrl};
use crate::catalogue::discover::{Table, propose, propose_feed};
use crate::catalogue::values::Columns;
use crate::cli::{Exit, output};
use crate::config::{Preset, presets};
use crate::source::{feed, feed::Format, feed::Place, mysql, postgres};

#[derive(Debug, Args)]
pub(in crate::cli) struct Discover {
    /// A database (postgres://…, mysql://…), or a feed: an address or a file
    #[arg(value_name = "URL")]
    url: String,
    /// The environment variable that will hold the database's address
    #[arg(long, value_name = "NAME", default_value = "SHOP_DATABASE_URL")]
    env: String,
    /// Append the sections to the settings file
    #[arg(long)]
    write: bool,
}

pub(super) async fn discover(arguments: Discover, path: &Path) -> anyhow::Result<()> {
    let place = format!("url = {{ env = {:?} }}", arguments.env);
    let blocks = if let Ok(url) = arguments.url.parse::<DatabaseUrl>() {
        of_database(&postgres::inspect::tables(&url).await?, "postgres", &place)
    } else if let Ok(url) = arguments.url.parse::<MySqlUrl>() {
        of_database(&mysql::inspect::tables(&url).await?, "mysql", &place)
    } else if let Some(place) = feed::inspect::place(&arguments.url) {
        let (format, rows) = feed::inspect::rows(&place).await?;
        of_feed(&place, format, rows)
    } else {
        let message = "URL must be a database (postgres://user@host/database, mysql://user@host/database), an http or \
                       https address, or an existing file";
        return Err(Exit::usage(message.to_owned()).into());
    };
    if blocks.is_empty() {
        anyhow::bail!(
            "nothing there looks like products, questions and answers, or pages; describe it as in docs/catalogues.md"
        );
    }
    let text = blocks.join("\n");
    if !arguments.write {
        output::line(text.trim_end());
        return Ok(());
    }
    let file = std::fs::OpenOptions::new().append(true).open(path);
    let mut file = file.with_context(|| {
        format!("cannot append to {}; `shopkeeper config init` writes a file to start from", path.display())
    })?;
    write!(file, "\n{text}")?;
    output::line(format!(
        "appended {} sections to {}: edit it, then run `shopkeeper config check`",
        blocks.len(),
        path.display()
    ));
    Ok(())
}

/// A preset if one knows the products' tables, and proposals for what else there is.
fn of_database(tables: &[Table], kind: &str, place: &str) -> Vec<String> {
    let known = presets().iter().find_map(|preset| {
        let is_kind = preset.keys.get("kind").and_then(|own| own.as_str()) == Some(kind);
        let prefix = prefix(preset, tables).filter(|_| is_kind)?;
        Some(preset.block(Some(prefix), Some(place)))
    });
    let proposals = propose(tables, if kind == "mysql" { '`' } else { '"' });
    let others = proposals.iter().filter(|proposal| known.is_none() || proposal.name != "product");
    let others: Vec<_> = others.map(|proposal| proposal.block(kind, place)).collect();
    known.into_iter().chain(others).collect()
}

/// The prefix with which all tables of a preset are there.
fn prefix<'a>(preset: &Preset, tables: &'a [Table]) -> Option<&'a str> {
    let first = preset.tables.first()?;
    let ending = first.strip_prefix("{prefix}");
    let has = |prefix: &str| {
        let named = |pattern: &String| pattern.replace("{prefix}", prefix);
        preset.tables.iter().all(|pattern| tables.iter().any(|table| table.name == named(pattern)))
    };
    match ending {
        None => has("").then_some(""),
        Some(ending) => {
            let mut prefixes = tables.iter().filter_map(|table| table.name.strip_suffix(ending));
            prefixes.find(|prefix| has(prefix))
        }
    }
}

fn of_feed(place: &Place, format: Format, rows: Vec<Columns>) -> Vec<String> {
    let line = match place {
        Place::Path(path) => format!("path = {:?}", path.display().to_string()),
        // Its query may hold a token.
        Place::Url(url) if url.expose().query().is_some() => "url = { env = \"SHOP_FEED_URL\" }".to_owned(),
        Place::Url(url) => format!("url = {:?}", url.to_string()),
        Place::Api(api) => format!("url = {:?}", api.url.to_string()),
    };
    let has = |column: &String| rows.iter().any(|row| row.contains_key(column));
    let is_known = |preset: &&Preset| {
        let is_format = preset.keys.get("format").and_then(|own| own.as_str()) == Some(format.into());
        is_format && !preset.headers.is_empty() && preset.headers.iter().all(has)
    };
    if let Some(preset) = presets().iter().find(is_known) {
        return vec![preset.block(None, Some(&line))];
    }
    let format: &str = format.into();
    let proposal = propose_feed("the feed", rows);
    proposal.iter().map(|proposal| proposal.block("feed", &format!("{line}\nformat = {format:?}"))).collect()
}
