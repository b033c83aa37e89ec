//! `models list`: the model cards.

use clap::Args;
use serde_json::json;

use crate::cli::output;
use crate::model::cards::{self, ModelCard, ModelKind};

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Only servers and models whose name contains this
    name: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn list(arguments: &List) -> anyhow::Result<()> {
    let part = arguments.name.as_deref().unwrap_or_default().to_lowercase();
    let is_named = |name: &str| name.to_lowercase().contains(&part);
    let servers: Vec<_> = cards::servers().iter().filter(|card| is_named(&card.name)).collect();
    let models: Vec<_> = cards::models().iter().filter(|card| card.names().any(is_named)).collect();
    if arguments.json {
        return output::json(&json!({ "servers": servers, "models": models }));
    }
    output::rows_table(&servers, "name as server, base_url, embedding, chat, rerank")?;
    output::line("");
    let rows = models.into_iter().map(|card| {
        vec![
            card.model.clone(),
            <&str>::from(card.kind).to_owned(),
            number(card.dimensions),
            number(card.max_input_tokens),
            price(card),
            particulars(card),
        ]
    });
    output::table(&["model", "kind", "dimensions", "input limit", "dollars", "particulars"], rows);
    Ok(())
}

fn number(value: Option<u32>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Dollars per million tokens.
fn price(card: &ModelCard) -> String {
    match card.kind {
        ModelKind::Chat => match (card.usd_per_million_input_tokens, card.usd_per_million_output_tokens) {
            (Some(input), Some(output)) => format!("{input} / {output}"),
            _ => "-".to_owned(),
        },
        ModelKind::Embedding | ModelKind::Rerank => {
            card.usd_per_million_tokens.map_or_else(|| "-".to_owned(), |price| price.to_string())
        }
    }
}

fn particulars(card: &ModelCard) -> String {
    let form = |side, form: &Option<crate::model::InputForm>| {
        let form = form.as_ref()?;
        let extra = (!form.extra_body.is_empty()).then(|| json!(form.extra_body).to_string());
        let prefix = (!form.prefix.is_empty()).then(|| format!("{:?}", form.prefix));
        Some(format!("{side} {}", [prefix, extra].into_iter().flatten().collect::<Vec<_>>().join(" ")))
    };
    let said = [
        form("document", &card.document),
        form("question", &card.question),
        (card.shortens == Some(true)).then(|| "can shorten vectors".to_owned()),
        (card.thinks == Some(true)).then(|| "thinks".to_owned()),
        card.temperature.as_ref().map(|_| "its own temperature".to_owned()),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
