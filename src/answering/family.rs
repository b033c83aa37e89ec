//! Variants of one product: a family counts once among the passages, and the values of the other variants go with the one
//! that is cited.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, value::RawValue};

use crate::{
    answering::Passage,
    store::{Result, Store, families::Variant},
};

/// The metadata field that holds what the other variants have.
pub(super) const OTHER_VARIANTS: &str = "other_variants";
/// The most variants of a family that go with a passage.
const MOST: u32 = 30;

/// The families of passages, by the source and key of the document.
pub(super) type Families = BTreeMap<(String, String), String>;

/// Reads the families of passages.
pub(super) async fn families(store: &Store, passages: &[Passage]) -> Result<Families> {
    let documents: BTreeSet<_> = passages.iter().map(|passage| (&passage.source, &passage.key)).collect();
    let documents: Vec<(String, String)> =
        documents.into_iter().map(|(source, key)| (source.clone(), key.clone())).collect();
    let (sources, keys): (Vec<_>, Vec<_>) = documents.iter().cloned().unzip();
    let found = store.families(&sources, &keys).await?;
    Ok(found
        .into_iter()
        .filter_map(|(place, family)| Some((documents.get(place)?.clone(), family)))
        .collect())
}

/// Adds to the metadata of each passage what the other variants of its family have.
pub(super) async fn add_variants(store: &Store, families: &Families, passages: &mut [Passage]) -> Result<()> {
    let of = |passage: &Passage| families.get(&(passage.source.clone(), passage.key.clone()));
    let wanted: BTreeSet<_> =
        passages.iter().filter_map(|passage| Some((passage.source.clone(), of(passage)?.clone()))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let (sources, names): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
    let variants = store.variants(&sources, &names, MOST).await?;
    for passage in passages {
        let Some(family) = of(passage) else { continue };
        let others = variants.iter().filter(|variant| {
            variant.source == passage.source && variant.family == *family && variant.key != passage.key
        });
        if let Some(metadata) = with_others(&passage.metadata, others) {
            passage.metadata = metadata;
        }
    }
    Ok(())
}

/// Columns, with the shop's own digits.
type Columns = BTreeMap<String, Box<RawValue>>;

/// The metadata of a variant with the fields in which the others differ from it; `None` if none does.
fn with_others<'a>(own: &RawValue, others: impl Iterator<Item = &'a Variant>) -> Option<Box<RawValue>> {
    let mut own: Columns = serde_json::from_str(own.get()).ok()?;
    let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).unwrap_or_default();
    let differing = others.filter_map(|variant| {
        let mut fields: Columns = serde_json::from_str(variant.metadata.get()).ok()?;
        fields.retain(|field, other| {
            let other = value(other);
            !other.is_null() && own.get(field).is_none_or(|own| value(own) != other)
        });
        (!fields.is_empty()).then_some(fields)
    });
    let differing: Vec<_> = differing.collect();
    if differing.is_empty() || own.contains_key(OTHER_VARIANTS) {
        return None;
    }
    own.insert(OTHER_VARIANTS.to_owned(), serde_json::value::to_raw_value(&differing).ok()?);
    serde_json::value::to_raw_value(&own).ok()
}

/// The metadata as the shop has it, without the other variants.
pub(super) fn without_others(metadata: &RawValue) -> Box<RawValue> {
    let mut own: Columns = serde_json::from_str(metadata.get()).unwrap_or_default();
    if own.remove(OTHER_VARIANTS).is_none() {
        return metadata.to_owned();
    }
    serde_json::value::to_raw_value(&own).unwrap_or_else(|_| metadata.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::types::Json;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn what_differs_between_variants_goes_with_the_one_that_is_cited() {
        let variant = |metadata: &str| Variant {
            source: "product".to_owned(),
            family: "f".to_owned(),
            key: "k".to_owned(),
            metadata: Json(raw(metadata)),
        };
        let own = raw(r#"{"size": 42, "price": 59.00, "brand": "Daybird"}"#);
        let others = [
            variant(r#"{"size": 44, "price": 59.00, "brand": "Daybird"}"#),
            variant(r#"{"size": 46, "price": 64.90, "brand": "Daybird", "colour": null}"#),
        ];
        let with = with_others(&own, others.iter()).unwrap();
        assert!(with.get().contains(r#""other_variants":[{"size":44},{"#), "{with}");
        assert!(with.get().contains("64.90") && with.get().contains("59.00"), "{with}");
        assert!(!without_others(&with).get().contains("64"));
        assert!(with_others(&own, [variant(own.get())].iter()).is_none());
    }
}
