//! Vectors from the words of a text, for when the speed of a model must not be what is measured.
//!
//! The first half of a vector is lexical: every word adds a weight, with a sign, at four places chosen by its hash
//! (the "hashing trick"), so that the cosine of two texts grows with the words that they share. The second half is
//! `±c` by the hash of the whole text, so that texts of equal words still differ. Both halves have a fixed share of
//! the length, thus every vector has length 1 and no pass over its floats is needed.
//!
//! It works on bytes, not on floats: vectors go to the wire as little-endian `f32`, and this module is also used
//! in builds without optimisation.

use std::num::NonZeroU16;

use crate::demo::models::embeddings::Vectors;

/// The lexical half's part of the squared length.
const LEXICAL_SHARE: f64 = 0.9;
/// Places that one word touches. More places mean fewer chance likenesses, and more work.
const PLACES: usize = 4;
/// A cheap stand-in for the rarity of a word: short ones (up to three letters) are mostly grammar.
const SHORT_WORD_WEIGHT: i32 = 1;
const LONG_WORD_WEIGHT: i32 = 3;

/// The lower-case form of a byte that may be in a word, 0 for one that may not.
static LETTERS: [u8; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0_u8;
    loop {
        if byte.is_ascii_alphanumeric() || byte >= 0x80 {
            letters[byte as usize] = byte.to_ascii_lowercase();
        }
        if byte == u8::MAX {
            break letters;
        }
        byte += 1;
    }
};

/// Computes vectors of one length.
pub(super) struct Hash {
    dimensions: usize,
    lexical: usize,
    /// For every byte of noise the eight floats that its bits stand for, as bytes.
    signs: Vec<[u8; 32]>,
}

/// Buffers that are reused from text to text. All of `weights` is zero between texts.
struct Scratch {
    weights: Vec<i32>,
    touched: Vec<usize>,
    noise: Vec<u8>,
}

impl Hash {
    /// Prepares vectors of this length.
    pub(super) fn new(dimensions: NonZeroU16) -> Self {
        let dimensions = usize::from(dimensions.get());
        let lexical = (dimensions / 2).max(1);
        Self { dimensions, lexical, signs: sign_table(dimensions - lexical) }
    }

    /// Embeds the texts in their order.
    pub(super) fn embed<T: AsRef<[u8]>>(&self, texts: &[T]) -> Vectors {
        let width = self.dimensions * size_of::<f32>();
        let mut bytes = vec![0; texts.len() * width];
        let mut scratch = Scratch {
            weights: vec![0; self.lexical],
            touched: Vec::new(),
            noise: vec![0; (self.dimensions - self.lexical).div_ceil(8)],
        };
        for (text, row) in texts.iter().zip(bytes.chunks_exact_mut(width)) {
            let (lexical, noise) = row.split_at_mut(self.lexical * size_of::<f32>());
            self.write_lexical(text.as_ref(), lexical, &mut scratch);
            self.write_noise(text.as_ref(), noise, &mut scratch.noise);
        }
        Vectors::from_le_bytes(self.dimensions, bytes)
    }

    fn write_lexical(&self, text: &[u8], row: &mut [u8], scratch: &mut Scratch) {
        let mut square = 0_i64;
        for_each_word(text, |hash, weight| {
            square += self.add_word(hash, weight, scratch);
        });
        // Also a word whose places cancel each other out leaves nothing to scale.
        if square == 0 {
            scratch.weights[0] += 1;
            scratch.touched.push(0);
            square = 1;
        }
        let share = if self.dimensions == self.lexical { 1.0 } else { LEXICAL_SHARE };
        #[expect(clippy::cast_precision_loss, reason = "the sum of small squares is far below 2^52")]
        let scale = (share / square as f64).sqrt();
        for &place in &scratch.touched {
            #[expect(clippy::cast_possible_truncation, reason = "a vector holds f32")]
            let value = (f64::from(scratch.weights[place]) * scale) as f32;
            row[place * 4..place * 4 + 4].copy_from_slice(&value.to_le_bytes());
        }
        for place in scratch.touched.drain(..) {
            scratch.weights[place] = 0;
        }
    }

