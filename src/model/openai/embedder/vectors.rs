//! The vectors of a response: whether they are those that were asked for, and whether the index can hold them.

use serde::Deserialize;

use crate::model::{ModelError, openai::OpenAiEmbedder};

/// One vector of a response and the input that it belongs to.
pub(super) type Indexed = (u32, Vec<f32>);

impl OpenAiEmbedder {
    /// The vectors in the order of their inputs, scaled to length 1, when they are as many and have as many numbers
    /// as they must. Where no vector can be used, the server is at fault; where some can, the inputs of the others are.
    pub(super) fn checked(&self, response: Vec<Indexed>, inputs: usize) -> Result<Vec<Vec<f32>>, ModelError> {
        if response.len() != inputs {
            return Err(self.server.nonsense(format!("{} vectors for {inputs} inputs", response.len())));
        }
        let mut vectors = vec![None; inputs];
        let mut unusable = Vec::new();
        for (index, vector) in response {
            if !vector.is_empty() && vector.len() != self.model.dimensions as usize {
                return Err(self.server.nonsense(format!(
                    "vectors of {} dimensions, where embedding.dimensions is {}",
                    vector.len(),
                    self.model.dimensions
                )));
            }
            let unit = unit(&vector);
            if unit.is_none() {
                unusable.push((index, vector));
            }
            match vectors.get_mut(index as usize) {
                Some(place @ None) => *place = Some(unit.unwrap_or_default()),
                _ => return Err(self.server.nonsense(format!("no input for the vector with index {index}"))),
            }
        }
        let Some((index, first)) = unusable.first() else {
            return Ok(vectors.into_iter().flatten().collect());
        };
        let reason = match first.as_slice() {
            [] => "no vector".to_owned(),
            numbers if numbers.iter().all(|number| *number == 0.0) => "a vector of zeros".to_owned(),
            _ => "a vector with a number that is not finite".to_owned(),
        };
        if unusable.len() == inputs {
            return Err(self.server.nonsense(reason));
        }
        let reason = format!("{reason} for input {} of {inputs}", index + 1);
        Err(ModelError::NoVector { server: self.server.address.clone(), reason })
    }
}

/// Scales a vector to length 1; `None` when it has no direction.
///
/// Cosine distances do not change by it, and the half precision of the index can then hold the vector: its
/// largest number neither overflows nor vanishes.
fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let norm = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "a vector holds f32")]
    let scaled = |number: &f32| (f64::from(*number) / norm) as f32;
    (norm > 0.0 && norm.is_finite()).then(|| vector.iter().map(scaled).collect())
}

/// Reads vectors with `null` in them, which is how servers write a number that is not finite: JSON has none.
pub(super) fn with_nulls(body: &str) -> Option<(Vec<Indexed>, u32)> {
    #[derive(Deserialize)]
    struct Response {
        data: Vec<Entry>,
        usage: Usage,
    }
    #[derive(Deserialize)]
    struct Entry {
        index: u32,
        embedding: Option<Vec<Option<f32>>>,
    }
    #[derive(Deserialize)]
    struct Usage {
        total_tokens: u32,
    }
    let response: Response = serde_json::from_str(body).ok()?;
    let vectors = response.data.into_iter().map(|Entry { index, embedding }| {
        let numbers = embedding.into_iter().flatten();
        (index, numbers.map(|number| number.unwrap_or(f32::NAN)).collect())
    });
    Some((vectors.collect(), response.usage.total_tokens))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{EmbeddingModel, openai::Server};

    fn embedder(dimensions: u32) -> OpenAiEmbedder {
        let server = Server::new("http://127.0.0.1:9", "shown".into(), None, Duration::from_secs(1)).unwrap();
        OpenAiEmbedder::new(server, EmbeddingModel { name: "m".into(), dimensions })
    }

    #[test]
    fn vectors_come_with_length_1_and_half_precision_can_hold_them() {
        let embedder = embedder(3);
        for (given, wanted) in [
            ([3.0, 0.0, -4.0], [0.6, 0.0, -0.8]),
            ([1e-30, 0.0, 0.0], [1.0, 0.0, 0.0]),
            ([f32::MIN_POSITIVE / 4.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
            ([0.0, f32::MAX, f32::MAX], [0.0, 0.707_106_77, 0.707_106_77]),
            ([70_000.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
        ] {
            assert_eq!(
                embedder.checked(vec![(0, given.to_vec())], 1),
                Ok(vec![wanted.to_vec()]),
                "{given:?}"
            );
        }
    }

    #[test]
    fn a_vector_without_a_direction_is_its_inputs_fault_unless_all_are_so() {
        let embedder = embedder(2);
        let good = vec![1.0, 0.0];
        let zeros = "a vector of zeros";
        let not_finite = "a vector with a number that is not finite";
        for (bad, says) in [
            (vec![0.0, -0.0], zeros),
            (vec![f32::NAN, 1.0], not_finite),
            (vec![1.0, f32::NEG_INFINITY], not_finite),
            (vec![], "no vector"),
        ] {
            let error = embedder.checked(vec![(0, good.clone()), (1, bad.clone())], 2).unwrap_err();
            let reason = format!("{says} for input 2 of 2");
            assert_eq!(error, ModelError::NoVector { server: "shown".into(), reason });
            for all in [vec![(0, bad.clone())], vec![(1, bad.clone()), (0, bad)]] {
                let inputs = all.len();
                let error = embedder.checked(all, inputs).unwrap_err();
                assert_eq!(error, ModelError::Nonsense { server: "shown".into(), reason: says.into() });
            }
        }
        // Who cannot count is at fault whatever the vectors are.
        for wrong in [
            vec![(0, vec![0.0, 0.0])],
            vec![(0, good.clone()), (1, vec![0.0])],
            vec![(0, good.clone()), (0, good)],
        ] {
            assert!(matches!(embedder.checked(wrong, 2), Err(ModelError::Nonsense { .. })));
        }
    }

    #[test]
    fn null_is_a_number_that_is_not_finite_and_a_vector_that_is_missing() {
        let body = r#"{"data": [{"index": 0, "embedding": [1, null]}, {"index": 1, "embedding": null}],
            "usage": {"total_tokens": 7}}"#;
        let (vectors, tokens) = with_nulls(body).unwrap();
        assert!(matches!(&vectors[0], (0, numbers) if numbers[0] > 0.0 && numbers[1].is_nan()));
        assert_eq!((&vectors[1], tokens), (&(1, vec![]), 7));
        assert_eq!(with_nulls("<html>"), None);
    }
}
