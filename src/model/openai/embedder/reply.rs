//! The reply to a request for embeddings. Only the vectors must be there.

use std::fmt;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use reqwest::StatusCode;
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use serde_json::{Value, json};

use crate::model::openai::{lenient::number, refusal::Refusal};

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct EmbeddingReply {
    #[serde(deserialize_with = "or_empty")]
    data: Vec<Entry>,
    usage: Value,
    error: Value,
    object: Value,
    message: Value,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    index: Value,
    #[serde(default)]
    embedding: Vector,
}

/// Numbers, or base64 of them. A `null` among them is not a number: JSON has no other way to write that.
#[derive(Default)]
struct Vector(Vec<f32>);

impl EmbeddingReply {
    /// The refusal that this is in spite of its status.
    pub(super) fn refusal(&self, status: StatusCode) -> Option<Refusal> {
        let body = json!({ "error": self.error, "object": self.object, "message": self.message });
        Refusal::within(status, &body)
    }

    pub(super) fn tokens(&self) -> Option<u64> {
        ["total_tokens", "prompt_tokens", "input_tokens"].into_iter().find_map(|key| number(&self.usage[key]))
    }

    /// The vectors in the order of their inputs; `None` if that is not known.
    pub(super) fn ordered(self) -> Option<Vec<Vec<f32>>> {
        let mut entries: Vec<_> =
            self.data.into_iter().map(|entry| (number(&entry.index), entry.embedding.0)).collect();
        let missing = entries.iter().filter(|(index, _)| index.is_none()).count();
        if missing == entries.len() {
            return Some(entries.into_iter().map(|(_, vector)| vector).collect());
        }
        if missing == 1 {
            // Some servers leave out what is zero.
            for (index, _) in &mut entries {
                index.get_or_insert(0);
            }
        }
        entries.sort_by_key(|(index, _)| *index);
        let is_distinct = entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
        (missing <= 1 && is_distinct).then(|| entries.into_iter().map(|(_, vector)| vector).collect())
    }
}

fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VectorVisitor)
    }
}

struct VectorVisitor;

/// Padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl<'de> Visitor<'de> for VectorVisitor {
    type Value = Vector;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a vector")
    }

    fn visit_unit<E: Error>(self) -> Result<Vector, E> {
        Ok(Vector::default())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vector, E> {
        let bytes = BASE64.decode(text).map_err(|_| E::custom("a vector that is not base64"))?;
        let (floats, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(E::custom("a vector with a part of a number"));
        }
        Ok(Vector(floats.iter().map(|float| f32::from_le_bytes(*float)).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Vector, A::Error> {
        let mut vector = Vec::with_capacity(numbers.size_hint().unwrap_or_default());
        while let Some(number) = numbers.next_element::<Option<f32>>()? {
            vector.push(number.unwrap_or(f32::NAN));
        }
        Ok(Vector(vector))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(reply: Value) -> Option<Vec<Vec<f32>>> {
        serde_json::from_value::<EmbeddingReply>(reply).unwrap().ordered()
    }

    fn indexed(indexes: &[Value]) -> Option<Vec<f32>> {
        let entry = |(place, index): (usize, &Value)| {
            let mut entry = json!({ "embedding": [place] });
            if !index.is_null() {
                entry["index"] = index.clone();
            }
            entry
        };
        let data: Vec<_> = indexes.iter().enumerate().map(entry).collect();
        Some(ordered(json!({ "data": data }))?.into_iter().map(|vector| vector[0]).collect())
    }

    #[test]
    fn vectors_are_ordered_by_their_index_as_far_as_it_says_enough() {
        let none = Value::Null;
        for (indexes, order) in [
            (vec![json!(2), json!(0), json!(1)], Some(vec![1.0, 2.0, 0.0])),
            (vec![json!("1"), json!(0.0)], Some(vec![1.0, 0.0])),
            (vec![json!(2), json!(1)], Some(vec![1.0, 0.0])),
            (vec![none.clone(), none.clone()], Some(vec![0.0, 1.0])),
            (vec![json!(1), none.clone(), json!(2)], Some(vec![1.0, 0.0, 2.0])),
            (vec![json!(0), none.clone()], None),
            (vec![json!(2), none.clone(), none.clone()], None),
            (vec![json!(0), json!(0)], None),
        ] {
            assert_eq!(indexed(&indexes), order, "{indexes:?}");
        }
    }

    #[test]
    fn a_vector_is_read_in_decimals_in_base64_and_with_nulls() {
        let floats = ordered(json!({ "data": [{ "embedding": [1, -0.5] }] })).unwrap();
        assert_eq!(floats, [[1.0, -0.5]]);
        for base64 in ["AACAPwAAAL8=", "AACAPwAAAL8"] {
            assert_eq!(ordered(json!({ "data": [{ "embedding": base64 }] })).unwrap(), [[1.0, -0.5]]);
        }
        let nulls =
            ordered(json!({ "data": [{ "embedding": [1, null] }, { "embedding": null }, {}] })).unwrap();
        assert!(nulls[0][1].is_nan() && nulls[1].is_empty() && nulls[2].is_empty());
        assert!(serde_json::from_value::<EmbeddingReply>(json!({ "data": [{ "embedding": "é" }] })).is_err());
        assert_eq!(ordered(json!({ "data": null })), Some(vec![]));
    }

    #[test]
    fn tokens_are_read_from_whatever_says_them() {
        let tokens =
            |usage| serde_json::from_value::<EmbeddingReply>(json!({ "usage": usage })).unwrap().tokens();
        assert_eq!(tokens(json!({ "total_tokens": 7 })), Some(7));
        assert_eq!(tokens(json!({ "prompt_tokens": "7", "total_tokens": null })), Some(7));
        assert_eq!((tokens(json!(null)), tokens(json!([]))), (None, None));
    }
}
