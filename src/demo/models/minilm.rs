//! all-MiniLM-L6-v2 on the CPU.
//!
//! Follows the published recipe (<https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2>): at most 256 tokens,
//! the mean of the token vectors under the attention mask, normalized to length 1.

use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::{Tokenizer, TruncationParams};

use super::{
    memory::Memory,
    transformer::{DIMENSIONS, Network, Transformer},
};

#[cfg(test)]
mod tests;

/// The longest input that the model was trained on; the rest is cut off.
const MAX_TOKENS: usize = 256;

/// The loaded model; clones share the weights (90 MB).
#[derive(Clone)]
pub struct Minilm(pub(super) Transformer);

struct MinilmNetwork {
    model: BertModel,
    tokenizer: Tokenizer,
    padding: u32,
}

impl Minilm {
    /// The model's name.
    pub const ID: &str = "all-MiniLM-L6-v2";

    /// Reads `config.json`, `tokenizer.json` and `model.safetensors` from a folder. Takes about 0.2 s.
    pub fn load(folder: &Path) -> anyhow::Result<Self> {
        Self::with(folder, None)
    }

    /// Also keeps the vectors that it computes in the folder.
    pub fn load_remembering(folder: &Path) -> anyhow::Result<Self> {
        Self::with(folder, Some(Memory::open(folder)))
    }

    fn with(folder: &Path, memory: Option<Memory>) -> anyhow::Result<Self> {
        let load = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).with_context(|| format!("cannot read the model file {}", path.display()))
        };
        let (config, tokenizer, weights) =
            (load("config.json")?, load("tokenizer.json")?, load("model.safetensors")?);
        let network = MinilmNetwork::new(&config, &tokenizer, weights)
            .with_context(|| format!("the model in {} cannot be used", folder.display()))?;
        Ok(Self(Transformer::new(network, memory)))
    }
}

impl MinilmNetwork {
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
        Ok(Self { model, tokenizer, padding: u32::try_from(config.pad_token_id)? })
    }
}

impl Network for MinilmNetwork {
    fn padding(&self) -> u32 {
        self.padding
    }

    fn tokenize(&self, texts: &[String]) -> anyhow::Result<Vec<Vec<u32>>> {
        let inputs = texts.iter().map(String::as_str).collect();
        let encodings = self.tokenizer.encode_batch_fast(inputs, true).map_err(|error| anyhow!(error))?;
        Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }

    fn forward(&self, tokens: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
        self.model.forward(tokens, &tokens.zeros_like()?, Some(mask))
    }
}
