//! The packed file of the wheel: sizes, pieces of words, and tensors.
//!
//! Numbers are little-endian; lists have no padding. In this order:
//!
//! | | |
//! |---|---|
//! | `E5S1`, u32 | mark and version |
//! | 7 × u32 | width, layers, heads, width within a layer, size of the vocabulary, places, token types |
//! | f32, u32 | what normalization adds to a variance; weights in a block |
//! | 5 × u32, u64 | number of pieces; tokens for begin, end, padding and the unknown; bytes of all pieces |
//! | u32 × (pieces + 1), f32 × pieces, bytes | where each piece begins; logarithm of its probability; the pieces in UTF-8 |
//! | 2 × u32, then for each: u32, u8, u32 × count | number and bytes of replacements: a character, and the characters for it |
//! | u32, then for each: u16, name, u8, u32, 2 × u64 | number of tensors: name, 0 for `f32` or 1 for blocks, numbers, offset, bytes |
//!
//! A block is 32 weights of 4 bits with a half-precision factor: `GGML`'s `Q4_0`, which candle reads.

use std::{borrow::Cow, collections::HashMap};

use anyhow::{Context, ensure};
use candle_core::{
    DType, Device, Tensor,
    quantized::{GgmlDType, QStorage, QTensor},
};

/// Sizes of the network.
#[derive(Debug)]
pub(super) struct Sizes {
    pub(super) width: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) inner_width: usize,
    pub(super) vocabulary: usize,
    /// The longest text, in tokens.
    pub(super) places: usize,
    pub(super) token_types: usize,
    /// What normalization adds to a variance.
    pub(super) epsilon: f64,
}

/// What the tokenizer is made of.
pub(super) struct Vocabulary<'a> {
    /// Each with the logarithm of its probability, which is 0 for those that mark something. The index is the token.
    pub(super) pieces: Vec<(&'a str, f32)>,
    pub(super) begin: u32,
    pub(super) end: u32,
    pub(super) padding: u32,
    pub(super) unknown: u32,
    pub(super) replacements: HashMap<char, String>,
}

#[derive(Clone, Copy)]
struct Place<'a> {
    is_packed: bool,
    bytes: &'a [u8],
}

pub(super) struct Packed<'a> {
    pub(super) sizes: Sizes,
    pub(super) vocabulary: Vocabulary<'a>,
    tensors: HashMap<&'a str, Place<'a>>,
}

impl<'a> Packed<'a> {
    pub(super) fn read(file: &'a [u8]) -> anyhow::Result<Self> {
        let mut cursor = Cursor(file);
        ensure!(cursor.array()? == *b"E5S1" && cursor.u32()? == 1, "it is not of the expected version");
        let mut size = || anyhow::Ok(usize::try_from(cursor.u32()?)?);
        let [width, layers, heads, inner_width] = [size()?, size()?, size()?, size()?];
        let [vocabulary, places, token_types] = [size()?, size()?, size()?];
        let epsilon = f64::from(f32::from_le_bytes(cursor.array()?));
        let sizes = Sizes { width, layers, heads, inner_width, vocabulary, places, token_types, epsilon };
        let block = usize::try_from(cursor.u32()?)?;
        ensure!(block == GgmlDType::Q4_0.block_size(), "its blocks have {block} weights");
        let vocabulary = cursor.vocabulary()?;
        let tensors = (0..cursor.u32()?).map(|_| cursor.tensor(file)).collect::<anyhow::Result<_>>()?;
        Ok(Self { sizes, vocabulary, tensors })
    }

    /// Returns a tensor as 32-bit numbers.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> anyhow::Result<Tensor> {
        if self.place(name)?.is_packed {
            return Ok(self.blocks(name, shape)?.dequantize(&Device::Cpu)?);
        }
        let bytes = self.bytes(name, shape.iter().product::<usize>() * size_of::<f32>())?;
        Ok(Tensor::from_raw_buffer(bytes, DType::F32, shape, &Device::Cpu)?)
    }

    /// Returns a tensor in its blocks.
    pub(super) fn blocks(&self, name: &str, shape: &[usize]) -> anyhow::Result<QTensor> {
        let blocks = shape.iter().product::<usize>() / GgmlDType::Q4_0.block_size();
        let bytes = self.bytes(name, blocks * GgmlDType::Q4_0.type_size())?;
        let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, GgmlDType::Q4_0)?;
        Ok(QTensor::new(storage, shape)?)
    }

    fn place(&self, name: &str) -> anyhow::Result<Place<'a>> {
        self.tensors.get(name).copied().with_context(|| format!("it has no tensor `{name}`"))
    }

    fn bytes(&self, name: &str, expected: usize) -> anyhow::Result<&'a [u8]> {
        let Place { bytes, .. } = self.place(name)?;
        ensure!(bytes.len() == expected, "tensor `{name}` has {} bytes instead of {expected}", bytes.len());
        Ok(bytes)
    }
}

/// The bytes that have not been read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> anyhow::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes).context("it is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        Ok(self.take(N)?.try_into()?)
    }

    fn u32(&mut self) -> anyhow::Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn length(&mut self) -> anyhow::Result<usize> {
        Ok(usize::try_from(u64::from_le_bytes(self.array()?))?)
    }

    fn words(&mut self, count: usize) -> anyhow::Result<&'a [[u8; 4]]> {
        Ok(self.take(count * 4)?.as_chunks().0)
    }

    fn vocabulary(&mut self) -> anyhow::Result<Vocabulary<'a>> {
        let count = usize::try_from(self.u32()?)?;
        let [begin, end, padding, unknown] = [self.u32()?, self.u32()?, self.u32()?, self.u32()?];
        let length = self.length()?;
        let offsets = self.words(count + 1)?.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize);
        let scores = self.words(count)?.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let text = std::str::from_utf8(self.take(length)?)?;
        let ranges = offsets.clone().zip(offsets.skip(1));
        let pieces = ranges.zip(scores).map(|((start, end), score)| Some((text.get(start..end)?, score)));
        let pieces = pieces.collect::<Option<Vec<_>>>().context("a piece is outside of its text")?;
        let replacements = self.u32()?;
        self.u32()?;
        let replacements = (0..replacements).map(|_| self.replacement()).collect::<anyhow::Result<_>>()?;
        Ok(Vocabulary { pieces, begin, end, padding, unknown, replacements })
    }

    fn replacement(&mut self) -> anyhow::Result<(char, String)> {
        let replaced = char::try_from(self.u32()?)?;
        let [count] = self.array()?;
        let by = (0..count).map(|_| Ok(char::try_from(self.u32()?)?)).collect::<anyhow::Result<_>>()?;
        Ok((replaced, by))
    }

    fn tensor(&mut self, file: &'a [u8]) -> anyhow::Result<(&'a str, Place<'a>)> {
        let name = usize::from(u16::from_le_bytes(self.array()?));
        let name = std::str::from_utf8(self.take(name)?)?;
        let [kind] = self.array()?;
        self.u32()?;
        let (offset, length) = (self.length()?, self.length()?);
        let bytes = offset.checked_add(length).and_then(|end| file.get(offset..end));
        // Candle reads a block's factor in place.
        let bytes = bytes.filter(|_| offset.is_multiple_of(size_of::<u16>()));
        let bytes = bytes.with_context(|| format!("tensor `{name}` is not where it should be"))?;
        Ok((name, Place { is_packed: kind == 1, bytes }))
    }
}
