//! all-MiniLM-L6-v2 on the processor.
//!
//! The published recipe (<https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2>): at most 256 tokens, the mean
//! of the token vectors under the attention mask, then length 1. Texts are run in batches of like length, so that
//! little is computed for padding.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::{Tokenizer, TruncationParams};
use tokio::{sync::Semaphore, task};

use crate::demo::models::embeddings::Vector;

/// Length of this model's vectors.
pub(super) const DIMENSIONS: usize = 384;
/// Longest input that the model was trained on; what follows is cut off.
const MAX_TOKENS: usize = 256;
/// Texts in one run: more are not faster, and make other requests wait longer.
const BATCH: usize = 32;

/// The loaded model; clones share the weights (90 MB).
#[derive(Clone)]
pub struct Minilm(Arc<LoadedModel>);

struct LoadedModel {
    model: BertModel,
    tokenizer: Tokenizer,
    pad_token: u32,
    /// One inference at a time: it uses all cores, and two would only wait for each other.
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

    /// Embeds the texts in their order and counts their tokens. Others get their turn after every batch, so that a
    /// short request need not wait for the whole of a long one.
    pub(super) async fn embed(&self, texts: Arc<[String]>) -> anyhow::Result<(Vec<Vector>, usize)> {
        let mut vectors = vec![Vector::new(); texts.len()];
        let model = self.clone();
        // Token ids of each text with its index, the longest first.
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

    /// From `texts × longest` token ids to `texts × 384` numbers.
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
        // The mean's divisor falls out when the length is made 1.
        let length = sum.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        sum.broadcast_div(&length)?.to_vec2()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::demo::{
        models::{Completer, Embedder, Models, OfflineServer, embeddings::floats},
        packages,
    };

    async fn model() -> Minilm {
        Minilm::load(&packages::minilm_weights().await.unwrap()).unwrap()
    }

    async fn embed(model: &Minilm, texts: &[&str]) -> (Vec<Vec<f32>>, usize) {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        let (vectors, tokens) = model.embed(texts.into()).await.unwrap();
        (vectors.iter().map(|vector| floats(vector).collect()).collect(), tokens)
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[tokio::test]
    async fn texts_of_like_meaning_are_near() {
        let texts = ["How do I send a product back?", "Our return policy", "A lamp made of brass"];
        let (vectors, tokens) = embed(&model().await, &texts).await;
        assert_eq!(tokens, 10 + 5 + 7);
        let [question, returns, lamp] = &vectors[..] else { panic!("{} vectors", vectors.len()) };
        assert!((cosine(question, question) - 1.0).abs() < 1e-5);
        let (near, far) = (cosine(question, returns), cosine(question, lamp));
        assert!(near > far + 0.2, "{near} and {far}");
    }

    #[tokio::test]
    async fn the_vectors_are_those_of_the_published_model() {
        let (vectors, _) = embed(&model().await, &["This is an example sentence"]).await;
        // From the model's card.
        for (ours, published) in vectors[0].iter().zip([0.0677, 0.0635, 0.0487, 0.0793, 0.0374, 0.0027]) {
            assert!((ours - published).abs() < 6e-4, "{ours} instead of {published}");
        }
    }

    #[tokio::test]
    async fn a_text_has_the_same_vector_alone_and_in_a_batch() {
        let model = model().await;
        let long = "A long text about a chair of oak and what can be done with it. ".repeat(30);
        let many: Vec<String> = (0..BATCH + 3).map(|n| format!("chair {n} {}", &long[..n * 8])).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (together, _) = embed(&model, &many).await;
        for index in [0, 1, BATCH - 1, BATCH + 2] {
            let (alone, _) = embed(&model, &[many[index]]).await;
            assert!(cosine(&alone[0], &together[index]) > 0.9999, "text {index}");
        }
    }

    #[tokio::test]
    async fn what_follows_256_tokens_is_cut_off() {
        let texts = [&*"chair ".repeat(254), &*"chair ".repeat(900)];
        let (vectors, tokens) = embed(&model().await, &texts).await;
        assert_eq!(tokens, 2 * MAX_TOKENS);
        assert!(cosine(&vectors[0], &vectors[1]) > 0.9999);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Minilm::load(Path::new("/nonexistent")).err().unwrap();
        assert!(error.to_string().contains("/nonexistent/config.json"), "{error}");
    }

    #[tokio::test]
    async fn the_server_refuses_tokens_and_other_dimensions() {
        let models = Models::new(Embedder::Minilm(model().await), Completer::Echo);
        let server = OfflineServer::start(models).await.unwrap();
        crate::http_client::prepare();
        let (http, url) = (reqwest::Client::new(), format!("{}/embeddings", server.base_url()));
        let ask = async |body: Value| {
            let response = http.post(&url).json(&body).send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        };
        let (status, body) = ask(json!({"model": "m", "input": [1, 2]})).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!("input")));
        let (status, body) = ask(json!({"model": "m", "input": "text", "dimensions": 385})).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!("dimensions")));
        let (_, body) = ask(json!({"model": "m", "input": ["one", "two"], "dimensions": 384})).await;
        assert_eq!(body["data"][1]["embedding"].as_array().unwrap().len(), DIMENSIONS);
    }
}
