//! The file that `config init` writes: the repository's own `jobs.toml`, for a server of the model cards.

use std::fmt::Write;

use super::access::{elsewhere, quoted};
use super::fault::did_you_mean;
use super::{COMMENTED, Preset};
use crate::model::cards::{self, ModelKind, ServerCard};

/// Keys whose defaults are those of the model card.
const CARDED: [&str; 7] = [
    "dimensions",
    "max_input_tokens",
    "max_inputs",
    "max_request_tokens",
    "usd_per_million_tokens",
    "usd_per_million_input_tokens",
    "usd_per_million_output_tokens",
];

/// Writes commented settings for a server and a shop system, or says which there are.
pub fn settings_for(server: &str, preset: Option<&str>) -> Result<String, String> {
    let settings = for_server(server)?;
    let Some(preset) = preset else { return Ok(settings) };
    let block = Preset::named(preset).map_err(|message| format!("--preset {message}"))?.block(None, None);
    let (before, rest) = settings.split_once("[[source]]").unwrap_or((&settings, ""));
    let (_, after) = rest.split_once("\n\n").unwrap_or_default();
    Ok(format!("{before}{block}\n{after}"))
}

fn for_server(server: &str) -> Result<String, String> {
    let Some(card) = cards::servers().iter().find(|card| card.name == server) else {
        let names = || cards::servers().iter().map(|card| card.name.as_str());
        let list = names().collect::<Vec<_>>().join(", ");
        return Err(format!(
            "there is no model card of a server {server:?}{}: there are {list}",
            did_you_mean(server, names())
        ));
    };
    if card.name == "openai" {
        return Ok(COMMENTED.to_owned());
    }
    let (mut text, mut section) = (String::new(), "");
    for line in COMMENTED.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.split(']').next().unwrap_or_default();
        }
        write_line(&mut text, card, section, line);
    }
    Ok(text)
}

/// Writes a line of the commented file as the server wants it.
fn write_line(text: &mut String, card: &ServerCard, section: &str, line: &str) {
    let key = line.split(" =").next().unwrap_or_default();
    let model = match section {
        "embedding" => &card.embedding,
        "answers" => &card.chat,
        _ => &None,
    };
    let written = match (section, key) {
        ("openai", "base_url") => format!("base_url = {:?}", card.base_url),
        ("openai", "api_key") => access(card),
        ("embedding" | "answers", "model") if model.is_none() => {
            let key = elsewhere("api_key").replace("API_KEY", "OPENAI_API_KEY");
            format!(
                "base_url = \"https://api.openai.com/v1\"    # {} has no such models\n{key}\n{line}",
                card.title
            )
        }
        ("embedding" | "answers", "model") => format!("model = {:?}", model.as_deref().unwrap_or_default()),
        ("embedding" | "answers", key) if model.is_some() && CARDED.contains(&key) => {
            format!("# {key} =    # optional: by default what the model card says (`shopkeeper models list`)")
        }
        (
            "answers",
            "[answers]                           # may carry its own base_url, api_key and limits",
        ) => rerank(card) + line,
        _ => line.to_owned(),
    };
    for line in written.lines().filter(|line| !line.is_empty()) {
        text.push_str(line);
        text.push('\n');
    }
    if written.is_empty() && line.is_empty() {
        text.push('\n');
    }
}

/// The key, the headers and the query of a server.
fn access(card: &ServerCard) -> String {
    let mut text = String::new();
    if let Some(variable) = &card.api_key_env {
        let _ = writeln!(text, "api_key = {{ env = {variable:?} }}");
    }
    let table = |pairs: Vec<String>| pairs.join(", ");
    if !card.headers.is_empty() {
        let headers = card.headers.iter();
        let headers = headers.map(|(name, variable)| format!("{} = {{ env = {variable:?} }}", quoted(name)));
        let _ = writeln!(text, "headers = {{ {} }}", table(headers.collect()));
    }
    if !card.query.is_empty() {
        let query = card.query.iter().map(|(name, value)| format!("{} = {value:?}", quoted(name)));
        let _ = writeln!(text, "query = {{ {} }}", table(query.collect()));
    }
    text
}

fn rerank(card: &ServerCard) -> String {
    let Some(model) = card.rerank.as_ref().filter(|model| {
        cards::model(ModelKind::Rerank, model, card.hosts.first().map_or("", String::as_str)).is_some()
    }) else {
        return String::new();
    };
    format!(
        "# [rerank]                         # optional: orders what a search finds\n# model = {model:?}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_settings_of_every_server_are_fine() {
        let names = "DATABASE_URL OPENAI_API_KEY SHOPKEEPER_WEBHOOK_SECRET".split(' ').map(str::to_owned);
        let mut environment: BTreeMap<_, _> =
            names.map(|name| (name, "postgres://shop/x".to_owned())).collect();
        for card in cards::servers() {
            let keys = card.api_key_env.iter().chain(card.headers.values());
            environment.extend(keys.map(|name| (name.clone(), "k".to_owned())));
            let text = settings_for(&card.name, None).unwrap();
            let config = Config::parse(&text, "jobs.toml", PathBuf::new(), &environment);
            let config = config.unwrap_or_else(|faults| panic!("{}: {faults}\n{text}", card.name));
            let base_url =
                config.embedding.endpoint.base_url.expose().as_str().trim_end_matches('/').to_owned();
            if card.embedding.is_some() {
                assert_eq!(base_url, card.base_url.to_lowercase().trim_end_matches('/'), "{}", card.name);
            }
        }
    }

    #[test]
    fn an_unknown_server_is_told_the_near_one() {
        let error = settings_for("mistal", None).unwrap_err();
        assert!(error.contains("did you mean \"mistral\"?") && error.contains("ollama"), "{error}");
    }
}
