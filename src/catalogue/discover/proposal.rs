//! The `[[source]]` of a table.

use std::fmt::Write;

use super::{ColumnKind, Reference, Table, columns};

/// A source that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its name in the settings.
    pub name: String,
    /// What it reads, for people.
    pub about: String,
    /// The table, or a query, and what goes with it, as lines of the settings.
    relation: Vec<String>,
    /// The other lines.
    keys: Vec<String>,
    /// Tables that triggers watch, as further lines.
    related: Vec<String>,
}

impl Proposal {
    /// The `[[source]]` in TOML. `place` is the line that says where the shop is, `is_postgres` whether it has triggers.
    pub fn block(&self, kind: &str, place: &str) -> String {
        let mut block =
            format!("# {}\n[[source]]\nname = {:?}\nkind = {kind:?}\n{place}\n", self.about, self.name);
        let related = if kind == "postgres" { self.related.as_slice() } else { &[] };
        for line in self.relation.iter().chain(&self.keys).chain(related) {
            block.push_str(line);
            block.push('\n');
        }
        block
    }
}

/// Proposes a source for a feed with these rows.
pub(super) fn propose_feed(table: &Table) -> Option<Proposal> {
    let mut proposal = propose(table, &[], '"')?;
    proposal.relation.clear();
    proposal.keys.retain(|line| !line.starts_with("updated_at"));
    Some(proposal)
}

/// Proposes a source for a table, if it has a key and a title or a text.
pub(super) fn propose(table: &Table, tables: &[Table], quote: char) -> Option<Proposal> {
    let key = key(table)?;
    let title = columns::title(table)?;
    let texts = columns::texts(table, title);
    let joined = joined(table, tables);
    let (sku, metadata) = (columns::sku(table), columns::metadata(table));
    let taken: Vec<_> =
        texts.iter().copied().chain([title]).chain(metadata.iter().copied()).chain(sku).collect();
    let facts = columns::facts(table, &taken);
    let mut lines = vec![format!("key = {key}")];
    if let Some(changed) = columns::changed(table) {
        lines.push(format!("updated_at = {changed:?}    # polled each minute; listings find what it hides"));
    }
    lines.push(format!("title = {}", literal(&format!("{{{{ {} }}}}", variable(title)))));
    let mut template = String::new();
    for text in &texts {
        let filter = if columns::has_html(table, text) { "|text" } else { "" };
        let _ = writeln!(template, "{{{{ {}{filter} }}}}\n", variable(text));
    }
    let labelled = joined.iter().map(|join| join.alias.as_str()).chain(facts.iter().copied());
    for fact in labelled {
        let (name, label) = (variable(fact), label(fact));
        let _ = writeln!(template, "{{% if {name} %}}{label}: {{{{ {name} }}}}{{% endif %}}");
    }
    if template.is_empty() {
        template = format!("{{{{ {} }}}}", variable(title));
    }
    lines.push(format!("text = '''\n{}'''", template.trim_end()));
    let beside: Vec<_> = metadata
        .iter()
        .copied()
        .chain(joined.iter().map(|join| join.alias.as_str()))
        .map(|name| format!("{name:?}"))
        .collect();
    lines.push(format!("metadata = [{}]    # quoted in answers, never embedded", beside.join(", ")));
    lines.extend(sku.map(|sku| format!("sku = {sku:?}")));
    let (relation, related) = relation(table, &joined, &|identifier| quoted(identifier, quote));
    let rows = if table.sample.is_empty() { " (it has no rows)" } else { "" };
    Some(Proposal {
        name: String::new(),
        about: format!(
            "{}{rows}: {} of its {} columns are read",
            table.name,
            taken.len() + facts.len(),
            table.columns.len()
        ),
        relation,
        keys: lines,
        related,
    })
}

/// The key as TOML: the primary key, or a column that is usually one.
fn key(table: &Table) -> Option<String> {
    let named = |name: &str| table.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    match &*table.key {
        [] => ["id", "sku", "slug", "handle"]
            .into_iter()
            .find_map(named)
            .map(|column| format!("{:?}", column.name)),
        [column] => Some(format!("{column:?}")),
        columns => Some(format!("{columns:?}")),
    }
}

/// A table with names that the table refers to, such as its category.
struct Join<'a> {
    reference: &'a Reference,
    /// The column with the name.
    name: &'a str,
    /// What the query calls it.
    alias: String,
}

