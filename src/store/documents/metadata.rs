//! The values that metadata have.

use crate::store::{Result, Store};

/// A value of a field, and how many of the sampled documents have it.
#[derive(Clone, Debug)]
pub struct MetadataValue {
    pub field: String,
    pub value: String,
}

impl Store {
    /// Reads the distinct short values of the metadata of at most this many documents: of all documents where there are no
    /// more, else of pages drawn at random.
    pub async fn sample_metadata(&self, documents: u32, longest: u32) -> Result<Vec<MetadataValue>> {
        let documents = f64::from(documents);
        let sample = sqlx::query_as!(
            MetadataValue,
            r#"select distinct field.key as "field!", field.value #>> '{}' as "value!"
               from (
                   select metadata from shopkeeper.document
                   tablesample system ((
                       select least(100, 100 * $1::float8 / greatest(1, reltuples)) from pg_class
                       where oid = 'shopkeeper.document'::regclass
                   )::real)
                   where metadata <> '{}' limit $1::float8::bigint
               ) as sample
               cross join jsonb_each(metadata) as field
               where jsonb_typeof(field.value) in ('string', 'number', 'boolean')
                   and length(field.value #>> '{}') between 1 and $2"#,
            documents,
            i32::try_from(longest).unwrap_or(i32::MAX),
        );
        Ok(sample.fetch_all(&self.pool).await?)
    }
}
