//! Chunks in the format of PostgreSQL's binary COPY: each field is its length in bytes, then its value as the type's
//! `recv` function reads it, with numbers big-endian.

use half::{f16, slice::HalfFloatSliceExt};

use crate::{catalogue::DocumentId, indexing::chunk::EmbeddedChunk};

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const FIELDS: i16 = 8;
/// Bytes of a row besides its texts and its vector.
const FRAME: usize = 80;

/// Encodes chunks as rows, in the order of the columns.
pub(super) fn rows<'a>(
    version: i32,
    chunks: impl Iterator<Item = (&'a DocumentId, &'a EmbeddedChunk)> + Clone,
) -> Vec<u8> {
    let texts = |id: &DocumentId, fresh: &EmbeddedChunk| {
        id.source.len() + id.key.len() + fresh.chunk.content.len() + 2 * fresh.vector.len()
    };
    let size = chunks.clone().map(|(id, fresh)| FRAME + texts(id, fresh)).sum::<usize>();
    let mut bytes = Vec::with_capacity(HEADER.len() + size + 2);
    bytes.extend(HEADER);
    let mut halves = Vec::new();
    for (id, fresh) in chunks {
        bytes.extend(FIELDS.to_be_bytes());
        field(&mut bytes, &version.to_be_bytes());
        field(&mut bytes, id.source.as_bytes());
        field(&mut bytes, id.key.as_bytes());
        field(&mut bytes, &fresh.ordinal.to_be_bytes());
        field(&mut bytes, &fresh.hash.0);
        field(&mut bytes, fresh.chunk.content.as_bytes());
        field(&mut bytes, &i32::try_from(fresh.chunk.tokens).unwrap_or(i32::MAX).to_be_bytes());
        vector(&mut bytes, &fresh.vector, &mut halves);
    }
    bytes.extend((-1_i16).to_be_bytes());
    bytes
}

fn field(bytes: &mut Vec<u8>, value: &[u8]) {
    length(bytes, value.len());
    bytes.extend(value);
}

fn length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend(i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
}

/// Encodes a `halfvec`: its dimensions, two unused bytes, its numbers.
fn vector(bytes: &mut Vec<u8>, vector: &[f32], halves: &mut Vec<f16>) {
    halves.resize(vector.len(), f16::ZERO);
    halves.convert_from_f32_slice(vector);
    length(bytes, 4 + 2 * halves.len());
    bytes.extend(u16::try_from(halves.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend([0; 2]);
    let begin = bytes.len();
    bytes.resize(begin + 2 * halves.len(), 0);
    for (place, half) in bytes[begin..].as_chunks_mut().0.iter_mut().zip(&*halves) {
        *place = half.to_be_bytes();
    }
}
