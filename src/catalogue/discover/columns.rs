//! What the columns of a table are for, by their names, types and values.

use super::{Column, ColumnKind, Table, sampled};
use crate::catalogue::html::is_html;

/// Names of columns that say what a document is, the likeliest first.
const TITLES: &[&str] = &["title", "name", "product_name", "question", "heading", "label", "headline"];
/// Names of columns with texts, in the order in which they are read.
const TEXTS: &[&str] = &[
    "subtitle",
    "tagline",
    "summary",
    "short_description",
    "description_short",
    "excerpt",
    "description",
    "body",
    "body_html",
    "content",
    "text",
    "answer",
    "long_description",
    "details",
    "specification",
    "specifications",
    "features",
    "ingredients",
    "care",
    "usage",
];
/// Names of columns that change often or are looked up, and are kept beside the text.
const METADATA: &[&str] = &[
    "price",
    "unit_price",
    "sale_price",
    "amount",
    "currency",
    "stock",
    "quantity",
    "qty",
    "stock_quantity",
    "inventory",
    "availability",
    "rating",
    "slug",
    "handle",
    "url",
    "link",
    "image",
    "image_url",
    "thumbnail",
];
const SKUS: &[&str] = &["sku", "article_number", "upc", "ean", "gtin", "reference", "code"];
const CHANGED: &[&str] = &[
    "updated_at",
    "modified_at",
    "date_updated",
    "updated",
    "modified",
    "date_modified",
    "last_modified",
    "write_date",
    "date_upd",
    "updatedat",
];
const SHOWN: &[&str] = &[
    "is_active",
    "active",
    "is_public",
    "is_published",
    "published",
    "enabled",
    "is_enabled",
    "visible",
    "is_visible",
];
const DELETED: &[&str] = &["deleted_at", "deletedat"];
/// Words in names of columns that customers do not read.
const INTERNAL: &[&str] = &[
    "id", "uuid", "hash", "token", "password", "created", "at", "by", "path", "lft", "rght", "depth",
    "position", "order", "sort", "search", "vector", "meta", "seo", "json", "data", "type", "class", "tax",
    "cost", "supplier", "status", "raw",
];
/// From this average length on, a text is one that is read.
const LONG: usize = 60;

pub(super) fn title(table: &Table) -> Option<&str> {
    first(table, TITLES, |column| column.kind == ColumnKind::Text)
}

/// The columns with texts.
pub(super) fn texts<'a>(table: &'a Table, title: &str) -> Vec<&'a str> {
    let known =
        TEXTS.iter().filter_map(|name| first(table, &[name], |column| column.kind == ColumnKind::Text));
    let mut texts: Vec<_> = known.filter(|name| *name != title).collect();
    for column in &table.columns {
        let name = column.name.as_str();
        let is_new = column.kind == ColumnKind::Text && name != title && !texts.contains(&name);
        if is_new
            && !is_internal(name)
            && !METADATA.contains(&lower(name).as_str())
            && average(table, name) >= LONG
        {
            texts.push(name);
        }
    }
    texts
}

/// The columns with a fact each, such as a colour.
pub(super) fn facts<'a>(table: &'a Table, taken: &[&str]) -> Vec<&'a str> {
    let is_fact = |column: &&Column| {
        let name = lower(&column.name);
        let is_readable = matches!(column.kind, ColumnKind::Text | ColumnKind::Number);
        let is_known = [METADATA, SKUS, CHANGED, SHOWN].iter().any(|names| names.contains(&name.as_str()));
        is_readable
            && !is_known
            && !taken.contains(&column.name.as_str())
            && !is_internal(&column.name)
            && !table.key.contains(&column.name)
            && !table.references.iter().any(|reference| reference.column == column.name)
            && sampled(table, &column.name).next().is_some()
    };
    table.columns.iter().filter(is_fact).map(|column| column.name.as_str()).take(12).collect()
}

pub(super) fn metadata(table: &Table) -> Vec<&str> {
    METADATA.iter().filter_map(|name| first(table, &[name], |_| true)).collect()
}

pub(super) fn sku(table: &Table) -> Option<&str> {
    first(table, SKUS, |_| true)
}

pub(super) fn changed(table: &Table) -> Option<&str> {
    first(table, CHANGED, |column| column.kind == ColumnKind::Time)
}

/// The condition that a row is shown in the shop.
pub(super) fn condition(table: &Table, quote: impl Fn(&str) -> String) -> Option<String> {
    let shown = first(table, SHOWN, |column| matches!(column.kind, ColumnKind::Boolean | ColumnKind::Number));
    let shown = shown.map(|name| {
        let is_boolean =
            table.columns.iter().any(|column| column.name == name && column.kind == ColumnKind::Boolean);
        if is_boolean { quote(name) } else { format!("{} = 1", quote(name)) }
    });
    let deleted = first(table, DELETED, |_| true).map(|name| format!("{} is null", quote(name)));
    let status = first(table, &["status"], |column| column.kind == ColumnKind::Text).and_then(|name| {
        let is_seen = |word: &&str| sampled(table, name).any(|value| value == *word);
        let word = ["published", "active", "public", "enabled"].into_iter().find(is_seen)?;
        Some(format!("{} = '{word}'", quote(name)))
    });
    let conditions: Vec<_> = [shown, deleted, status].into_iter().flatten().collect();
    (!conditions.is_empty()).then(|| conditions.join(" and "))
}

/// Whether most values of a column are HTML.
pub(super) fn has_html(table: &Table, column: &str) -> bool {
    let (all, html) = sampled(table, column)
        .fold((0, 0), |(all, html), text| (all + 1, html + usize::from(is_html(&text))));
    html > 0 && 4 * html >= all
}

fn first<'a>(table: &'a Table, names: &[&str], holds: impl Fn(&Column) -> bool) -> Option<&'a str> {
    names.iter().find_map(|name| {
        let column = table.columns.iter().find(|column| lower(&column.name) == *name && holds(column))?;
        Some(column.name.as_str())
    })
}

fn is_internal(name: &str) -> bool {
    lower(name).split(['_', ' ', '-']).any(|word| INTERNAL.contains(&word))
}

fn average(table: &Table, column: &str) -> usize {
    let (count, length) =
        sampled(table, column).fold((0, 0), |(count, length), text| (count + 1, length + text.len()));
    length.checked_div(count).unwrap_or_default()
}

fn lower(name: &str) -> String {
    name.to_lowercase().replace([' ', '-'], "_")
}
