//! Which columns templates read.

use std::collections::BTreeSet;

use minijinja::Template;

/// The columns that documents are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnsRead {
    /// The columns that templates name.
    pub in_templates: BTreeSet<String>,
    /// Metadata and the stock keeping unit.
    pub beside: BTreeSet<String>,
    /// Whether templates may read any other column: through `variants`, or a `row` whose columns they compute.
    pub all: bool,
}

impl ColumnsRead {
    /// The columns that the settings name.
    pub fn named(&self) -> BTreeSet<String> {
        self.in_templates.union(&self.beside).cloned().collect()
    }

    /// The columns to read from a source that has these.
    pub fn of(&self, present: &[String]) -> BTreeSet<String> {
        if self.all { present.iter().cloned().collect() } else { self.named() }
    }

    /// Whether a column is read.
    pub fn has(&self, column: &str) -> bool {
        self.all || self.in_templates.contains(column) || self.beside.contains(column)
    }

    pub(super) fn add_template(&mut self, template: &Template<'_, '_>) {
        self.in_templates.extend(template.undeclared_variables(false));
        self.all |= self.in_templates.remove("variants");
        if self.in_templates.remove("row") {
            for lookup in lookups(template.source()) {
                match lookup {
                    Some(column) => _ = self.in_templates.insert(column.to_owned()),
                    None => self.all = true,
                }
            }
        }
    }
}

/// What each `row` in a template is asked for: `row["Name"]` or `row.name`; `None` for anything else.
fn lookups(template: &str) -> impl Iterator<Item = Option<&str>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    template.match_indices("row").filter_map(move |(at, _)| {
        let (before, after) = (&template[..at], &template[at + 3..]);
        let is_name = before.ends_with(|c| is_word(c) || c == '.') || after.starts_with(is_word);
        let is_code = before.rfind("{{").max(before.rfind("{%")) > before.rfind("}}").max(before.rfind("%}"));
        (is_code && !is_name).then(|| lookup(after.trim_start(), is_word))
    })
}

fn lookup(after: &str, is_word: impl Fn(char) -> bool) -> Option<&str> {
    if let Some(name) = after.strip_prefix('.') {
        let end = name.find(|c| !is_word(c)).unwrap_or(name.len());
        return Some(&name[..end]);
    }
    let literal = after.strip_prefix('[')?.trim_start();
    let quote = literal.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let (name, rest) = literal[1..].split_once(quote)?;
    (rest.trim_start().starts_with(']') && !name.contains('\\')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::lookups;

    #[test]
    fn columns_are_found_by_their_names_in_quotes() {
        for (template, expected) in [
            (
                "{{ row[\"Body (HTML)\"] }} row {{ row [ 'Name *' ] }}",
                vec![Some("Body (HTML)"), Some("Name *")],
            ),
            ("{{ row.name.de }}{% if row[\"a\"] %}{% endif %}", vec![Some("name"), Some("a")]),
            ("{{ row[column] }} {{ row | length }}", vec![None, None]),
            ("{{ rows }} {{ arrow }} {{ product.row }}", vec![]),
        ] {
            assert_eq!(lookups(template).collect::<Vec<_>>(), expected, "{template}");
        }
    }
}
