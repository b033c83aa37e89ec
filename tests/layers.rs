//! The layers of `src/lib.rs`, as a test: one crate has no compiler to hold them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A layer's name, its modules, and the layers that it may import. A module belongs to the layer that names the longest
/// part of its path.
type Layer = (&'static str, &'static [&'static str], &'static [&'static str]);

const SIDE: &str = "side";
const DOMAIN: &str = "domain";
const STORE: &str = "store";
const JOB: &str = "job";
const RATE_LIMIT: &str = "rate limit";
const INDEXING: &str = "indexing";
const ANSWERING: &str = "answering";

/// From the bottom to the top: a layer imports only what is above it in this list.
const LAYERS: &[Layer] = &[
    (SIDE, &["address", "clock", "telemetry", "http_client", "pg_connection", "retry_hint"], &[]),
    (
        DOMAIN,
        &[
            "catalogue",
            "model",
            "answering",
            "evaluation",
            "indexing",
            "indexing::batching",
            "indexing::chunk",
            "indexing::chunking",
            "indexing::cuts",
            "indexing::tokenizer",
        ],
        &[],
    ),
    (STORE, &["store"], &[DOMAIN, SIDE]),
    ("source", &["source"], &[DOMAIN, SIDE]),
    ("model server", &["model::openai"], &[DOMAIN, SIDE]),
    ("webhook", &["webhook"], &[DOMAIN, SIDE]),
    (JOB, &["job"], &[DOMAIN, STORE]),
    (RATE_LIMIT, &["model::rate_limit"], &[DOMAIN, SIDE, STORE, JOB]),
    ("sync", &["sync"], &[DOMAIN, SIDE, STORE, JOB]),
    ("retention", &["retention"], &[DOMAIN, SIDE, STORE, JOB]),
    ("deliveries", &["webhook::job"], &[DOMAIN, SIDE, STORE, JOB, "webhook"]),
    (
        INDEXING,
        &["indexing::refresh", "indexing::fill", "indexing::maintain", "indexing::versions"],
        &[DOMAIN, SIDE, STORE, JOB, RATE_LIMIT],
    ),
    ("answer parts", &["answering::cost", "answering::stream"], &[DOMAIN, SIDE, STORE, RATE_LIMIT]),
    (
        ANSWERING,
        &["answering::complete", "answering::retrieve", "answering::settle"],
        &[DOMAIN, SIDE, STORE, JOB, RATE_LIMIT, INDEXING, "answer parts"],
    ),
    (
        "answers",
        &["answering::job"],
        &[DOMAIN, SIDE, STORE, JOB, RATE_LIMIT, INDEXING, "answer parts", ANSWERING],
    ),
    (
        "evaluation",
        &["evaluation::job"],
        &[DOMAIN, SIDE, STORE, JOB, RATE_LIMIT, INDEXING, "answer parts", ANSWERING],
    ),
    ("queue", &["queue"], &[SIDE, STORE, JOB]),
    ("http", &["http"], &[DOMAIN, SIDE, STORE, JOB, "sync", "deliveries", ANSWERING, "answers"]),
    ("offline models", &["demo::models"], &[SIDE]),
    (
        "settings",
        &["config"],
        &[DOMAIN, SIDE, STORE, JOB, "source", "retention", "queue", "answer parts", "answers", "evaluation"],
    ),
];

/// The entry layer: it may import everything, and nobody below may import it.
const ENTRY: &[&str] = &["cli", "daemon", "demo", "main", "lib"];

/// Crates that belong to few modules, and which these are.
const RESERVED: &[(&str, &[&str])] = &[
    ("apalis", &["queue"]),
    ("apalis_core", &["queue"]),
    ("async_openai", &["model::openai", "demo::models"]),
    ("clap", &["cli", "main"]),
    ("anyhow", &["cli", "daemon", "demo", "main"]),
    ("axum", &["http", "demo::models", "daemon"]),
    ("sqlx", &["store", "source", "pg_connection", "demo"]),
];

/// Where statements on our own tables may be written.
const SQL: &[&str] = &["store"];

#[test]
fn a_layer_imports_only_layers_below() {
    for (number, (name, _, imports)) in LAYERS.iter().enumerate() {
        let below: Vec<_> = LAYERS[..number].iter().map(|(name, ..)| name).collect();
        assert!(
            imports.iter().all(|import| below.contains(&import)),
            "`{name}` and what it imports make a circle"
        );
    }
}

#[test]
fn a_module_imports_only_what_its_layer_may() {
    let mut wrong = BTreeSet::new();
    for Source { module, file, code } in sources() {
        let Some((name, _, imports)) = layer(&module) else { continue };
        for path in code.paths {
            let allowed = match layer(&path) {
                Some((other, ..)) => other == name || imports.contains(other),
                None => !ENTRY.contains(&path.split("::").next().unwrap()),
            };
            if !allowed {
                wrong.insert(format!("{}: `{module}` may not import `{path}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    for Source { module, .. } in sources() {
        let is_entry = ENTRY.contains(&module.split("::").next().unwrap());
        assert!(is_entry || layer(&module).is_some(), "`{module}` has no layer in tests/layers.rs");
    }
}

#[test]
fn a_module_names_others_by_their_own_paths() {
    for Source { file, code, .. } in sources() {
        assert!(!code.climbs, "{} names something by `super::super`", file.display());
    }
}

#[test]
fn statements_on_our_tables_are_written_in_the_store() {
    let tables =
        "answer|chunk|document|document_index|escalation|index_version|job|job_history|session|source|token";
    let mut wrong = Vec::new();
    for Source { module, file, code } in
        sources().into_iter().filter(|source| !is_within(&source.module, SQL))
    {
        for text in code.texts {
            let names = |table: &str| {
                ["from", "join", "into", "update"].iter().any(|verb| {
                    let statement = format!("{verb} shopkeeper.{table}");
                    text.match_indices(&statement).any(|(at, _)| {
                        !text[at + statement.len()..]
                            .starts_with(|next: char| next.is_alphanumeric() || next == '_')
                    })
                })
            };
            if tables.split('|').any(names) {
                wrong.push(format!("{}: `{module}` has a statement on our tables", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_library_stays_where_it_belongs() {
    let mut wrong = Vec::new();
    for Source { module, file, code } in sources() {
        for (library, places) in RESERVED {
            if code.libraries.contains(*library) && !is_within(&module, places) {
                wrong.push(format!("{}: `{library}` belongs to {}", file.display(), places.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let lines = |file: &Path| fs::read_to_string(file).unwrap().lines().count();
    let files = ["src", "benches"].into_iter().flat_map(|folder| files(Path::new(folder)));
    let long = files.map(|file| (lines(&file), file));
    let long: Vec<_> = long.filter(|(lines, _)| *lines > 500).collect();
    assert!(long.is_empty(), "to be split along their ideas: {long:?}");
}

#[test]
fn paths_are_resolved_alone_in_groups_and_within_macros() {
    let code = "
        use crate::{store::{Store, jobs::{self, Lease}}, model as asked};
        use super::{slots::Slots, super::far::Thing};
        use child::Part;
        fn f(name: crate::model::Model) { query!(crate::job::run::<crate::indexing::Chunk>(name)) }
        #[cfg(test)]
        mod tests { use crate::cli::Unseen; }";
    let code = Code::read(
        code.parse().unwrap(),
        "queue::lease",
        &BTreeSet::from(["queue::lease::child".to_owned()]),
    );
    let expected = [
        "far::Thing",
        "indexing::Chunk",
        "job::run",
        "model",
        "model::Model",
        "queue::lease::child::Part",
        "queue::slots::Slots",
        "store::Store",
        "store::jobs",
        "store::jobs::Lease",
    ];
    assert_eq!(code.paths, expected.map(str::to_owned).into());
    assert!(code.climbs);
}

/// The layer of the longest part of a path that has one.
fn layer(path: &str) -> Option<&'static Layer> {
    let named = LAYERS.iter().flat_map(|layer| layer.1.iter().map(move |module| (module, layer)));
    let within = named.filter(|(module, _)| is_within(path, &[module]));
    within.max_by_key(|(module, _)| module.len()).map(|(_, layer)| layer)
}

/// Whether a path is one of these modules, or in it.
fn is_within(path: &str, modules: &[&str]) -> bool {
    modules
        .iter()
        .any(|module| path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

struct Source {
    module: String,
    file: PathBuf,
    code: Code,
}

/// What a file names, without its tests and comments.
#[derive(Default)]
struct Code {
    /// Paths into this crate, from its root.
    paths: BTreeSet<String>,
    /// Other crates.
    libraries: BTreeSet<String>,
    /// String literals.
    texts: Vec<String>,
    /// Whether something is named by `super::super`.
    climbs: bool,
}

impl Code {
    fn read(tokens: TokenStream, module: &str, modules: &BTreeSet<String>) -> Self {
        let mut code = Self::default();
        code.walk(&tokens.into_iter().collect::<Vec<_>>(), module, modules);
        code
    }

    fn walk(&mut self, tokens: &[TokenTree], module: &str, modules: &BTreeSet<String>) {
        let mut at = 0;
        while at < tokens.len() {
            at += match &tokens[at] {
                TokenTree::Punct(sign) if sign.as_char() == '#' && is_test(&tokens[at..]) => {
                    let end = tokens[at + 2..].iter().position(|token| match token {
                        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                        TokenTree::Punct(sign) => sign.as_char() == ';',
                        _ => false,
                    });
                    end.map_or(tokens.len(), |end| end + 3)
                }
                // What a doc comment says is no code.
                TokenTree::Punct(sign) if sign.as_char() == '#' && is_doc(&tokens[at..]) => 2,
                TokenTree::Ident(name) if is_path(&tokens[at..]) => {
                    let (mut found, name) = (Vec::new(), name.to_string());
                    let length = tree(&tokens[at..], "", &mut found);
                    for path in found {
                        self.note(&path, &name, module, modules);
                    }
                    length
                }
                TokenTree::Group(group) => {
                    self.walk(&group.stream().into_iter().collect::<Vec<_>>(), module, modules);
                    1
                }
                TokenTree::Literal(literal) => {
                    self.texts.push(literal.to_string());
                    1
                }
                _ => 1,
            };
        }
    }

    fn note(&mut self, path: &str, first: &str, module: &str, modules: &BTreeSet<String>) {
        let (mut base, mut rest, mut climbed) = (module.to_owned(), path, 0);
        while let Some(after) = rest.strip_prefix("super::") {
            base = base.rsplit_once("::").map(|(parent, _)| parent.to_owned()).unwrap_or_default();
            (rest, climbed) = (after, climbed + 1);
        }
        self.climbs |= climbed > 1;
        let within = |base: &str, rest: &str| {
            if base.is_empty() { rest.to_owned() } else { format!("{base}::{rest}") }
        };
        if let Some(rest) = path.strip_prefix("crate::") {
            self.paths.insert(rest.to_owned());
        } else if climbed > 0 {
            self.paths.insert(within(&base, rest));
        } else if let Some(rest) = path.strip_prefix("self::") {
            self.paths.insert(within(module, rest));
        } else if modules.contains(&within(module, first)) {
            self.paths.insert(within(module, path));
        } else {
            self.libraries.insert(first.to_owned());
        }
    }
}

fn is_sign(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn is_path(tokens: &[TokenTree]) -> bool {
    is_sign(tokens.get(1), ':') && is_sign(tokens.get(2), ':')
}

fn is_test(tokens: &[TokenTree]) -> bool {
    matches!(tokens.get(1), Some(TokenTree::Group(group)) if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

fn is_doc(tokens: &[TokenTree]) -> bool {
    matches!(tokens.get(1), Some(TokenTree::Group(group)) if group.stream().to_string().starts_with("doc"))
}

/// Flattens the path, or the tree of paths, that tokens begin with; returns how many tokens it has.
fn tree(tokens: &[TokenTree], prefix: &str, found: &mut Vec<String>) -> usize {
    let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    match tokens.first() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let members: Vec<_> = group.stream().into_iter().collect();
            for member in members.split(|token| is_sign(Some(token), ',')) {
                tree(member, prefix, found);
            }
            1
        }
        Some(TokenTree::Ident(name)) if is_path(tokens) => {
            let path = join(&name.to_string());
            if let Some(TokenTree::Ident(_) | TokenTree::Group(_)) = tokens.get(3) {
                return 3 + tree(&tokens[3..], &path, found);
            }
            // A turbofish.
            found.push(path);
            3
        }
        Some(TokenTree::Ident(name)) => {
            found.push(if *name == "self" { prefix.to_owned() } else { join(&name.to_string()) });
            1
        }
        _ => {
            found.push(prefix.to_owned());
            1
        }
    }
}

fn sources() -> Vec<Source> {
    let files = files(Path::new("src"));
    let module = |file: &Path| {
        let path = file.strip_prefix("src").unwrap().with_extension("");
        path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("::")
    };
    let modules: BTreeMap<_, _> = files.into_iter().map(|file| (module(&file), file)).collect();
    let names: BTreeSet<_> = modules.keys().cloned().collect();
    assert!(names.len() > 100, "the source was not found");
    let source = |(module, file): (String, PathBuf)| {
        let text = fs::read_to_string(&file).unwrap();
        let root = if module == "lib" || module == "main" { String::new() } else { module.clone() };
        Source { code: Code::read(text.parse().unwrap(), &root, &names), module, file }
    };
    modules.into_iter().map(source).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let nested = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    nested.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}
