//! all-MiniLM-L6-v2 on the processor.
//!
//! The published recipe (<https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2>): at most 256 tokens, the mean
//! of the token vectors under the attention mask, then length 1. Texts are run in batches of like length, so that
//! little is computed for padding.

use std::path::Path;
use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::{Tokenizer, TruncationParams};
use tokio::sync::Semaphore;

use crate::demo::models::{OfflineError, blocking, embeddings::Vectors};

/// Length of this model's vectors.
pub(super) const DIMENSIONS: usize = 384;
/// The model was trained on so many; what follows is cut off.
const MAX_TOKENS: usize = 256;
/// Texts in one run: more are not faster, and make other requests wait longer.
const BATCH: usize = 32;

/// The loaded model; clones share the weights (90 MB).
#[derive(Clone)]
pub struct Minilm(Arc<Loaded>);

struct Loaded {
    model: BertModel,
    tokenizer: Tokenizer,
    pad_token: u32,
    /// One inference at a time: it uses all cores, and two would only wait for each other.
    turn: Semaphore,
}

/// Texts on their way to vectors.
struct Work {
    /// Token ids of each text with its index, the longest first; taken from the end.
    waiting: Vec<(usize, Vec<u32>)>,
    bytes: Vec<u8>,
    tokens: usize,
}

impl Minilm {
    /// Reads `config.json`, `tokenizer.json` and `model.safetensors` from a folder. Takes about 0.2 s.
    pub fn load(folder: &Path) -> Result<Self, OfflineError> {
        let config_path = folder.join("config.json");
        let config: Config =
            serde_json::from_slice(&read(&config_path)?).map_err(|error| unusable(&config_path, &error))?;
        if config.hidden_size != DIMENSIONS {
            let reason = format!("it has {} dimensions instead of {DIMENSIONS}", config.hidden_size);
            return Err(unusable(&config_path, &reason));
        }

        let tokenizer_path = folder.join("tokenizer.json");
        let mut tokenizer = Tokenizer::from_bytes(read(&tokenizer_path)?)
            .map_err(|error| unusable(&tokenizer_path, &error))?;
        // The file asks for 128 tokens and pads every text to that.
        let truncation = TruncationParams { max_length: MAX_TOKENS, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| unusable(&tokenizer_path, &error))?;
        tokenizer.with_padding(None);

        let weights_path = folder.join("model.safetensors");
        let weights = read(&weights_path)?;
        let model = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)
            .and_then(|weights| BertModel::load(weights, &config))
            .map_err(|error| unusable(&weights_path, &error))?;
        let pad_token = u32::try_from(config.pad_token_id).map_err(|error| unusable(&config_path, &error))?;
        Ok(Self(Arc::new(Loaded { model, tokenizer, pad_token, turn: Semaphore::new(1) })))
    }

    /// Embeds the texts in their order and counts their tokens. Others get their turn after every batch, so that a
    /// short request need not wait for the whole of a long one.
    pub(super) async fn embed(&self, texts: Vec<String>) -> Result<(Vectors, usize), OfflineError> {
        let model = self.clone();
        let mut work = blocking(move || model.tokenize(&texts)).await?;
        while !work.waiting.is_empty() {
            let _turn = self.0.turn.acquire().await.expect("this semaphore is never closed");
            let model = self.clone();
            work = blocking(move || model.run_batch(work)).await?;
        }
        Ok((Vectors::from_le_bytes(DIMENSIONS, work.bytes), work.tokens))
    }

    fn tokenize(&self, texts: &[String]) -> Result<Work, OfflineError> {
        let inputs = texts.iter().map(String::as_str).collect();
        let encodings =
            self.0.tokenizer.encode_batch_fast(inputs, true).map_err(|error| inference(&error))?;
        let mut waiting: Vec<_> =
            encodings.iter().map(|encoding| encoding.get_ids().to_vec()).enumerate().collect();
        let tokens = waiting.iter().map(|(_, ids)| ids.len()).sum();
        waiting.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
        let bytes = vec![0; texts.len() * DIMENSIONS * size_of::<f32>()];
        Ok(Work { waiting, bytes, tokens })
    }

    /// Embeds the next texts of the work, the shortest first.
    fn run_batch(&self, mut work: Work) -> Result<Work, OfflineError> {
        let batch = work.waiting.split_off(work.waiting.len().saturating_sub(BATCH));
        let vectors = self.forward(&batch).map_err(|error| inference(&error))?;
        let width = DIMENSIONS * size_of::<f32>();
        for ((index, _), vector) in batch.iter().zip(vectors) {
            let bytes: Vec<u8> = vector.into_iter().flat_map(f32::to_le_bytes).collect();
            work.bytes[index * width..(index + 1) * width].copy_from_slice(&bytes);
        }
        Ok(work)
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

impl std::fmt::Debug for Minilm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Minilm")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, OfflineError> {
    std::fs::read(path).map_err(|source| OfflineError::Weights { path: path.to_owned(), source })
}

