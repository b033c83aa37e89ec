//! Proposes sources for tables that nobody has described: which look like products, questions and answers, or pages, and
//! what of them makes a document.
//!
//! Pure: it looks at names, types and some rows.

use std::collections::BTreeSet;

use super::values::{self, Columns};

mod columns;
mod proposal;

pub use proposal::Proposal;

/// A table or a view, as a database describes it.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Table {
    /// With its schema unless that is the usual one.
    pub name: String,
    pub columns: Vec<Column>,
    /// The columns of its primary key; empty without one.
    pub key: Vec<String>,
    pub references: Vec<Reference>,
    /// Some rows.
    pub sample: Vec<Columns>,
}

/// A column.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Column {
    pub name: String,
    pub kind: ColumnKind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ColumnKind {
    Text,
    Number,
    Boolean,
    Time,
    Other,
}

/// A foreign key of one column.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Reference {
    pub column: String,
    pub table: String,
    pub target: String,
}

/// What the documents of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum Subject {
    Product,
    Faq,
    Policy,
}

const PRODUCTS: &[&str] = &["product", "products", "item", "items", "article", "articles", "goods"];
const QUESTIONS: &[&str] = &["faq", "faqs", "faqentry", "question", "questions", "helparticle"];
const PAGES: &[&str] = &["policy", "policies", "page", "pages", "flatpage", "flatpages"];

/// The sources that a database seems to have, products first. `quote` is the character around its identifiers.
pub fn propose(tables: &[Table], quote: char) -> Vec<Proposal> {
    let mut proposals: Vec<Proposal> = Vec::new();
    let mut names = BTreeSet::new();
    for subject in [Subject::Product, Subject::Faq, Subject::Policy] {
        let candidates = tables.iter().filter(|table| subject_of(&table.name) == Some(subject));
        // Of several, the one with most rows in the sample and then with most columns.
        let best = candidates
            .filter_map(|table| {
                Some((table.sample.len(), table.columns.len(), proposal::propose(table, tables, quote)?))
            })
            .max_by_key(|(rows, columns, _)| (*rows, *columns));
        if let Some((_, _, mut proposal)) = best {
            let name: &str = subject.into();
            if names.insert(name) {
                name.clone_into(&mut proposal.name);
                proposals.push(proposal);
            }
        }
    }
    proposals
}

/// Whether rows of a table are worth a look.
pub fn is_candidate(table: &str) -> bool {
    subject_of(table).is_some()
}

/// The source of a feed with these rows.
pub fn propose_feed(name: &str, sample: Vec<Columns>) -> Option<Proposal> {
    let names: BTreeSet<_> = sample.iter().flat_map(|row| row.keys().cloned()).collect();
    let columns = names.into_iter().map(|name| Column { name, kind: ColumnKind::Text });
    let table = Table { name: name.to_owned(), columns: columns.collect(), sample, ..Table::default() };
    let mut proposal = proposal::propose_feed(&table)?;
    <&str>::from(Subject::Product).clone_into(&mut proposal.name);
    Some(proposal)
}

/// By the last word of a table's name: `catalogue_product` is one of products, `product_image` is not.
fn subject_of(table: &str) -> Option<Subject> {
    let name = table.rsplit('.').next().unwrap_or(table).to_lowercase();
    let last = name.rsplit('_').next().unwrap_or(&name);
    let is_one_of = |words: &[&str]| words.contains(&last) || words.contains(&&*name);
    [(PRODUCTS, Subject::Product), (QUESTIONS, Subject::Faq), (PAGES, Subject::Policy)]
        .into_iter()
        .find_map(|(words, subject)| is_one_of(words).then_some(subject))
}

/// The texts of a column in the sample.
fn sampled<'a>(table: &'a Table, column: &'a str) -> impl Iterator<Item = String> + 'a {
    table.sample.iter().filter_map(|row| values::text(row.get(column).map(|value| &**value)))
}

#[cfg(test)]
mod tests;