    /// Adds a word and returns by how much the sum of squares grew.
    fn add_word(&self, hash: u64, weight: i32, scratch: &mut Scratch) -> i64 {
        let mut grown = 0;
        for part in 0..PLACES {
            let bits = (hash >> (part * 16)) & 0xffff;
            // 15 bits choose the place, the lowest one the sign.
            let place = ((bits >> 1) as usize * self.lexical) >> 15;
            let added = if bits & 1 == 0 { weight } else { -weight };
            let before = scratch.weights[place];
            let after = before.saturating_add(added);
            grown += i64::from(after) * i64::from(after) - i64::from(before) * i64::from(before);
            scratch.weights[place] = after;
            scratch.touched.push(place);
        }
        grown
    }

    fn write_noise(&self, text: &[u8], row: &mut [u8], noise: &mut [u8]) {
        blake3::Hasher::new().update(text).finalize_xof().fill(noise);
        for (block, &byte) in row.chunks_mut(32).zip(noise.iter()) {
            block.copy_from_slice(&self.signs[usize::from(byte)][..block.len()]);
        }
    }
}

fn sign_table(dimensions: usize) -> Vec<[u8; 32]> {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a length below 2^16")]
    let size = ((1.0 - LEXICAL_SHARE) / (dimensions.max(1) as f64)).sqrt() as f32;
    (0..256_usize)
        .map(|byte| {
            let mut floats = [0; 32];
            for (bit, float) in floats.chunks_exact_mut(4).enumerate() {
                let value = if byte >> bit & 1 == 0 { size } else { -size };
                float.copy_from_slice(&value.to_le_bytes());
            }
            floats
        })
        .collect()
}

/// Calls back with hash and weight of every word: a run of ASCII letters, digits and bytes beyond ASCII, without
/// regard to ASCII case and a plural's final `s`.
fn for_each_word(text: &[u8], mut word: impl FnMut(u64, i32)) {
    // FNV-1a: https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let (mut hash, mut before_last, mut last, mut length) = (OFFSET, OFFSET, b' ', 0);
    let mut end_word = |hash: u64, before_last: u64, last: u8, length: u32| {
        let hash = if last == b's' && length > 3 { before_last } else { hash };
        let weight = if length <= 3 { SHORT_WORD_WEIGHT } else { LONG_WORD_WEIGHT };
        word(mix(hash), weight);
    };
    for &byte in text {
        let letter = LETTERS[usize::from(byte)];
        if letter != 0 {
            before_last = hash;
            hash = (hash ^ u64::from(letter)).wrapping_mul(PRIME);
            last = letter;
            length += 1;
        } else if length > 0 {
            end_word(hash, before_last, last, length);
            (hash, length) = (OFFSET, 0);
        }
    }
    if length > 0 {
        end_word(hash, before_last, last, length);
    }
}

/// The finaliser of splitmix64, which spreads a change of any bit over all bits.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn embed(dimensions: u16, text: &str) -> Vec<f32> {
        Hash::new(NonZeroU16::new(dimensions).unwrap()).embed(&[text]).row(0)
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
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
    fn texts_that_share_words_are_nearer_than_others() {
        let question = embed(1536, "Is the wool blanket warm?");
        let blanket = embed(1536, "Warm Blankets made of wool from small farms");
        let kettle = embed(1536, "A kettle of steel that boils water within minutes");
        assert!(cosine(&question, &blanket) > 0.4);
        assert!(cosine(&question, &kettle) < 0.2);
    }

    #[test]
    fn a_text_has_the_same_vector_alone_and_among_others() {
        let hash = Hash::new(NonZeroU16::new(33).unwrap());
        let together = hash.embed(&["a red chair", "", "a blue chair"]);
        assert_eq!(together.row(2), hash.embed(&["a blue chair"]).row(0));
        assert_eq!(together.row(1), hash.embed(&[""]).row(0));
    }

    #[test]
    fn the_order_of_words_is_seen() {
        assert_ne!(embed(256, "blue chair red table"), embed(256, "red chair blue table"));
    }
}
