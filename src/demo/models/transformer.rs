//! What the models that compute have in common: batches, turns, and the vector of a text.
//!
//! The vector is the mean of the vectors of a text's tokens, normalized to length 1. Batches have texts of similar
//! length, so that little is computed for padding.

use std::{cmp::Reverse, sync::Arc};

use candle_core::{D, DType, Device, Tensor};
use tokio::{sync::Semaphore, task};

use super::{memory::Memory, vector::Vector};

/// The length of the vectors, which is the same for all of these models.
pub(super) const DIMENSIONS: usize = 384;
/// Texts per run: more are not faster, and make other requests wait longer.
pub(super) const BATCH: usize = 32;
/// Tokens per run, padding included: they bound the memory of a run to some hundred megabytes.
const BATCH_TOKENS: usize = 4096;

/// The index of a text, and its tokens.
type Tokens = (usize, Vec<u32>);

/// Turns tokens into vectors.
pub(super) trait Network: Send + Sync {
    /// The token that fills the places after the end of a text.
    fn padding(&self) -> u32;

    /// Returns the tokens of each text, at most as many as the model was trained on.
    fn tokenize(&self, texts: &[String]) -> anyhow::Result<Vec<Vec<u32>>>;

    /// Turns `texts × longest` tokens into `texts × longest × 384` numbers. The mask is 0 for padding, else 1.
    fn forward(&self, tokens: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor>;
}

/// A loaded model; clones share the weights.
#[derive(Clone)]
pub(super) struct Transformer(Arc<Loaded>);

struct Loaded {
    network: Box<dyn Network>,
    memory: Option<Memory>,
    /// One inference at a time: each uses all cores.
    turn: Semaphore,
}

impl Transformer {
    /// With a memory, what it holds is not computed again.
    pub(super) fn new(network: impl Network + 'static, memory: Option<Memory>) -> Self {
        Self(Arc::new(Loaded { network: Box::new(network), memory, turn: Semaphore::new(1) }))
    }

    /// Embeds the texts in order and counts their tokens. Requests take turns after every batch.
    pub(super) async fn embed(&self, texts: Arc<[String]>) -> anyhow::Result<(Vec<Vector>, usize)> {
        let mut vectors = vec![Vector::new(); texts.len()];
        let model = self.clone();
        let tokens = task::spawn_blocking(move || model.0.network.tokenize(&texts)).await??;
        let count = tokens.iter().map(Vec::len).sum();
        let mut waiting: Vec<Tokens> = tokens.into_iter().enumerate().collect();
        if let Some(memory) = &self.0.memory {
            waiting.retain(|(index, tokens)| match memory.find(&Memory::key(tokens)) {
                Some(vector) => {
                    vectors[*index] = vector;
                    false
                }
                None => true,
            });
        }
        waiting.sort_by_key(|(_, tokens)| Reverse(tokens.len()));
        while !waiting.is_empty() {
            let batch = split_batch(&mut waiting);
            let indices: Vec<_> = batch.iter().map(|(index, _)| *index).collect();
            let _turn = self.0.turn.acquire().await?;
            let model = self.clone();
            let computed = task::spawn_blocking(move || model.compute(&batch)).await??;
            for (index, vector) in indices.into_iter().zip(computed) {
                vectors[index] = vector;
            }
        }
        Ok((vectors, count))
    }

    /// Computes the vector of each text, and remembers it.
    fn compute(&self, batch: &[Tokens]) -> candle_core::Result<Vec<Vector>> {
        let rows = self.forward(batch)?.into_iter();
        let vectors: Vec<Vector> =
            rows.map(|row| row.into_iter().flat_map(f32::to_le_bytes).collect()).collect();
        if let Some(memory) = &self.0.memory {
            let keys = batch.iter().map(|(_, tokens)| Memory::key(tokens));
            memory.add(keys.zip(vectors.iter().cloned()).collect());
        }
        Ok(vectors)
    }

    fn forward(&self, batch: &[Tokens]) -> candle_core::Result<Vec<Vec<f32>>> {
        let longest = batch.iter().map(|(_, tokens)| tokens.len()).max().unwrap_or_default();
        let shape = (batch.len(), longest);
        let padded = |tokens: &[u32], rest: u32| -> Vec<u32> {
            tokens.iter().copied().chain(std::iter::repeat_n(rest, longest - tokens.len())).collect()
        };
        let padding = self.0.network.padding();
        let tokens: Vec<u32> = batch.iter().flat_map(|(_, tokens)| padded(tokens, padding)).collect();
        let mask: Vec<u32> = batch.iter().flat_map(|(_, tokens)| padded(&vec![1; tokens.len()], 0)).collect();
        let tokens = Tensor::from_vec(tokens, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;

        let hidden = self.0.network.forward(&tokens, &mask)?;
        let mask = mask.to_dtype(DType::F32)?;
        let sum = mask.unsqueeze(1)?.matmul(&hidden)?.squeeze(1)?;
        // Normalization cancels the divisor of the mean.
        let length = sum.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        sum.broadcast_div(&length)?.to_vec2()
    }
}

/// Takes the shortest texts from the end of a list that has the longest first.
fn split_batch(waiting: &mut Vec<Tokens>) -> Vec<Tokens> {
    let fits = |(number, (_, tokens)): &(usize, &Tokens)| number * tokens.len() <= BATCH_TOKENS;
    let count = (1..=BATCH).zip(waiting.iter().rev()).take_while(fits).count().max(1);
    waiting.split_off(waiting.len().saturating_sub(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_by_texts_and_by_tokens_with_padding() {
        let texts =
            |lengths: &[usize]| lengths.iter().map(|length| (0, vec![0; *length])).collect::<Vec<_>>();
        let mut short = texts(&[10; BATCH + 1]);
        assert_eq!((split_batch(&mut short).len(), split_batch(&mut short).len()), (BATCH, 1));
        let mut long = texts(&[512; 20]);
        long.extend(texts(&[5; 2]));
        assert_eq!((split_batch(&mut long).len(), long.len()), (BATCH_TOKENS / 512, 14));
        assert_eq!(split_batch(&mut texts(&[BATCH_TOKENS + 1])).len(), 1);
        assert!(split_batch(&mut Vec::new()).is_empty());
    }
}
