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
type Layer = (&'static str, &'static str, &'static str);

/// From the bottom to the top: a layer imports only what is above it in this list.
const LAYERS: &[Layer] = &[
    ("side", "address clock telemetry http_client pg_connection retry_hint", ""),
    ("words", "words", ""),
    (
        "domain",
        "catalogue model answering evaluation indexing indexing::batching indexing::chunk indexing::chunking \
         indexing::cuts indexing::tokenizer",
        "words",
    ),
    ("store", "store", "domain side words"),
    ("source", "source", "domain side"),
    ("model-server", "model::openai", "domain side"),
    ("webhook", "webhook", "domain side"),
    ("job", "job", "domain store"),
    ("rate-limit", "model::rate_limit", "domain side store job"),
    ("sync", "sync", "domain side store job"),
    ("retention", "retention bulk", "domain side store job"),
    ("deliveries", "webhook::job", "domain side store job webhook"),
    (
        "indexing",
        "indexing::refresh indexing::fill indexing::maintain indexing::versions",
        "domain side store job rate-limit",
    ),
    ("answer-parts", "answering::cost answering::stream", "domain side store rate-limit"),
    (
        "answering",
        "answering::complete answering::fallback answering::family answering::known_fields answering::live answering::rank answering::retrieve",
        "domain side store job rate-limit indexing answer-parts",
    ),
    (
        "answers",
        "answering::job answering::outdated",
        "domain side store job rate-limit indexing answer-parts answering",
    ),
    ("evaluation", "evaluation::job", "domain side store job rate-limit indexing answer-parts answering"),
    ("queue", "queue", "side store job"),
    ("http", "http", "domain side store job sync deliveries answering answers"),
    (
        "console",
        "console",
        "domain side words store job sync indexing retention deliveries answer-parts answering answers",
    ),
    ("offline-models", "demo::models", "side"),
    ("settings", "config", "domain side store job source retention queue answer-parts answers evaluation"),
];

/// The entry layer: it may import everything, and nobody below may import it.
const ENTRY: &str = "cli daemon demo main lib";

/// Crates that belong to few modules, and which these are.
const RESERVED: &[(&str, &str)] = &[
    ("apalis", "queue"),
    ("apalis_core", "queue"),
    ("async_openai", "model::openai demo::models"),
    ("clap", "cli main"),
    ("anyhow", "cli daemon demo main"),
    ("axum", "http console demo::models daemon"),
    ("maud", "console"),
    ("sqlx", "store source pg_connection demo words"),
];

/// Our own tables. Only the store may have statements on them.
const TABLES: &str = "answer audit bulk_action chunk document document_index escalation handover_fit index_version job job_history session source token";

#[test]
fn a_layer_imports_only_layers_below() {
    for (number, (name, _, imports)) in LAYERS.iter().enumerate() {
        let is_below = |import| LAYERS[..number].iter().any(|(name, ..)| *name == import);
        assert!(imports.split(' ').all(|import| import.is_empty() || is_below(import)), "{name}");
    }
}

#[test]
fn a_module_imports_only_what_its_layer_may() {
    assert_none(|Source { module, code, .. }| {
        let Some((name, _, imports)) = layer(module) else { return Vec::new() };
        let is_allowed = |path: &&String| match layer(path) {
            Some((other, ..)) => other == name || contains(imports, other),
            None => !is_entry(path),
        };
        code.paths.iter().filter(|path| !is_allowed(path)).map(|path| format!("imports `{path}`")).collect()
    });
}

#[test]
fn every_module_has_a_layer() {
    assert_none(|Source { module, .. }| {
        let has_none = layer(module).is_none() && !is_entry(module);
        has_none.then(|| "has no layer in tests/layers.rs".to_owned()).into_iter().collect()
    });
}

#[test]
fn a_module_names_others_by_their_own_paths() {
    assert_none(|Source { code, .. }| {
        code.climbs.then(|| "names something by `super::super`".to_owned()).into_iter().collect()
    });
}

#[test]
fn statements_on_our_tables_are_written_in_the_store() {
    let is_statement = |text: &&String| {
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        words.windows(2).any(|pair| {
            let table = pair[1].strip_prefix("shopkeeper.").map(|table| table.trim_end_matches('.'));
            // An escaped line break before the verb leaves its letter: `\nfrom`.
            ["from", "join", "into", "update"].iter().any(|verb| pair[0].ends_with(verb))
                && table.is_some_and(|table| contains(TABLES, table))
        })
    };
    assert_none(|Source { module, code, .. }| {
        let texts = code.texts.iter().filter(|_| !is_within(module, "store"));
        texts.filter(is_statement).map(|text| format!("has a statement on our tables: {text}")).collect()
    });
}

#[test]
fn each_library_stays_where_it_belongs() {
    assert_none(|Source { module, code, .. }| {
        let reserved = RESERVED.iter().filter(|(library, _)| code.libraries.contains(*library));
        let misplaced = reserved.filter(|(_, places)| !is_within(module, places));
        misplaced.map(|(library, places)| format!("uses `{library}`, which belongs to {places}")).collect()
    });
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let lines = |file: &Path| fs::read_to_string(file).unwrap().lines().count();
    let files = ["src", "benches"].into_iter().flat_map(|folder| files(Path::new(folder)));
    let long: Vec<_> = files.map(|file| (lines(&file), file)).filter(|(lines, _)| *lines > 500).collect();
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
    let modules = BTreeSet::from(["queue::lease::child".to_owned()]);
    let mut read = Code::default();
    read.walk(code.parse().unwrap(), "queue::lease", &modules);
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
    assert_eq!(read.paths, expected.map(str::to_owned).into());
    assert!(read.climbs);
}

/// Fails with all faults of all files.
fn assert_none(faults: impl Fn(&Source) -> Vec<String>) {
    let sources = sources();
    let faults = sources.iter().flat_map(|source| {
        faults(source).into_iter().map(|fault| format!("{}: {fault}", source.file.display()))
    });
    let faults: Vec<_> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The layer of the longest part of a path that has one.
fn layer(path: &str) -> Option<&'static Layer> {
    let named = LAYERS.iter().flat_map(|layer| layer.1.split(' ').map(move |module| (module, layer)));
    let within = named.filter(|(module, _)| is_within(path, module));
    within.max_by_key(|(module, _)| module.len()).map(|(_, layer)| layer)
}

fn is_entry(path: &str) -> bool {
    is_within(path, ENTRY)
}

/// Whether a path is one of these modules, or in it.
fn is_within(path: &str, modules: &str) -> bool {
    modules
        .split(' ')
        .any(|module| path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

fn contains(words: &str, word: &str) -> bool {
    words.split(' ').any(|other| other == word)
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
    fn walk(&mut self, tokens: TokenStream, module: &str, modules: &BTreeSet<String>) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut rest = &tokens[..];
        while let [token, after @ ..] = rest {
            rest = match (token, after) {
                (sign, [TokenTree::Group(attribute), item @ ..]) if is_sign(sign, '#') => {
                    let attribute = attribute.stream().to_string().replace(' ', "");
                    if attribute == "cfg(test)" {
                        let end = item
                            .iter()
                            .position(|token| is_block(token) || is_sign(token, ';'))
                            .map_or(item.len(), |end| end + 1);
                        &item[end..]
                    } else if attribute.starts_with("doc") {
                        item
                    } else {
                        after
                    }
                }
                (TokenTree::Ident(_), [one, two, ..]) if is_sign(one, ':') && is_sign(two, ':') => {
                    let mut paths = Vec::new();
                    let after = flatten(rest, "", &mut paths);
                    for path in &paths {
                        self.add(path, module, modules);
                    }
                    after
                }
                (TokenTree::Group(group), _) => {
                    self.walk(group.stream(), module, modules);
                    after
                }
                (TokenTree::Literal(literal), _) => {
                    self.texts.push(literal.to_string());
                    after
                }
                _ => after,
            };
        }
    }

    fn add(&mut self, path: &str, module: &str, modules: &BTreeSet<String>) {
        let within = |base: &str, rest: &str| format!("{base}::{rest}").trim_start_matches("::").to_owned();
        let (mut base, mut rest, mut climbed) = (module, path, 0);
        while let Some(after) = rest.strip_prefix("super::") {
            base = base.rsplit_once("::").map_or("", |(parent, _)| parent);
            (rest, climbed) = (after, climbed + 1);
        }
        self.climbs |= climbed > 1;
        let first = path.split("::").next().unwrap();
        if let Some(rest) = path.strip_prefix("crate::") {
            self.paths.insert(rest.to_owned());
        } else if climbed > 0 {
            self.paths.insert(within(base, rest));
        } else if let Some(rest) = path.strip_prefix("self::") {
            self.paths.insert(within(module, rest));
        } else if modules.contains(&within(module, first)) {
            self.paths.insert(within(module, path));
        } else {
            self.libraries.insert(first.to_owned());
        }
    }
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_block(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// Flattens the path, or the tree of paths, that tokens begin with; returns the tokens after it.
fn flatten<'a>(tokens: &'a [TokenTree], prefix: &str, paths: &mut Vec<String>) -> &'a [TokenTree] {
    match tokens {
        [TokenTree::Ident(name), one, two, next @ ..] if is_sign(one, ':') && is_sign(two, ':') => {
            if matches!(next, [TokenTree::Ident(_) | TokenTree::Group(_), ..]) {
                return flatten(next, &format!("{prefix}{name}::"), paths);
            }
            // A turbofish or a glob.
            paths.push(format!("{prefix}{name}"));
            next
        }
        [TokenTree::Ident(name), rest @ ..] => {
            let path = format!("{prefix}{name}");
            paths.push(path.strip_suffix("::self").map(str::to_owned).unwrap_or(path));
            rest
        }
        [TokenTree::Group(group), rest @ ..] => {
            let members: Vec<_> = group.stream().into_iter().collect();
            for member in members.split(|token| is_sign(token, ',')) {
                flatten(member, prefix, paths);
            }
            rest
        }
        [_, rest @ ..] => {
            paths.push(prefix.trim_end_matches(':').to_owned());
            rest
        }
        [] => &[],
    }
}

fn sources() -> Vec<Source> {
    let module = |file: &Path| {
        let path = file.strip_prefix("src").unwrap().with_extension("");
        path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("::")
    };
    let files: BTreeMap<_, _> =
        files(Path::new("src")).into_iter().map(|file| (module(&file), file)).collect();
    let modules: BTreeSet<_> = files.keys().cloned().collect();
    assert!(modules.len() > 100, "the source was not found");
    let source = |(module, file): (String, PathBuf)| {
        let tokens = fs::read_to_string(&file).unwrap().parse().unwrap();
        let is_root = module == "lib" || module == "main";
        let mut code = Code::default();
        code.walk(tokens, if is_root { "" } else { &module }, &modules);
        Source { module, file, code }
    };
    // Files of tests may import what `#[cfg(test)]` modules may.
    let is_test = |module: &str| module.split("::").any(|part| part == "tests");
    files.into_iter().filter(|(module, _)| !is_test(module)).map(source).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let nested = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    nested.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}
