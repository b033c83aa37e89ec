//! Vectors as bytes, as they go over the wire.

/// Little-endian `f32`, as in the base64 format.
pub(super) type Vector = Vec<u8>;

pub(super) const WIDTH: usize = size_of::<f32>();

pub(super) fn floats(vector: &[u8]) -> impl Iterator<Item = f32> {
    vector.as_chunks().0.iter().map(|float| f32::from_le_bytes(*float))
}

pub(super) fn fill(vector: &mut [u8], number: f32) {
    vector.as_chunks_mut().0.fill(number.to_le_bytes());
}

/// The cosine of the angle between two vectors of length 1.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
