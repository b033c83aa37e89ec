//! Presets: what the usual shop systems have, as defaults of a `[[source]]`. `presets.toml` holds them.

use std::sync::LazyLock;

use serde::Deserialize;
use toml::Table as Toml;

use super::fault::{Fault, Origin, did_you_mean};
use super::tree::{Entries, Node, convert_json};
use super::{Value, reader::Reader};

/// What a shop system has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// What settings call it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Tables that tell its database from others; `{prefix}` stands for the prefix of all its tables.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Columns that tell its export from others.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The usual prefix of its tables.
    #[serde(default)]
    pub prefix: String,
    /// The documentation that it follows.
    pub source: String,
    /// The keys of a source.
    pub keys: Toml,
}

#[derive(Deserialize)]
struct File {
    preset: Vec<Preset>,
}

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("presets.toml")).expect("a test reads it");
    file.preset
});

/// All presets.
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

impl Preset {
    /// By its name; the error lists all names.
    pub fn named(name: &str) -> Result<&'static Self, String> {
        presets().iter().find(|preset| preset.name == name).ok_or_else(|| {
            let names = || presets().iter().map(|preset| preset.name.as_str());
            let list = names().collect::<Vec<_>>().join(", ");
            format!("must be one of {list}, not {name:?}{}", did_you_mean(name, names()))
        })
    }

    /// A `[[source]]` that uses it.
    pub fn block(&self, prefix: Option<&str>, place: Option<&str>) -> String {
        let is_feed = self.keys.get("kind").and_then(toml::Value::as_str) == Some("feed");
        let place = match place {
            Some(place) => place.to_owned(),
            None if is_feed => "path = \"products.csv\"              # or url = \"https://…\"".to_owned(),
            None => {
                "url = { env = \"SHOP_DATABASE_URL\" }   # the shop's database; SELECT is enough".to_owned()
            }
        };
        let prefix = prefix.filter(|prefix| *prefix != self.prefix);
        let prefix = prefix.map(|prefix| format!("table_prefix = {prefix:?}\n")).unwrap_or_default();
        format!(
            "[[source]]\nname = \"product\"                    # unique; the filter that callers use\n\
             preset = {:?}    # {}; `shopkeeper config show` prints what it stands for\n{prefix}{place}\n",
            self.name, self.title
        )
    }
}

/// Adds the keys of the presets that the sources name, unless they are written.
pub(super) fn apply(tree: &mut Entries, reader: &Reader<'_>) {
    let Some(Node { value: Value::List(sources), .. }) = tree.get_mut("source") else { return };
    for source in sources {
        let Value::Table(entries) = &mut source.value else { continue };
        let Some(Node { value: Value::Text(name), origin, .. }) = entries.get("preset") else { continue };
        match Preset::named(name) {
            Ok(preset) => fill(entries, preset),
            Err(message) => {
                let path = match entries.get("name").map(|node| &node.value) {
                    Some(Value::Text(source)) => format!("source.{source}.preset"),
                    _ => "source.preset".to_owned(),
                };
                let fault = Fault { origin: origin.clone(), path, message };
                reader.faults.borrow_mut().push(fault);
            }
        }
    }
}

fn fill(entries: &mut Entries, preset: &Preset) {
    let prefix = match entries.get("table_prefix").map(|node| &node.value) {
        Some(Value::Text(prefix)) => prefix.clone(),
        _ => preset.prefix.clone(),
    };
    let is_written = |key: &str| entries.contains_key(key);
    // One excludes the other.
    let has_relation = is_written("table") || is_written("query");
    let keys: Vec<_> = preset
        .keys
        .iter()
        .filter(|(key, _)| {
            !(is_written(key) || has_relation && matches!(key.as_str(), "table" | "query" | "where"))
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in keys {
        let value = serde_json::to_value(value).unwrap_or_default();
        let value = match convert_json(&value) {
            Value::Text(text) => Value::Text(text.replace("{prefix}", &prefix)),
            value => value,
        };
        let inherited_from = Some(format!("the preset {}", preset.name));
        entries.insert(key, Node { value, origin: Origin::Default, inherited_from });
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use super::*;
    use crate::config::Config;

    #[test]
    fn every_preset_is_a_source_that_can_be_overridden() {
        let names = ["DATABASE_URL", "OPENAI_API_KEY", "SHOP_DATABASE_URL"];
        for preset in presets() {
            let scheme = if preset.keys["kind"].as_str() == Some("mysql") { "mysql" } else { "postgres" };
            let environment: BTreeMap<_, _> = names
                .map(|name| {
                    (
                        name.to_owned(),
                        format!("{}://shop/x", if name.starts_with("SHOP") { scheme } else { "postgres" }),
                    )
                })
                .into();
            let text = preset.block(Some("x_"), None) + "metadata = []\ntitle = \"{{ t }}\"\n";
            let config = Config::parse(&text, "jobs.toml", PathBuf::new(), &environment);
            let config = config.unwrap_or_else(|faults| panic!("{}: {faults}\n{text}", preset.name));
            let shown = serde_json::to_value(&config).unwrap()["source"][0].clone();
            assert_eq!((&shown["title"], &shown["metadata"]), (&"{{ t }}".into(), &serde_json::json!([])));
            assert!(
                shown["text"].as_str().unwrap().len() > 10 && !shown.to_string().contains("{prefix}"),
                "{shown}"
            );
        }
        assert!(Preset::named("woocomerce").unwrap_err().contains("did you mean \"woocommerce\"?"));
    }
}
