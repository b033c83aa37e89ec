//! multilingual-e5-small on the CPU, from 4-bit weights.
//!
//! Follows the published recipe (<https://huggingface.co/intfloat/multilingual-e5-small>): at most 512 tokens, the mean
//! of the token vectors under the attention mask, normalized to length 1. A question must begin with `query: `, a document
//! with `passage: `. Clients add these, as for any server; nothing is added here.
//!
//! The weights of the layers become 32-bit numbers when they are loaded: candle multiplies them several times as fast as
//! packed ones. The vectors of the vocabulary stay packed: they would take 384 MB, and a text needs few of them.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, ensure};
use candle_core::{DType, Device, Module, Tensor, quantized::QTensor};
use candle_nn::{LayerNorm, VarBuilder};
use candle_transformers::models::bert::{BertEncoder, Config, HiddenAct};

use self::packed::{Packed, Sizes};
use self::pieces::Pieces;
use super::{
    memory::Memory,
    transformer::{DIMENSIONS, Network, Transformer},
};

mod packed;
mod pieces;
#[cfg(test)]
mod tests;

/// The longest input that the model was trained on; the rest is cut off.
const MAX_TOKENS: usize = 512;
const FILE: &str = "e5-small-q4.bin";

/// The loaded model; clones share the weights (160 MB).
#[derive(Clone)]
pub struct E5(pub(super) Transformer);

struct E5Network {
    pieces: Pieces,
    padding: u32,
    /// `vocabulary × 384`
    vocabulary: QTensor,
    /// `places × 384`: what is added to the vector of a token for its place in the text.
    places: Tensor,
    norm: LayerNorm,
    encoder: BertEncoder,
}

impl E5 {
    /// The model's name.
    pub const ID: &str = "multilingual-e5-small";

    /// Reads `e5-small-q4.bin` from a folder. Takes about 0.3 s.
    pub fn load(folder: &Path) -> anyhow::Result<Self> {
        Self::with(folder, None)
    }

    /// Also keeps the vectors that it computes in the folder.
    pub fn load_remembering(folder: &Path) -> anyhow::Result<Self> {
        Self::with(folder, Some(Memory::open(folder)))
    }

    fn with(folder: &Path, memory: Option<Memory>) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let file = std::fs::read(&path);
        let file = file.with_context(|| format!("cannot read the model file {}", path.display()))?;
        let network = E5Network::new(&file);
        let network = network.with_context(|| format!("the model in {} cannot be used", path.display()))?;
        Ok(Self(Transformer::new(network, memory)))
    }
}

impl E5Network {
    fn new(file: &[u8]) -> anyhow::Result<Self> {
        let packed = Packed::read(file)?;
        let Sizes { width, vocabulary, places, token_types, epsilon, .. } = packed.sizes;
        ensure!(width == DIMENSIONS, "it has {width} dimensions instead of {DIMENSIONS}");
        ensure!(places >= MAX_TOKENS, "it is for texts of {places} tokens");
        let encoder = BertEncoder::load(layers(&packed)?, &config(&packed.sizes))?;
        // All tokens of a text have the first type.
        let token_type = packed.tensor("emb.type", &[token_types, width])?.narrow(0, 0, 1)?;
        let places = packed.tensor("emb.pos", &[places, width])?.broadcast_add(&token_type)?;
        let [weight, bias] = ["emb.ln.w", "emb.ln.b"].map(|name| packed.tensor(name, &[width]));
        let norm = LayerNorm::new(weight?, bias?, epsilon);
        let vocabulary = packed.blocks("emb.word", &[vocabulary, width])?;
        let padding = packed.vocabulary.padding;
        Ok(Self { pieces: Pieces::new(packed.vocabulary), padding, vocabulary, places, norm, encoder })
    }
}

impl Network for E5Network {
    fn padding(&self) -> u32 {
        self.padding
    }

    fn tokenize(&self, texts: &[String]) -> anyhow::Result<Vec<Vec<u32>>> {
        Ok(texts.iter().map(|text| self.pieces.tokens(text, MAX_TOKENS)).collect())
    }

    fn forward(&self, tokens: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
        let (_, longest) = tokens.dims2()?;
        let vectors = self.vocabulary.embedding(tokens)?;
        let vectors = self.norm.forward(&vectors.broadcast_add(&self.places.narrow(0, 0, longest)?)?)?;
        // Added to the attention that is paid to each token: padding gets none.
        let mask = mask.to_dtype(DType::F32)?;
        let attention = ((mask.ones_like()? - mask)? * f64::from(f32::MIN))?;
        self.encoder.forward(&vectors, &attention.unsqueeze(1)?.unsqueeze(1)?)
    }
}

fn config(sizes: &Sizes) -> Config {
    Config {
        vocab_size: sizes.vocabulary,
        hidden_size: sizes.width,
        num_hidden_layers: sizes.layers,
        num_attention_heads: sizes.heads,
        intermediate_size: sizes.inner_width,
        hidden_act: HiddenAct::Gelu,
        max_position_embeddings: sizes.places,
        type_vocab_size: sizes.token_types,
        layer_norm_eps: sizes.epsilon,
        ..Config::default()
    }
}

/// Returns the weights of the layers, by the names that candle asks for.
fn layers(packed: &Packed<'_>) -> anyhow::Result<VarBuilder<'static>> {
    let &Sizes { width, inner_width, layers, .. } = &packed.sizes;
    let (square, line) = (vec![width, width], vec![width]);
    let parts = [
        ("attention.self.query", "q", &square),
        ("attention.self.key", "k", &square),
        ("attention.self.value", "v", &square),
        ("attention.output.dense", "ao", &square),
        ("attention.output.LayerNorm", "aln", &line),
        ("intermediate.dense", "fi", &vec![inner_width, width]),
        ("output.dense", "fo", &vec![width, inner_width]),
        ("output.LayerNorm", "oln", &line),
    ];
    let mut tensors = HashMap::new();
    for layer in 0..layers {
        for (name, packed_name, shape) in parts {
            let (name, packed_name) = (format!("layer.{layer}.{name}"), format!("l{layer}.{packed_name}"));
            tensors.insert(format!("{name}.weight"), packed.tensor(&format!("{packed_name}.w"), shape)?);
            tensors.insert(format!("{name}.bias"), packed.tensor(&format!("{packed_name}.b"), &shape[..1])?);
        }
    }
    Ok(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))
}
