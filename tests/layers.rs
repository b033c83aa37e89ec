//! The layering rule of `src/lib.rs`, as a test: one crate has no compiler to hold it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path};

const DOMAIN: &[&str] = &["catalogue", "model", "index", "answer"];

/// What each top-level module may use of the crate, itself and the domain layer left out.
const MAY_USE: &[(&str, &[&str])] = &[
    ("catalogue", &[]),
    ("model", &[]),
    ("index", &[]),
    ("answer", &[]),
    ("clock", &[]),
    ("tls", &[]),
    ("wire", &[]),
    ("telemetry", &["tls"]),
    ("config", &[]),
    ("offline", &["tls"]),
    ("store", &["wire"]),
    ("shop", &["tls", "wire"]),
    ("retry_hint", &[]),
    ("openai", &["tls", "clock", "retry_hint"]),
    ("webhook", &["tls", "clock", "retry_hint"]),
    ("jobs", &["store", "webhook", "clock", "telemetry"]),
    ("queue", &["jobs", "store", "clock", "telemetry"]),
    ("http", &["jobs", "store", "clock", "telemetry"]),
];

/// Modules of the entry layer: they may use everything, and nobody below may use them.
const ENTRY: &[&str] = &["bench", "cli", "daemon", "embedded"];

/// Modules that stand apart: config, and what knows nothing of the domain.
const APART: &[&str] = &["config", "clock", "retry_hint", "telemetry", "tls", "wire"];

/// Words that belong to one place, and the modules where they may stand.
const RESERVED: &[(&str, &[&str])] = &[
    ("apalis::", &["queue", "bench"]),
    ("apalis_core::", &["queue", "bench"]),
    ("async_openai::", &["openai", "offline"]),
    ("clap::", &["cli", "main"]),
    ("anyhow::", &["bench", "cli", "daemon", "embedded", "main"]),
    ("axum::", &["http", "offline", "daemon"]),
    ("sqlx::", &["store", "shop", "wire", "embedded", "bench"]),
];

#[test]
fn modules_import_only_from_layers_below() {
    let mut wrong = Vec::new();
    for (file, module, code) in sources() {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else { continue };
        for target in used(&code) {
            let domain = DOMAIN.contains(&target) && !APART.contains(&module.as_str());
            if target != module && !domain && !allowed.contains(&target) {
                wrong.push(format!("{file}: `{module}` may not use `{target}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_module_uses_is_seen_alone_and_in_groups() {
    let code = "use crate::store::{Store, StoreError};
use crate::{
    answer::{
        Question,
        object::{AnswerObject, Used},
    },
    cli,
    daemon::{self, Workers},
};
pub(crate) use crate::{http::Api, webhook as hook};
fn f(crate::model::Model { name }: crate::model::Model) { crate::jobs::run::<crate::index::Chunk>(name) }";
    let expected = ["store", "answer", "cli", "daemon", "http", "webhook", "model", "model", "jobs", "index"];
    assert_eq!(used(code), expected);
}

#[test]
fn every_module_has_its_layer() {
    let map = fs::read_to_string("src/lib.rs").unwrap();
    for module in map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        let placed = ENTRY.contains(&module) || MAY_USE.iter().any(|(name, _)| *name == module);
        assert!(placed, "`{module}` has no layer in tests/layers.rs");
    }
}

#[test]
fn each_library_stays_where_it_belongs() {
    let mut wrong = Vec::new();
    for (file, module, code) in sources() {
        for (word, places) in RESERVED {
            if code.contains(word) && !places.contains(&module.as_str()) {
                wrong.push(format!("{file}: `{word}` belongs to {}", places.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let lines = |file: &Path| fs::read_to_string(file).unwrap().lines().count();
    let long = files(Path::new("src")).into_iter().map(|file| (lines(&file), file));
    let long: Vec<_> = long.filter(|(lines, _)| *lines > 500).collect();
    assert!(long.is_empty(), "to be split along their ideas: {long:?}");
}

/// The top-level modules that code names after `crate::`, also those of a group.
fn used(code: &str) -> Vec<&str> {
    let mut used = Vec::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(group) => used.extend(members(group).into_iter().map(name)),
            None => used.push(name(after)),
        }
    }
    used.retain(|name| !name.is_empty());
    used
}

/// What stands between the commas of a group, up to its end; groups in it stay whole.
fn members(group: &str) -> Vec<&str> {
    let (mut members, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                members.push(&group[from..at]);
                from = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    members
}

/// The name that a path begins with.
fn name(path: &str) -> &str {
    let path = path.trim_start();
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    &path[..end]
}

/// The code of each file with its top-level module; comments are left out.
fn sources() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for file in files(Path::new("src")) {
        let inside = file.strip_prefix("src").unwrap();
        let module = inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        found.push((file.display().to_string(), module, code.join("\n")));
    }
    assert!(found.len() > 100, "the source was not found");
    found
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let nested = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    nested.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}
