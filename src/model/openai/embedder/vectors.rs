//! The vectors of a response: whether they are those that were asked for, and whether the index can hold them.

use crate::model::{ModelError, openai::OpenAiEmbedder};

impl OpenAiEmbedder {
    /// The length of vectors that do not have that of the settings.
    pub(super) fn other_length(&self, vectors: &[Vec<f32>]) -> Option<usize> {
        let mut lengths = vectors.iter().map(Vec::len);
        lengths.find(|length| *length > 0 && *length != self.model.dimensions as usize)
    }

    /// The vectors of the inputs, scaled to length 1, when they are as many. Where no vector can be used, the server is at
    /// fault; where some can, the inputs of the others are.
    pub(super) fn checked(
        &self,
        vectors: Vec<Vec<f32>>,
        inputs: usize,
    ) -> Result<Vec<Result<Vec<f32>, ModelError>>, ModelError> {
        if vectors.len() != inputs {
            return Err(self.server.nonsense(format!("{} vectors for {inputs} inputs", vectors.len())));
        }
        let checked: Vec<_> = vectors
            .into_iter()
            .map(|vector| unit(&vector).ok_or_else(|| self.server.nonsense(fault(&vector).to_owned())))
            .collect();
        match checked.iter().all(Result::is_err).then(|| checked.first()).flatten() {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(checked),
        }
    }
}

fn fault(vector: &[f32]) -> &'static str {
    match vector {
        [] => "no vector",
        numbers if numbers.iter().all(|number| *number == 0.0) => "a vector of zeros",
        _ => "a vector with a number that is not finite",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        EmbeddingModel,
        learned::Lessons,
        openai::{EmbeddingSettings, tests::server},
    };

    fn embedder(dimensions: u32) -> OpenAiEmbedder {
        let model = EmbeddingModel { name: "m".into(), dimensions };
        OpenAiEmbedder::new(server(), model, EmbeddingSettings::default(), Lessons::default())
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
            assert_eq!(embedder.checked(vec![given.to_vec()], 1), Ok(vec![Ok(wanted.to_vec())]), "{given:?}");
        }
    }

    #[test]
    fn a_vector_without_a_direction_is_its_inputs_fault_unless_all_are_so() {
        let embedder = embedder(2);
        let good = vec![1.0, 0.0];
        let not_finite = "a vector with a number that is not finite";
        for (bad, says) in [
            (vec![0.0, -0.0], "a vector of zeros"),
            (vec![f32::NAN, 1.0], not_finite),
            (vec![1.0, f32::NEG_INFINITY], not_finite),
            (vec![], "no vector"),
        ] {
            let error = server().nonsense(says.to_owned());
            let checked = embedder.checked(vec![good.clone(), bad.clone()], 2);
            assert_eq!(checked, Ok(vec![Ok(good.clone()), Err(error.clone())]));
            for all in [vec![bad.clone()], vec![bad.clone(), bad]] {
                let inputs = all.len();
                assert_eq!(embedder.checked(all, inputs), Err(error.clone()));
            }
        }
    }

    #[test]
    fn another_number_or_length_of_vectors_is_noticed() {
        let embedder = embedder(2);
        let count = embedder.checked(vec![vec![1.0, 0.0]], 2).unwrap_err();
        assert_eq!(count.reason, "1 vectors for 2 inputs");
        assert_eq!(embedder.other_length(&[vec![], vec![1.0, 0.0], vec![1.0]]), Some(1));
        assert_eq!(embedder.other_length(&[vec![], vec![1.0, 0.0]]), None);
    }
}
