//! Embeddings of a server, in base64 where it supports that.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::{FutureExt, future::BoxFuture};
use serde_json::{Map, Value, json};

use crate::model::{
    Embedder, EmbeddingModel, Embeddings, InputForm, InputRole, ModelError, ModelFault, RetryPermit,
    learned::{EncodingFormat, Learned, Lessons},
    openai::{
        Server,
        adapting::{Adaptive, Exchange, ask, is_about_form},
        failure::{Failure, ResponseHints},
    },
};

mod reply;
mod vectors;

use reply::EmbeddingReply;

/// How an embedding model is asked. `None` is found out.
#[derive(Clone, Debug, Default)]
pub struct EmbeddingSettings {
    /// How documents are embedded; part of their fingerprint.
    pub document: InputForm,
    /// How questions are embedded.
    pub question: InputForm,
    /// Whether the length of the vectors is asked for.
    pub dimensions_parameter: Option<bool>,
    /// How vectors are sent.
    pub encoding_format: Option<EncodingFormat>,
}

/// Makes vectors at a server.
pub struct OpenAiEmbedder {
    server: Server,
    model: EmbeddingModel,
    settings: EmbeddingSettings,
    learned: Learned,
    /// Whether the server has accepted a request.
    has_worked: AtomicBool,
}

impl OpenAiEmbedder {
    /// Uses this model of this server.
    pub fn new(server: Server, model: EmbeddingModel, settings: EmbeddingSettings, lessons: Lessons) -> Self {
        let learned = Learned::new(lessons);
        Self { server, model, settings, learned, has_worked: AtomicBool::new(false) }
    }

    fn format(&self, lessons: &Lessons) -> EncodingFormat {
        let known = self.settings.encoding_format.or(lessons.encoding_format);
        known.unwrap_or(EncodingFormat::Base64)
    }

    fn sends_dimensions(&self, lessons: &Lessons) -> bool {
        self.settings.dimensions_parameter.or(lessons.dimensions_parameter).unwrap_or(false)
    }
}

/// Texts to embed in one request.
struct EmbeddingRequest<'a> {
    embedder: &'a OpenAiEmbedder,
    role: InputRole,
    inputs: &'a [String],
}

impl EmbeddingRequest<'_> {
    fn body(&self, lessons: &Lessons) -> Map<String, Value> {
        let OpenAiEmbedder { server, model, settings, .. } = self.embedder;
        let form = match self.role {
            InputRole::Document => &settings.document,
            InputRole::Question => &settings.question,
        };
        let inputs: Vec<_> = self.inputs.iter().map(|text| format!("{}{text}", form.prefix)).collect();
        let mut body =
            Map::from_iter([("model".to_owned(), json!(model.name)), ("input".to_owned(), json!(inputs))]);
        let format = self.embedder.format(lessons);
        if format != EncodingFormat::None {
            body.insert("encoding_format".to_owned(), json!(format));
        }
        if self.embedder.sends_dimensions(lessons) {
            body.insert("dimensions".to_owned(), json!(model.dimensions));
        }
        server.with_extra_body(body, &form.extra_body)
    }

    async fn exchange(&self, lessons: &Lessons) -> Exchange<Embeddings> {
        let OpenAiEmbedder { server, learned, .. } = self.embedder;
        let body = self.body(lessons);
        let request = async { server.client.embeddings().create_byot::<_, EmbeddingReply>(body).await };
        let (reply, hints) = server.request(request.boxed()).await?;
        let status = hints.status.unwrap_or_default();
        if let Some(refusal) = reply.refusal(status) {
            return Err((Failure::Refusal(refusal), hints));
        }
        let tokens = reply.tokens();
        let fail = |error| (Failure::Other(error), hints);
        let ordered = reply.ordered().ok_or_else(|| {
            // It may still be right for one input.
            learned.learn(|lessons| lessons.max_inputs = Some(1));
            fail(server.nonsense("the vectors do not say which input they belong to".to_owned()))
        });
        let vectors = ordered?;
        if let Some(length) = self.embedder.other_length(&vectors) {
            let wanted = self.embedder.model.dimensions;
            let reason = format!("vectors of {length} dimensions, where embedding.dimensions is {wanted}");
            return Err((Failure::OtherLength { length, error: server.nonsense(reason) }, hints));
        }
        let vectors = self.embedder.checked(vectors, self.inputs.len()).map_err(fail)?;
        self.embedder.has_worked.store(true, Ordering::Relaxed);
        Ok(Embeddings { vectors, tokens, left: hints.left })
    }
}

impl Adaptive for EmbeddingRequest<'_> {
    type Reply = Embeddings;

    fn send<'a>(&'a self, lessons: &'a Lessons) -> BoxFuture<'a, Exchange<Embeddings>> {
        self.exchange(lessons).boxed()
    }

    fn adapt(&self, failure: &Failure, lessons: &mut Lessons) {
        let OpenAiEmbedder { settings, has_worked, model, .. } = self.embedder;
        let is_free = settings.encoding_format.is_none();
        match failure {
            Failure::Refusal(refusal) if is_about_form(refusal.status) => {
                if self.embedder.sends_dimensions(lessons)
                    && settings.dimensions_parameter.is_none()
                    && refusal.names(&["dimension", "matryoshka"])
                {
                    lessons.dimensions_parameter = Some(false);
                    return;
                }
                if is_free && refusal.names(&["encoding_format", "encoding format", "base64"]) {
                    lessons.encoding_format = Some(match self.embedder.format(lessons) {
                        EncodingFormat::Base64 => EncodingFormat::Float,
                        EncodingFormat::Float | EncodingFormat::None => EncodingFormat::None,
                    });
                    return;
                }
                if let Some(most) = refusal.most_inputs(self.inputs.len()) {
                    // The caller sends fewer.
                    self.embedder.learned.learn(|lessons| lessons.max_inputs = Some(most));
                    return;
                }
            }
            Failure::OtherLength { length, .. } => {
                if *length > model.dimensions as usize && settings.dimensions_parameter.is_none() {
                    lessons.dimensions_parameter.get_or_insert(true);
                }
                return;
            }
            Failure::Refusal(refusal) if refusal.status.is_success() => {}
            Failure::Other(error) if error.fault == ModelFault::Nonsense => {}
            _ => return,
        }
        // With several inputs, one of them may be to blame: the caller finds out with a single one.
        if is_free && self.inputs.len() == 1 && !has_worked.load(Ordering::Relaxed) {
            lessons.encoding_format.get_or_insert(EncodingFormat::Float);
        }
    }

    fn classify(&self, failure: Failure, hints: ResponseHints) -> ModelError {
        match failure {
            Failure::Refusal(refusal) => {
                self.embedder.server.classify(&refusal, hints, self.role == InputRole::Question)
            }
            Failure::OtherLength { error, .. } | Failure::Other(error) => error,
        }
    }
}

impl Embedder for OpenAiEmbedder {
    fn embed<'a>(
        &'a self,
        role: InputRole,
        inputs: &'a [String],
        again: &'a RetryPermit<'a>,
    ) -> BoxFuture<'a, Result<Embeddings, ModelError>> {
        async move { ask(&EmbeddingRequest { embedder: self, role, inputs }, &self.learned, again).await }
            .boxed()
    }

    fn learned(&self) -> &Learned {
        &self.learned
    }
}
