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
    ("telemetry", &["tls"]),
    ("config", &[]),
    ("offline", &["tls"]),
    ("store", &[]),
    ("shop", &["tls"]),
    ("openai", &["tls"]),
    ("webhook", &["tls"]),
    ("jobs", &["store", "webhook", "clock", "telemetry"]),
    ("queue", &["jobs", "store", "clock", "telemetry"]),
    ("http", &["jobs", "store", "clock", "telemetry"]),
];

/// Modules of the entry layer: they may use everything, and nobody below may use them.
const ENTRY: &[&str] = &["bench", "cli", "daemon", "embedded"];

/// Modules that stand apart: config, and what knows nothing of the domain.
const APART: &[&str] = &["config", "clock", "telemetry", "tls"];

/// Words that belong to one place, and the modules where they may stand.
const RESERVED: &[(&str, &[&str])] = &[
    ("apalis::", &["queue", "bench"]),
    ("apalis_core::", &["queue", "bench"]),
    ("async_openai::", &["openai", "offline"]),
    ("clap::", &["cli", "main"]),
    ("anyhow::", &["bench", "cli", "daemon", "embedded", "main"]),
    ("axum::", &["http", "offline", "daemon"]),
    ("sqlx::", &["store", "shop", "embedded", "bench"]),
];

#[test]
fn modules_import_only_from_layers_below() {
    let mut wrong = Vec::new();
    for (file, module, line) in lines() {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else { continue };
        for target in line.split("crate::").skip(1) {
            let target = target.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            let domain = DOMAIN.contains(&target) && !APART.contains(&module.as_str());
            if target != module && !domain && !allowed.contains(&target) && !target.is_empty() {
                wrong.push(format!("{file}: `{module}` may not use `{target}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
    for (file, module, line) in lines() {
        for (word, places) in RESERVED {
            if line.contains(word) && !places.contains(&module.as_str()) {
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

/// Each line of code with its file and its top-level module.
fn lines() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for file in files(Path::new("src")) {
        let inside = file.strip_prefix("src").unwrap();
        let module = inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        found.extend(code.map(|line| (file.display().to_string(), module.clone(), line.to_owned())));
    }
    assert!(found.len() > 1000, "the source was not found");
    found
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let nested = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    nested.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}
