//! Vectors computed from the words of a text, for benchmarks that must not measure a model.
//!
//! The first half of a vector is lexical: every word adds a signed weight at four places chosen by its hash (the
//! "hashing trick"), so the cosine of two texts grows with the words they share. The second half is `±c` by the hash of
//! the whole text, so texts with the same words still differ. Each half has a fixed share of the length, so every
//! vector has length 1 without a pass to normalize it.
//!
//! It writes bytes, not floats: vectors go over the wire as little-endian `f32`, and unoptimized builds use it too.

use std::num::NonZeroU16;

use self::words::words;
use super::vector::{Vector, WIDTH};

mod words;

/// The lexical half's part of the squared length.
const LEXICAL_SHARE: f64 = 0.9;
/// Places that one word touches. More places mean fewer collisions, and more work.
const PLACES: usize = 4;

pub(super) struct Hash {
    dimensions: usize,
    lexical: usize,
    /// For each byte of noise, the eight floats that its bits stand for, as bytes.
    signs: Vec<[u8; 8 * WIDTH]>,
}

impl Hash {
    pub(super) fn new(dimensions: NonZeroU16) -> Self {
        let dimensions = usize::from(dimensions.get());
        let lexical = (dimensions / 2).max(1);
        Self { dimensions, lexical, signs: sign_table(dimensions - lexical) }
    }

    pub(super) fn embed(&self, text: &str) -> Vector {
        let mut vector = vec![0; self.dimensions * WIDTH];
        let (lexical, noise) = vector.split_at_mut(self.lexical * WIDTH);
        self.write_lexical(text, lexical);
        self.write_noise(text, noise);
        vector
    }

    fn write_lexical(&self, text: &str, row: &mut [u8]) {
        let (mut weights, mut touched, mut square) = (vec![0_i32; self.lexical], Vec::new(), 0_i64);
        for (hash, weight) in words(text.as_bytes()) {
            for part in 0..PLACES {
                let bits = (hash >> (part * 16)) & 0xffff;
                // 15 bits choose the place, the lowest one the sign.
                let place = ((bits >> 1) as usize * self.lexical) >> 15;
                let before = weights[place];
                let after = before.saturating_add(if bits & 1 == 0 { weight } else { -weight });
                square += i64::from(after).pow(2) - i64::from(before).pow(2);
                weights[place] = after;
                touched.push(place);
            }
        }
        // No words, or words that cancel each other out, leave nothing to scale.
        if square == 0 {
            (weights[0], square) = (1, 1);
            touched.push(0);
        }
        let share = if self.dimensions == self.lexical { 1.0 } else { LEXICAL_SHARE };
        #[expect(clippy::cast_precision_loss, reason = "the sum of small squares is far below 2^52")]
        let scale = (share / square as f64).sqrt();
        for place in touched {
            #[expect(clippy::cast_possible_truncation, reason = "a vector holds f32")]
            let value = (f64::from(weights[place]) * scale) as f32;
            row[place * WIDTH..][..WIDTH].copy_from_slice(&value.to_le_bytes());
        }
    }

    fn write_noise(&self, text: &str, row: &mut [u8]) {
        let mut noise = vec![0; row.len().div_ceil(8 * WIDTH)];
        blake3::Hasher::new().update(text.as_bytes()).finalize_xof().fill(&mut noise);
        for (block, &byte) in row.chunks_mut(8 * WIDTH).zip(&noise) {
            block.copy_from_slice(&self.signs[usize::from(byte)][..block.len()]);
        }
    }
}

fn sign_table(dimensions: usize) -> Vec<[u8; 8 * WIDTH]> {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a length below 2^16")]
    let size = ((1.0 - LEXICAL_SHARE) / (dimensions.max(1) as f64)).sqrt() as f32;
    (0..256_usize)
        .map(|byte| {
            let mut floats = [0; 8 * WIDTH];
            for (bit, float) in floats.as_chunks_mut().0.iter_mut().enumerate() {
                *float = if byte >> bit & 1 == 0 { size } else { -size }.to_le_bytes();
            }
            floats
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::demo::models::vector::{cosine, floats};

    fn embed(dimensions: u16, text: &str) -> Vec<f32> {
        floats(&Hash::new(NonZeroU16::new(dimensions).unwrap()).embed(text)).collect()
    }

    proptest! {
        #[test]
        fn every_vector_has_length_one(dimensions in 1_u16..2000, text in ".{0,200}") {
            let vector = embed(dimensions, &text);
            prop_assert_eq!(vector.len(), usize::from(dimensions));
            prop_assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn texts_that_share_words_are_closer_than_others() {
        let question = embed(1536, "Is the wool blanket warm?");
        let blanket = embed(1536, "Warm Blankets made of wool from small farms");
        let kettle = embed(1536, "A kettle of steel that boils water within minutes");
        assert!(cosine(&question, &blanket) > 0.4);
        assert!(cosine(&question, &kettle) < 0.2);
    }

    #[test]
    fn the_order_of_words_matters() {
        assert_ne!(embed(256, "blue chair red table"), embed(256, "red chair blue table"));
    }
}