fn unusable(path: &Path, reason: &impl ToString) -> OfflineError {
    OfflineError::Unusable { path: path.to_owned(), reason: reason.to_string() }
}

fn inference(error: &impl ToString) -> OfflineError {
    OfflineError::Inference(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::demo::models::{Completer, Embedder, Models, OfflineServer};

    /// The folder with the weights, or nothing and a word about it.
    fn weights() -> Option<PathBuf> {
        let folder = std::env::var_os("SHOPKEEPER_TEST_MINILM").map(PathBuf::from);
        if folder.is_none() {
            #[expect(clippy::print_stderr, reason = "a skipped test says so")]
            {
                eprintln!("skipped: SHOPKEEPER_TEST_MINILM does not name the folder of the weights");
            }
        }
        folder
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[tokio::test]
    async fn texts_of_like_meaning_are_near() {
        let Some(folder) = weights() else { return };
        let model = Minilm::load(&folder).unwrap();
        let asked = texts(&["How do I send a product back?", "Our return policy", "A lamp made of brass"]);
        let (vectors, tokens) = model.embed(asked).await.unwrap();
        assert_eq!(tokens, 10 + 5 + 7);
        let [question, returns, lamp] = [0, 1, 2].map(|index| vectors.row(index));
        assert!((cosine(&question, &question) - 1.0).abs() < 1e-5);
        let (near, far) = (cosine(&question, &returns), cosine(&question, &lamp));
        assert!(near > far + 0.2, "{near} and {far}");
    }

    #[tokio::test]
    async fn the_vectors_are_those_of_the_published_model() {
        let Some(folder) = weights() else { return };
        let model = Minilm::load(&folder).unwrap();
        let (vectors, _) = model.embed(texts(&["This is an example sentence"])).await.unwrap();
        // From the model's card.
        for (ours, published) in vectors.row(0).iter().zip([0.0677, 0.0635, 0.0487, 0.0793, 0.0374, 0.0027]) {
            assert!((ours - published).abs() < 6e-4, "{ours} instead of {published}");
        }
    }

    #[tokio::test]
    async fn a_text_has_the_same_vector_alone_and_in_a_batch() {
        let Some(folder) = weights() else { return };
        let model = Minilm::load(&folder).unwrap();
        let long = "A long text about a chair of oak and what can be done with it. ".repeat(30);
        let many: Vec<String> = (0..BATCH + 3).map(|n| format!("chair {n} {}", &long[..n * 40])).collect();
        let (together, _) = model.embed(many.clone()).await.unwrap();
        for index in [0, 1, BATCH - 1, BATCH + 2] {
            let (alone, _) = model.embed(vec![many[index].clone()]).await.unwrap();
            assert!(cosine(&alone.row(0), &together.row(index)) > 0.9999, "text {index}");
        }
    }

    #[tokio::test]
    async fn what_follows_256_tokens_is_cut_off() {
        let Some(folder) = weights() else { return };
        let model = Minilm::load(&folder).unwrap();
        let (vectors, tokens) =
            model.embed(texts(&[&"chair ".repeat(254), &"chair ".repeat(900)])).await.unwrap();
        assert_eq!(tokens, 2 * MAX_TOKENS);
        assert!(cosine(&vectors.row(0), &vectors.row(1)) > 0.9999);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Minilm::load(Path::new("/nonexistent")).unwrap_err();
        assert!(matches!(error, OfflineError::Weights { path, .. } if path.ends_with("config.json")));
    }

    #[tokio::test]
    async fn the_server_refuses_tokens_and_other_dimensions() {
        let Some(folder) = weights() else { return };
        let model = Minilm::load(&folder).unwrap();
        let models = Models::new(Embedder::Minilm(model), Completer::Echo);
        let server = OfflineServer::start(models).await.unwrap();
        crate::http_client::prepare();
        let http = reqwest::Client::new();
        let url = format!("{}/embeddings", server.base_url());
        for (body, param) in [
            (serde_json::json!({"model": "m", "input": [1, 2]}), "input"),
            (serde_json::json!({"model": "m", "input": "text", "dimensions": 385}), "dimensions"),
        ] {
            let response = http.post(&url).json(&body).send().await.unwrap();
            assert_eq!(response.status(), 400);
            assert_eq!(response.json::<serde_json::Value>().await.unwrap()["error"]["param"], param);
        }
        let body = serde_json::json!({"model": "m", "input": ["one", "two"], "dimensions": 384});
        let body: serde_json::Value = http.post(&url).json(&body).send().await.unwrap().json().await.unwrap();
        assert_eq!(body["data"][1]["embedding"].as_array().unwrap().len(), DIMENSIONS);
    }
}
