//! Embeddings of a server, in base64 where it supports that.

use std::sync::OnceLock;

use async_openai::{
    error::OpenAIError,
    types::embeddings::{CreateEmbeddingRequest, EmbeddingInput, EncodingFormat},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{FutureExt, future::BoxFuture};

use crate::model::{
    Embedder, EmbeddingModel, Embeddings, ModelError, RateLimitRemaining, RetryPermit,
    openai::{Server, otherwise},
};

mod vectors;

use vectors::{Indexed, with_nulls};

/// Vectors, the tokens that were charged for them, and what is left of the rate limit.
type EmbeddingReply = (Vec<Indexed>, u32, RateLimitRemaining);

/// Makes vectors at a server.
pub struct OpenAiEmbedder {
    server: Server,
    model: EmbeddingModel,
    /// The format that the server is known to support. Base64, which is tried first, takes a third of the bytes of decimals.
    format: OnceLock<EncodingFormat>,
}

impl OpenAiEmbedder {
    /// Uses this model of this server.
    pub fn new(server: Server, model: EmbeddingModel) -> Self {
        Self { server, model, format: OnceLock::new() }
    }

    async fn request(&self, inputs: &[String], again: &RetryPermit<'_>) -> Result<Embeddings, ModelError> {
        let (vectors, tokens, left) = match self.format.get() {
            Some(EncodingFormat::Base64) => self.in_base64(inputs).await?,
            Some(EncodingFormat::Float) => self.in_decimals(inputs).await?,
            None => self.in_either(inputs, again).await?,
        };
        Ok(Embeddings { vectors: self.checked(vectors, inputs.len())?, tokens: tokens.into(), left })
    }

    /// Finds out which format the server supports.
    async fn in_either(
        &self,
        inputs: &[String],
        again: &RetryPermit<'_>,
    ) -> Result<EmbeddingReply, ModelError> {
        let (format, response) = match self.in_base64(inputs).await {
            Err(error @ (ModelError::Rejected { .. } | ModelError::Nonsense { .. })) => {
                let response = otherwise(error, again, self.in_decimals(inputs)).await?;
                (EncodingFormat::Float, response)
            }
            response => (EncodingFormat::Base64, response?),
        };
        // Another request may have set it meanwhile: the server supports both then.
        let _ = self.format.set(format);
        Ok(response)
    }

    async fn in_base64(&self, inputs: &[String]) -> Result<EmbeddingReply, ModelError> {
        let request = self.create_request(inputs, EncodingFormat::Base64);
        let (response, left) =
            self.server.request(self.server.client.embeddings().create_base64(request)).await?;
        let mut bytes = Vec::new();
        let mut decode = |text: &str| {
            bytes.clear();
            STANDARD.decode_vec(text, &mut bytes).ok()?;
            let (floats, rest) = bytes.as_chunks();
            rest.is_empty().then(|| floats.iter().map(|float| f32::from_le_bytes(*float)).collect())
        };
        let vectors = response.data.iter().map(|entry| {
            let vector = decode(&entry.embedding.0);
            let vector =
                vector.ok_or_else(|| self.server.nonsense("a vector that is not base64".to_owned()))?;
            Ok((entry.index, vector))
        });
        Ok((vectors.collect::<Result<_, ModelError>>()?, response.usage.total_tokens, left))
    }

    async fn in_decimals(&self, inputs: &[String]) -> Result<EmbeddingReply, ModelError> {
        let request = self.create_request(inputs, EncodingFormat::Float);
        let request = async {
            match self.server.client.embeddings().create(request).await {
                Ok(response) => {
                    let vectors = response.data.into_iter().map(|entry| (entry.index, entry.embedding));
                    Ok((vectors.collect(), response.usage.total_tokens))
                }
                Err(OpenAIError::JSONDeserialize(error, body)) => {
                    with_nulls(&body).ok_or(OpenAIError::JSONDeserialize(error, body))
                }
                Err(error) => Err(error),
            }
        };
        let ((vectors, tokens), left) = self.server.request(request).await?;
        Ok((vectors, tokens, left))
    }

    fn create_request(&self, inputs: &[String], format: EncodingFormat) -> CreateEmbeddingRequest {
        // Only these models can shorten their vectors; others refuse the parameter.
        let shortens = self.model.name.starts_with("text-embedding-3");
        CreateEmbeddingRequest {
            model: self.model.name.clone(),
            input: EmbeddingInput::StringArray(inputs.to_vec()),
            encoding_format: Some(format),
            user: None,
            dimensions: shortens.then_some(self.model.dimensions),
        }
    }
}

impl Embedder for OpenAiEmbedder {
    fn embed<'a>(
        &'a self,
        inputs: &'a [String],
        again: &'a RetryPermit<'a>,
    ) -> BoxFuture<'a, Result<Embeddings, ModelError>> {
        self.request(inputs, again).boxed()
    }
}
