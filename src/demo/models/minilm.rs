//! all-MiniLM-L6-v2 on the CPU.
//!
//! Follows the published recipe (<https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2>): at most 256 tokens,
//! the mean of the token vectors under the attention mask, normalized to length 1. Batches have texts of similar
//! length, so that little is computed for padding.

use std::{path::Path, sync::Arc};

use anyhow::{Context, anyhow, ensure};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::{Tokenizer, TruncationParams};
use tokio::{sync::Semaphore, task};

use super::vector::Vector;

#[cfg(test)]
mod tests;

pub(super) const DIMENSIONS: usize = 384;
/// The longest input that the model was trained on; the rest is cut off.
const MAX_TOKENS: usize = 256;
/// Texts per run: more are not faster, and make other requests wait longer.
const BATCH: usize = 32;

/// The loaded model; clones share the weights (90 MB).
#[derive(Clone)]
pub struct Minilm(Arc<LoadedModel>);

struct LoadedModel {
    model: BertModel,
    tokenizer: Tokenizer,
    pad_token: u32,
    /// One inference at a time: each uses all cores.
    turn: Semaphore,
}

impl Minilm {
    /// Reads `config.json`, `tokenizer.json` and `model.safetensors` from a folder. Takes about 0.2 s.
    pub fn load(folder: &Path) -> anyhow::Result<Self> {
        let load = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).with_context(|| format!("cannot read the model file {}", path.display()))
        };
        let (config, tokenizer, weights) =
            (load("config.json")?, load("tokenizer.json")?, load("model.safetensors")?);
        Self::new(&config, &tokenizer, weights)
            .with_context(|| format!("the model in {} cannot be used", folder.display()))
    }

    fn new(config: &[u8], tokenizer: &[u8], weights: Vec<u8>) -> anyhow::Result<Self> {
        let config: Config = serde_json::from_slice(config)?;
        let dimensions = config.hidden_size;
        ensure!(dimensions == DIMENSIONS, "it has {dimensions} dimensions instead of {DIMENSIONS}");
        let mut tokenizer = Tokenizer::from_bytes(tokenizer).map_err(|error| anyhow!(error))?;
        // The file asks for 128 tokens and pads every text to that.
        let truncation = TruncationParams { max_length: MAX_TOKENS, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| anyhow!(error))?;
        tokenizer.with_padding(None);
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
        let model = BertModel::load(weights, &config)?;
        let pad_token = u32::try_from(config.pad_token_id)?;
        Ok(Self(Arc::new(LoadedModel { model, tokenizer, pad_token, turn: Semaphore::new(1) })))
    }

    /// Embeds the texts in order and counts their tokens. Requests take turns after every batch.
    pub(super) async fn embed(&self, texts: Arc<[String]>) -> anyhow::Result<(Vec<Vector>, usize)> {
        let mut vectors = vec![Vector::new(); texts.len()];
        let model = self.clone();
        // The index and token ids of each text, longest first.
        let mut waiting = task::spawn_blocking(move || model.tokenize(&texts)).await??;
        let tokens = waiting.iter().map(|(_, ids)| ids.len()).sum();
        while !waiting.is_empty() {
            let batch = waiting.split_off(waiting.len().saturating_sub(BATCH));
            let indices: Vec<_> = batch.iter().map(|(index, _)| *index).collect();
            let _turn = self.0.turn.acquire().await?;
            let model = self.clone();
            let rows = task::spawn_blocking(move || model.forward(&batch)).await??;
            for (index, row) in indices.into_iter().zip(rows) {
                vectors[index] = row.into_iter().flat_map(f32::to_le_bytes).collect();
            }
        }
        Ok((vectors, tokens))
    }

    fn tokenize(&self, texts: &[String]) -> anyhow::Result<Vec<(usize, Vec<u32>)>> {
        let inputs = texts.iter().map(String::as_str).collect();
        let encodings = self.0.tokenizer.encode_batch_fast(inputs, true).map_err(|error| anyhow!(error))?;
        let ids = encodings.iter().map(|encoding| encoding.get_ids().to_vec());
        let mut waiting: Vec<_> = ids.enumerate().collect();
        waiting.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
        Ok(waiting)
    }

    /// Turns `texts × longest` token ids into `texts × 384` numbers.
    fn forward(&self, batch: &[(usize, Vec<u32>)]) -> candle_core::Result<Vec<Vec<f32>>> {
        let longest = batch.iter().map(|(_, ids)| ids.len()).max().unwrap_or_default();
        let shape = (batch.len(), longest);
        let padded = |ids: &[u32], rest: u32| -> Vec<u32> {
            ids.iter().copied().chain(std::iter::repeat_n(rest, longest - ids.len())).collect()
        };
        let ids: Vec<u32> = batch.iter().flat_map(|(_, ids)| padded(ids, self.0.pad_token)).collect();
        let mask: Vec<u32> = batch.iter().flat_map(|(_, ids)| padded(&vec![1; ids.len()], 0)).collect();
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;

        let hidden = self.0.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let mask = mask.to_dtype(DType::F32)?;
        let sum = mask.unsqueeze(1)?.matmul(&hidden)?.squeeze(1)?;
        // Normalization cancels the divisor of the mean.
        let length = sum.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        sum.broadcast_div(&length)?.to_vec2()
    }
}
