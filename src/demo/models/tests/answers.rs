//! `/v1/chat/completions`, and the client that production uses.

use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use async_openai::types::embeddings::{CreateEmbeddingRequestArgs, EncodingFormat};
use async_openai::{Client, config::OpenAIConfig, error::OpenAIError};

use super::*;

fn client(caller: &Caller) -> Client<OpenAIConfig> {
    Client::with_config(OpenAIConfig::new().with_api_base(caller.server.base_url()).with_api_key("any"))
}

#[tokio::test]
async fn a_completion_has_the_wire_format_of_openai() {
    let caller = Caller::start().await;
    let body = json_of(caller.chat(json!({"temperature": 0.2})).await).await;
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("gpt-5")));
    let choice = &body["choices"][0];
    assert_eq!(choice["message"]["content"], "Three blue lamps are here.");
    assert_eq!((&choice["message"]["role"], &choice["finish_reason"]), (&json!("assistant"), &json!("stop")));
    assert_eq!(body["usage"], json!({"prompt_tokens": 7, "completion_tokens": 7, "total_tokens": 14}));
    assert_eq!(error_of(caller.chat(json!({"temperature": 2.5})).await, 400).await["param"], "temperature");
    for field in ["max_tokens", "max_completion_tokens"] {
        let choice = json_of(caller.chat(json!({field: 2})).await).await["choices"][0].take();
        let (text, reason) = (&choice["message"]["content"], &choice["finish_reason"]);
        assert_eq!((text, reason), (&json!("Three bl"), &json!("length")));
    }
}

#[tokio::test]
async fn a_streamed_completion_comes_in_chunks_and_ends_with_done() {
    let caller = Caller::start().await;
    let response = caller.chat(json!({"stream": true, "stream_options": {"include_usage": true}})).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    let mut events: Vec<_> = events.collect();
    assert_eq!(events.pop(), Some("[DONE]"));
    let chunks: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    for chunk in &chunks {
        assert_eq!((&chunk["object"], &chunk["id"]), (&json!("chat.completion.chunk"), &chunks[0]["id"]));
    }
    let choices = chunks.iter().map(|chunk| &chunk["choices"][0]);
    let words: Vec<_> = choices.filter_map(|choice| choice["delta"]["content"].as_str()).collect();
    assert_eq!(words.concat(), "Three blue lamps are here.");
    assert!(words.len() > 2);
    let [first, .., before_last, last] = &chunks[..] else { panic!("{text}") };
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(before_last["choices"][0]["finish_reason"], "stop");
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(14)));
}

#[tokio::test]
async fn the_client_of_production_understands_the_answers() {
    let caller = Caller::with(Models::new(Embedder::hash(1536), Completer::Echo)).await;
    let openai = client(&caller);
    let mut request = CreateEmbeddingRequestArgs::default();
    request.model("text-embedding-3-small").input(["a red chair", "a blue chair"]);
    let floats = openai.embeddings().create(request.build().unwrap()).await.unwrap();
    let request = request.encoding_format(EncodingFormat::Base64).build().unwrap();
    let encoded = openai.embeddings().create_base64(request).await.unwrap();
    let second: Vec<f32> = encoded.data[1].embedding.clone().into();
    assert_eq!(second.len(), 1536);
    assert_eq!(second, floats.data[1].embedding);

    let request = CreateChatCompletionRequestArgs::default()
        .model("gpt-5")
        .messages([ChatCompletionRequestUserMessage::from("Which lamps?").into()])
        .build()
        .unwrap();
    let answer = openai.chat().create(request).await.unwrap();
    assert_eq!(answer.choices[0].message.content.as_deref(), Some("Which lamps?"));
}

#[tokio::test]
async fn the_client_of_production_understands_the_errors() {
    let caller = Caller::with_fault(Embeddings, Fault::InsufficientQuota).await;
    let request = CreateEmbeddingRequestArgs::default().model("m").input("text").build().unwrap();
    let Err(OpenAIError::ApiError(error)) = client(&caller).embeddings().create(request).await else {
        panic!("expected an error of the API");
    };
    assert_eq!(error.status_code, 429);
    assert_eq!(error.api_error.code.as_deref(), Some("insufficient_quota"));
    assert_eq!(caller.server.script().requests(Embeddings), 1);
}
