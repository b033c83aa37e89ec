//! Families of documents: the variants of one product.

use serde_json::value::RawValue;
use sqlx::types::Json;

use super::{Result, Store};

/// A variant.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Variant {
    pub source: String,
    pub family: String,
    pub key: String,
    pub metadata: Json<Box<RawValue>>,
}

impl Store {
    /// Returns the families of documents that have one, with the place of each document in the lists.
    pub async fn families(&self, sources: &[String], keys: &[String]) -> Result<Vec<(usize, String)>> {
        let rows = sqlx::query!(
            r#"select place as "place!", (
                   select family from shopkeeper.document
                   where source = wanted.source collate "C" and key = wanted.key collate "C"
               ) as family
               from unnest($1::text[], $2::text[]) with ordinality as wanted (source, key, place)"#,
            sources,
            keys,
        );
        let rows = rows.fetch_all(&self.pool).await?;
        let place = |place: i64| usize::try_from(place - 1).unwrap_or_default();
        Ok(rows.into_iter().filter_map(|row| Some((place(row.place), row.family?))).collect())
    }

    /// Returns the variants of families, at most so many of each, by key.
    pub async fn variants(&self, sources: &[String], families: &[String], most: u32) -> Result<Vec<Variant>> {
        let variants = sqlx::query_as!(
            Variant,
            r#"select wanted.source as "source!", wanted.family as "family!", variant.key,
                   variant.metadata as "metadata: Json<Box<RawValue>>"
               from unnest($1::text[], $2::text[]) as wanted (source, family)
               cross join lateral (
                   select key, metadata from shopkeeper.document
                   where document.source = wanted.source collate "C" and document.family = wanted.family
                   order by key limit $3
               ) as variant
               order by variant.key"#,
            sources,
            families,
            i64::from(most),
        );
        Ok(variants.fetch_all(&self.pool).await?)
    }
}