fn joined<'a>(table: &'a Table, tables: &'a [Table]) -> Vec<Join<'a>> {
    let joins = table.references.iter().filter_map(|reference| {
        let other = tables.iter().find(|other| other.name == reference.table && other.name != table.name)?;
        let name = columns::title(other)?;
        let alias = reference.column.trim_end_matches("_id").to_owned();
        let is_free = !table.columns.iter().any(|column| column.name == alias);
        is_free.then_some(Join { reference, name, alias })
    });
    joins.take(4).collect()
}

/// The table, or a query that joins the names that it refers to.
fn relation(
    table: &Table,
    joined: &[Join<'_>],
    quote: &dyn Fn(&str) -> String,
) -> (Vec<String>, Vec<String>) {
    let quoted = |name: &str| name.split('.').map(quote).collect::<Vec<_>>().join(".");
    if joined.is_empty() {
        let mut lines = vec![format!("table = {:?}", table.name)];
        let condition = columns::condition(table, quote);
        lines.extend(condition.map(|condition| format!("where = {}", literal(&condition))));
        return (lines, Vec::new());
    }
    let mut query = "select p.*".to_owned();
    for (number, join) in joined.iter().enumerate() {
        let _ = write!(query, ", j{number}.{} as {}", quote(join.name), quote(&join.alias));
    }
    let _ = write!(query, "\nfrom {} as p", quoted(&table.name));
    for (number, Join { reference, .. }) in joined.iter().enumerate() {
        let (other, target, column) =
            (quoted(&reference.table), quote(&reference.target), quote(&reference.column));
        let _ = write!(query, "\nleft join {other} as j{number} on j{number}.{target} = p.{column}");
    }
    if let Some(condition) = columns::condition(table, |name| format!("p.{}", quote(name))) {
        let _ = write!(query, "\nwhere {condition}");
    }
    let columns =
        |row: &str| table.key.iter().map(|key| format!("{row}{}", quote(key))).collect::<Vec<_>>().join(", ");
    let mut related = Vec::new();
    if !table.key.is_empty() {
        let watch = |name: &str, keys: String| {
            format!(
                "[[source.related]]    # for `shopkeeper trigger install`\ntable = {name:?}\nkeys = {}",
                literal(&keys)
            )
        };
        related.push(watch(&table.name, format!("select {}", columns("row_."))));
        for Join { reference, .. } in joined {
            let keys = format!(
                "select {} from {} where {} = row_.{}",
                columns(""),
                quoted(&table.name),
                quote(&reference.column),
                quote(&reference.target)
            );
            related.push(watch(&reference.table, keys));
        }
    }
    (vec![format!("query = '''\n{query}'''")], related)
}

/// Quotes an identifier if it must be.
fn quoted(identifier: &str, quote: char) -> String {
    const WORDS: &[&str] =
        &["order", "group", "key", "index", "table", "user", "desc", "condition", "rank", "usage"];
    let is_plain = identifier.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && identifier.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !WORDS.contains(&identifier);
    if is_plain {
        identifier.to_owned()
    } else {
        format!("{quote}{}{quote}", identifier.replace(quote, &format!("{quote}{quote}")))
    }
}

/// A column in a template.
fn variable(column: &str) -> String {
    let is_plain = column.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !["row", "not", "and", "or", "in", "is", "if", "else", "true", "false", "none", "range", "dict"]
            .contains(&column);
    if is_plain { column.to_owned() } else { format!("row[\"{column}\"]") }
}

/// `care_label` as people write it.
fn label(column: &str) -> String {
    let mut label = column.replace('_', " ");
    if let Some(first) = label.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    label
}

/// A TOML string without escapes if possible.
fn literal(text: &str) -> String {
    if text.contains(['\'', '\n']) { toml::Value::from(text).to_string() } else { format!("'{text}'") }
}

/// The kinds of values that templates compare.
impl ColumnKind {
    /// By the name of a type in PostgreSQL or MySQL.
    pub fn of_type(name: &str) -> Self {
        let name = name.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&["bool"]) || name == "tinyint(1)" {
            Self::Boolean
        } else if has(&["timestamp", "datetime"]) || name == "date" {
            Self::Time
        } else if has(&["int", "numeric", "decimal", "double", "real", "float", "money"])
            && !has(&["interval", "point"])
        {
            Self::Number
        } else if has(&["char", "text", "enum"]) {
            Self::Text
        } else {
            Self::Other
        }
    }
}
