//! The manual compared with the program: every key, metric, message and command of one must be in the other.

use std::path::{Path, PathBuf};

use crate::prelude::*;
use strum::VariantNames;

type Words = BTreeSet<String>;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(here(path)).unwrap()
}

/// The files of a folder and of those in it, with this ending.
fn files(folder: PathBuf, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(path, ending));
        } else if path.extension().is_some_and(|known| known == ending) {
            found.push(path);
        }
    }
    found
}

/// What an operator reads, by path.
fn documents() -> Vec<(PathBuf, String)> {
    let paths = files(here("docs"), "md").into_iter().chain([here("README.md"), here("deploy/README.md")]);
    paths.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn words<'a>(all: impl IntoIterator<Item = &'a str>) -> Words {
    all.into_iter().map(str::to_owned).collect()
}

/// The cells of the tables under a heading whose first column has this name.
fn rows(document: &str, heading: &str, first: &str) -> Vec<Vec<String>> {
    let under = document.lines().skip_while(|line| line.trim_start_matches('#').trim() != heading).skip(1);
    let under = under.take_while(|line| !line.starts_with('#'));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let rows = under.skip_while(|line| cells(line)[0] != first).skip(2);
    rows.take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// A table of `jobs.toml`: its heading and its lines.
type Table = (String, BTreeMap<String, String>);

fn table(text: &str) -> Table {
    let (heading, lines) = text.split_once('\n').unwrap_or((text, ""));
    let lines = lines.lines().map(|line| line.split_once(" = ").unwrap());
    (heading.to_owned(), lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// The least that each section of the document needs, in a file of its own; the section itself is the last.
fn least(section: &str) -> Vec<Table> {
    let source = "[[source]]\nname = \"s\"\nkey = \"id\"\ntitle = \"t\"\ntext = \"t\"\n";
    let shop = format!("{source}kind = \"postgres\"\nurl = \"postgres://u@h/shop\"\ntable = \"product\"");
    let feed = format!("{source}kind = \"feed\"\npath = \"p.csv\"\nformat = \"csv\"");
    let mysql = format!("{source}kind = \"mysql\"\nurl = \"mysql://u@h/shop\"\ntable = \"product\"");
    let api = format!("{source}kind = \"api\"\nurl = \"https://s/\"");
    let related = "[[source.related]]\ntable = \"c\"\nkeys = \"select 1\"";
    let schedule = "[[schedule]]\nname = \"n\"\ncron = \"0 * * * *\"\njob = \"sync_catalogue\"";
    let webhook = "[[webhook]]\nname = \"w\"\nurl = \"https://w/\"\nsecret = { env = \"HOOK\" }";
    let mut tables =
        vec!["[database]\nurl = \"postgres://u@h/ours\"", "[openai]\napi_key = { env = \"KEY\" }"];
    match section {
        "[database]" => tables.swap(0, 1),
        "[openai]" => {}
        "[embedding.second]" => {
            tables.extend(["[embedding]", "[embedding.second]\nmodel = \"m\"\ndimensions = 7"]);
        }
        "[embedding.next]" => {
            tables.extend(["[embedding]", "[embedding.next]\nmodel = \"m\"\ndimensions = 7"]);
        }
        "[rerank]" => {
            tables[1] = "[openai]\nbase_url = \"http://local/v1\"";
            tables.push("[rerank]\nmodel = \"m\"");
        }
        "[[source]]" | "`kind = \"postgres\"`" => tables.push(&shop),
        "`kind = \"feed\"`" => tables.push(&feed),
        "`kind = \"mysql\"`" => tables.push(&mysql),
        "`kind = \"api\"`" => tables.push(&api),
        "[[source.related]]" => tables.extend([&shop, related]),
        "[[schedule]]" => tables.push(schedule),
        "[[webhook]]" => tables.push(webhook),
        "[http]" | "[console]" | "[embedding]" | "[answers]" | "[budget]" | "[retention]" | "[telemetry]" => {
            tables.push(section);
        }
        queue => {
            let is_known = Workers::KINDS.iter().any(|kind| queue == format!("[queue.{kind}]"));
            assert!(is_known, "no section {queue}");
            tables.push(queue);
        }
    }
    tables.into_iter().map(table).collect()
}

/// What the program makes of a file, or its faults.
fn read(tables: &[Table]) -> Result<Value, Vec<shopkeeper::config::Fault>> {
    let lines = |lines: &BTreeMap<String, String>| -> String {
        lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    };
    let file: String = tables.iter().map(|(heading, keys)| format!("{heading}\n{}", lines(keys))).collect();
    let environment =
        [("KEY", "sk-1"), ("HOOK", WEBHOOK_SECRET)].map(|(name, value)| (name.into(), value.into()));
    let config = Config::parse(&file, "jobs.toml", PathBuf::new(), &BTreeMap::from(environment));
    config.map(|config| serde_json::to_value(config).unwrap()).map_err(|faults| faults.faults)
}

fn insert(mut tables: Vec<Table>, key: &str, value: &str) -> Vec<Table> {
    tables.last_mut().unwrap().1.insert(key.to_owned(), value.to_owned());
    tables
}

/// Every key of the document: its section as `least` knows it, its name, and the cell of its default.
fn documented() -> Vec<(String, String, String)> {
    let document = text("docs/settings.md");
    let kinds = rows(&document, "[queue.KIND]", "kind");
    let mut all = Vec::new();
    let headings = document.lines().filter(|line| line.starts_with("##"));
    for heading in headings.map(|line| line.trim_start_matches('#').trim()) {
        for row in rows(&document, heading, "key") {
            let (key, default) = (row[0].trim_matches('`').to_owned(), row[2].clone());
            if heading != "[queue.KIND]" {
                all.push((heading.to_owned(), key, default));
                continue;
            }
            for kind in &kinds {
                let section = format!("[queue.{}]", kind[0].trim_matches('`'));
                let default = if default == "by kind" { &kind[1] } else { &default };
                all.push((section, key.clone(), default.clone()));
            }
        }
    }
    assert!(all.len() > 100, "{all:?}");
    all
}

/// Another value than any default.
fn sample(key: &str) -> &'static str {
    match key {
        "base_url" => "\"http://other/v1\"",
        "api_key" => "{ env = \"KEY\" }",
        "timeout" => "\"9s\"",
        "headers" | "query" | "extra_body" => "{ x = \"y\" }",
        "max_request_tokens" => "9000",
        "chunk_tokens" => "299",
        _ => "9",
    }
}

/// The value of a key before and after the section above it sets that key.
fn inherited(section: &str, above: &str, key: &str) -> [Value; 2] {
    let path = section.trim_matches(['[', ']']).replace('.', "/");
    let path = format!("/{path}/{key}");
    let mut tables = least(section);
    let seen = |tables: &[Table]| read(tables).unwrap().pointer(&path).unwrap().clone();
    let table = tables.iter().position(|(heading, _)| heading == above).unwrap();
    if key == "api_key" {
        tables[1].1 = BTreeMap::from([("base_url".to_owned(), "\"http://local/v1\"".to_owned())]);
    }
    let before = seen(&tables);
    tables[table].1.insert(key.to_owned(), sample(key).to_owned());
    [before, seen(&tables)]
}

#[test]
fn every_key_of_the_settings_document_is_known_and_has_the_default_that_it_says() {
    for (section, key, default) in documented() {
        let (least, name) = (least(&section), format!("{section} {key}"));
        let blames = |fault: &shopkeeper::config::Fault, message: &str| {
            fault.path.ends_with(&key) && fault.message.starts_with(message)
        };
        if default == "required" {
            let mut without = least;
            without.last_mut().unwrap().1.remove(&key).unwrap_or_else(|| panic!("{name} is not required"));
            let faults = read(&without).err().unwrap_or_else(|| panic!("{name} is not required"));
            assert!(faults.iter().any(|fault| blames(fault, "is required")), "{name}: {faults:?}");
        } else if default.starts_with("by the model card") {
            let unknown = insert(least, "model", "\"unknown\"");
            if let Some(value) = default.strip_prefix("by the model card, else `") {
                let path = format!("/{}/{key}", section.trim_matches(['[', ']']).replace('.', "/"));
                let seen = read(&insert(unknown, "dimensions", "7")).unwrap().pointer(&path).unwrap().clone();
                assert_eq!(seen.to_string(), value.trim_matches('`'), "{name}");
                continue;
            }
            let mut without = unknown.clone();
            without.last_mut().unwrap().1.remove(&key);
            let faults = read(&without).err().unwrap_or_else(|| panic!("{name} is not required"));
            assert!(faults.iter().any(|fault| blames(fault, "is required")), "{name}: {faults:?}");
            assert!(read(&insert(unknown, &key, "7")).is_ok(), "{name}");
        } else if let Some(above) = default.strip_prefix("as ") {
            let [before, after] = inherited(&section, above.trim_matches('`'), &key);
            assert_ne!(before, after, "{name} is not {default}");
        } else if default == "–" {
            let of_eval = ["args.file", "args.min_hit_at_5"].contains(&key.as_str());
            let least = if of_eval { insert(least, "job", "\"eval\"") } else { least };
            let faults = read(&insert(least, &key, "\"x\"")).err().unwrap_or_default();
            assert!(!faults.iter().any(|fault| blames(fault, "is not a key")), "{name}: {faults:?}");
        } else {
            let without = read(&least).unwrap_or_else(|faults| panic!("{section}: {faults:?}"));
            let written = read(&insert(least, &key, default.trim_matches('`')));
            let written = written.unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
            assert_eq!(written, without, "{name} has another default than {default}");
        }
    }
}

/// The keys of a section as the program has them; those of tables in it after a dot.
fn keys(section: &Value) -> Words {
    let mut found = Words::new();
    for (key, value) in section.as_object().unwrap() {
        match value {
            Value::Object(inner) if ["backoff", "mass_delete_limit"].contains(&key.as_str()) => {
                found.extend(inner.keys().map(|inner| format!("{key}.{inner}")));
            }
            _ => drop(found.insert(key.clone())),
        }
    }
    found
}

#[test]
fn every_key_that_the_program_has_stands_in_the_settings_document() {
    let documented = documented();
    let keys_of = |section: &str| -> Words {
        documented.iter().filter(|(known, _, _)| known == section).map(|(_, key, _)| key.clone()).collect()
    };
    let less = |mut keys: Words, left_out: &[&str]| {
        keys.retain(|key| !left_out.contains(&key.as_str()));
        keys
    };
    let all = read(&least("[embedding.next]")).unwrap();
    let sections: Words = documented
        .iter()
        .map(|(section, _, _)| section.trim_matches(['[', ']']))
        .map(|section| section.split(['.', ' ']).next().unwrap().trim_matches('`').to_owned())
        .filter(|section| !["openai", "kind", "rerank"].contains(&section.as_str()))
        .collect();
    assert_eq!(sections, keys(&all));
    assert_eq!(keys_of("[rerank]"), keys(&read(&least("[rerank]")).unwrap()["rerank"]), "[rerank]");
    for section in ["database", "http", "console", "answers", "budget", "retention", "telemetry"] {
        assert_eq!(keys_of(&format!("[{section}]")), keys(&all[section]), "[{section}]");
    }
    let embedding = less(keys(&all["embedding"]), &["second", "next"]);
    assert_eq!(keys_of("[embedding]"), embedding);
    let both: Words = embedding.intersection(&keys(&all["answers"])).cloned().collect();
    assert_eq!(keys_of("[openai]"), less(both, &["model"]));
    // One cache serves all models, and the first two have the same chunks.
    let shared = ["cache_entries", "tokenizer", "chunk_tokens", "chunk_overlap"];
    assert_eq!(keys_of("[embedding.next]"), less(keys(&all["embedding"]["next"]), &shared[..1]));
    let second = read(&least("[embedding.second]")).unwrap()["embedding"]["second"].take();
    assert_eq!(keys_of("[embedding.second]"), less(keys(&second), &shared));
    assert_eq!(words(Workers::KINDS.iter().copied()), keys(&all["queue"]));
    for (kind, limits) in all["queue"].as_object().unwrap() {
        assert_eq!(keys_of(&format!("[queue.{kind}]")), keys(limits), "[queue.{kind}]");
    }
    let first = |section: &str, pointer: &str, tables: Vec<Table>| {
        keys(read(&tables).unwrap_or_else(|faults| panic!("{section}: {faults:?}")).pointer(pointer).unwrap())
    };
    let shop = || least("`kind = \"postgres\"`");
    let instead = |section: &str, left_out: &str, key: &str, value: &str| {
        let mut tables = insert(least(section), key, value);
        tables.last_mut().unwrap().1.remove(left_out);
        first(section, "/source/0", tables)
    };
    let mut source = first("where", "/source/0", insert(shop(), "where", "\"true\""));
    source.extend(instead("`kind = \"postgres\"`", "table", "query", "\"select 1\""));
    source.extend(instead("`kind = \"feed\"`", "url", "path", "\"p.csv\""));
    source.extend(instead("`kind = \"feed\"`", "path", "url", "\"https://f/\""));
    source.extend(first("`kind = \"mysql\"`", "/source/0", least("`kind = \"mysql\"`")));
    source.extend(first("`kind = \"api\"`", "/source/0", least("`kind = \"api\"`")));
    let kinds = ["postgres", "mysql", "api", "feed"].map(|kind| format!("`kind = \"{kind}\"`"));
    let tables = ["[[source]]"].into_iter().chain(kinds.iter().map(String::as_str));
    let told: Words = tables.flat_map(keys_of).collect();
    assert_eq!(told, less(source, &["related"]), "[[source]]");
    for (section, pointer) in [("[[source.related]]", "/source/0/related/0"), ("[[webhook]]", "/webhook/0")] {
        assert_eq!(keys_of(section), first(section, pointer, least(section)), "{section}");
    }
    let mut schedule = first("[[schedule]]", "/schedule/0", least("[[schedule]]"));
    assert!(schedule.remove("args"));
    let eval = insert(insert(least("[[schedule]]"), "job", "\"eval\""), "args", "{ file = \"g.jsonl\" }");
    for tables in [least("[[schedule]]"), eval] {
        let args = first("[[schedule]]", "/schedule/0/args", tables).into_iter();
        schedule.extend(args.map(|key| format!("args.{key}")));
    }
    assert_eq!(keys_of("[[schedule]]"), schedule, "[[schedule]]");
}

#[test]
fn roles_and_alerts_are_told_all() {
    let document = text("docs/operations.md");
    let first = |heading: &str, name: &str| -> Vec<String> {
        let rows = rows(&document, heading, name).into_iter();
        rows.map(|row| row[0].split('`').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(first("Scale", "role"), Role::VARIANTS);
    let alerts = text("deploy/prometheus/alerts.yml");
    let named = alerts.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: "));
    assert_eq!(words(first("Alerts", "alert").iter().map(String::as_str)), words(named));
    let critical = alerts.split("- alert: ").skip(1).filter(|rule| rule.contains("severity: critical"));
    let critical = critical.map(|rule| rule.lines().next().unwrap());
    let told = document.lines().filter(|line| line.contains("` (critical)"));
    assert_eq!(words(told.map(|line| line.split('`').nth(1).unwrap())), words(critical));
}

#[tokio::test]
async fn every_metric_is_told_with_its_labels() {
    let document = text("docs/operations.md");
    let mut told: BTreeMap<String, Words> = BTreeMap::new();
    for row in rows(&document, "Metrics and traces", "metric `shopkeeper_…`") {
        for metric in row[0].split('`').skip(1).step_by(2) {
            let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
            told.insert(format!("shopkeeper_{name}"), words(labels));
        }
    }
    let source = text("src/telemetry/registry.rs");
    let known = source.split('"').filter(|part| part.starts_with("shopkeeper_"));
    assert_eq!(words(told.keys().map(String::as_str)), words(known));

    let (world, daemon) = shop_with_daemon().await;
    daemon.ask(&world, question(PRICE)).await;
    let metrics = daemon.metrics().await;
    daemon.stop().await;
    for line in metrics.lines().filter(|line| line.starts_with("shopkeeper_")) {
        let (name, labels) = line.split_once('{').unwrap_or((line.split(' ').next().unwrap(), ""));
        let ends = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let labels = labels.split("\",").filter_map(|label| label.split('=').next());
        let mut labels = words(labels.filter(|label| !label.is_empty() && !label.starts_with('}')));
        labels.remove("le");
        assert_eq!(told.get(name).or_else(|| told.get(ends?)), Some(&labels), "{line}");
    }
}

/// The parts of a text in double quotes outside of code.
fn quoted(document: &str) -> Vec<String> {
    let (mut found, mut quote, mut is_code) = (Vec::new(), None::<String>, false);
    for character in document.chars() {
        match (&mut quote, character) {
            (Some(_), '"') => found.extend(quote.take()),
            (Some(quote), _) => quote.push(character),
            (None, '`') => is_code = !is_code,
            (None, '"') if !is_code => quote = Some(String::new()),
            (None, _) => {}
        }
    }
    found
}

#[test]
fn every_message_that_is_quoted_is_one_of_ours() {
    let sources = files(here("src"), "rs").into_iter().chain(files(here("migrations"), "sql"));
    let sources: String = sources.map(|path| fs::read_to_string(path).unwrap()).collect();
    // A string may go on in the next line.
    let ours: String = sources.split("\\\n").map(str::trim_start).collect();
    let quoted = quoted(&text("docs/troubleshooting.md"));
    assert!(quoted.len() > 50);
    for message in quoted {
        for part in message.split('…').map(str::trim).filter(|part| part.len() > 3) {
            assert!(ours.contains(part), "nobody says {part:?} of {message:?}");
        }
    }
}

/// The commands in a text, with their arguments.
fn commands(document: &str) -> Words {
    let lines = document
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2).chain((!line.contains('`')).then_some(line)));
    let ends = |character: char| "#;|)…".contains(character);
    let commands = lines.filter_map(|line| line.trim().strip_prefix("shopkeeper "));
    words(commands.map(|command| command.split(ends).next().unwrap().trim()))
}

#[tokio::test]
async fn every_command_that_is_told_is_there_with_its_flags() {
    let mut all: Words = documents().iter().flat_map(|(_, document)| commands(document)).collect();
    all.extend(commands(&text("deploy/prometheus/alerts.yml")));
    assert!(all.len() > 40, "{all:?}");
    for command in all {
        let plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
        let verbs: Vec<_> = command.split(' ').take_while(plain).take(2).collect();
        let Some(verb) = verbs.first() else { continue };
        let mut help = program(&[&verbs[..], &["--help"]].concat(), &[]).await;
        if !help.status.success() {
            // The second word is its argument.
            help = program(&[verb, "--help"], &[]).await;
            assert!(!stdout(&help).contains("<COMMAND>"), "shopkeeper {command}");
        }
        assert!(help.status.success(), "shopkeeper {command}: {}", stderr(&help));
        let help = stdout(&help);
        for flag in command.split([' ', '[', ']', '=']).filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "shopkeeper {command}: {flag}");
        }
    }
}

/// The name of a heading in an address, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut seen = 0;
    for (path, document) in documents() {
        let links = document.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let linked = fs::read(&to);
            let linked = linked.unwrap_or_else(|error| panic!("{}: {link}: {error}", path.display()));
            // A picture is no text, and has no headings.
            let linked = String::from_utf8_lossy(&linked);
            let mut headings = linked.lines().filter(|line| line.starts_with('#'));
            let has = heading.is_empty()
                || headings.any(|line| anchor(line.trim_start_matches('#').trim()) == heading);
            assert!(has, "{}: {link}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}
