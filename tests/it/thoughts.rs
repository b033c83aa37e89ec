//! What is told of the text of models that think, wherever its stream is cut.

use std::{convert::Infallible, sync::Mutex};

use crate::prelude::*;
use axum::{
    Router,
    body::{Body, Bytes},
    http::header::CONTENT_TYPE,
    response::IntoResponse as _,
    routing::post,
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use shopkeeper::model::{
    Completer as _, Delta, Message, Prompt,
    learned::Lessons,
    openai::{ChatSettings, OpenAiCompleter, Server, ServerSettings},
    unlimited,
};

/// How thoughts begin and end.
const MARKS: [(&str, &str); 7] = [
    ("<think>", "</think>"),
    ("<Thinking>", "</Thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("analysis", "assistantfinal"),
    ("", "</think>"),
];

/// A completion, and how it is sent.
#[derive(Clone, Debug)]
struct Case {
    marks: (&'static str, &'static str),
    thought: String,
    answer: String,
    /// Where its text is cut into events, and the events into packets.
    cuts: [Vec<Index>; 2],
    /// Whether it is known that the beginning of thoughts may be missing.
    is_known: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let words = || vec(select(vec!["7.50 ", "<", "</th", "é", "\n", "[", "<|", "◁", "\" \\"]), 0..6);
    let cuts = || vec(any::<Index>(), 0..24);
    (select(&MARKS[..]), words(), words(), [cuts(), cuts()], any::<bool>()).prop_map(
        |(marks, thought, answer, cuts, is_known)| {
            let thought = format!("Secret {} secret", thought.concat());
            Case { marks, thought, answer: format!("Yes. {} [1]", answer.concat()), cuts, is_known }
        },
    )
}

impl Case {
    /// The stream in packets, which may end within a character.
    fn packets(&self) -> Vec<Bytes> {
        let (open, close) = self.marks;
        let text = format!("{open}{}{close}{}", self.thought, self.answer);
        let event = |delta: Value, reason: Option<&str>| {
            format!("data: {}\n\n", json!({ "choices": [{ "delta": delta, "finish_reason": reason }] }))
        };
        let places = places(&self.cuts[0], text.len(), |place| text.floor_char_boundary(place));
        let pieces = places.windows(2).map(|ends| event(json!({ "content": text[ends[0]..ends[1]] }), None));
        let end = event(json!({}), Some("stop")) + "data: [DONE]\n\n";
        let stream = Bytes::from(pieces.collect::<String>() + &end);
        let places = self::places(&self.cuts[1], stream.len(), |place| place);
        places.windows(2).map(|ends| stream.slice(ends[0]..ends[1])).collect()
    }
}

fn places(cuts: &[Index], length: usize, adjust: impl Fn(usize) -> usize) -> Vec<usize> {
    let cuts = cuts.iter().map(|cut| adjust(cut.index(length)));
    let mut places: Vec<_> = cuts.chain([0, length]).collect();
    places.sort_unstable();
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cut_of_a_stream_tells_a_thought() {
    let packets: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let sent = packets.clone();
    let reply = post(async move || {
        let packets = sent.lock().unwrap().clone().into_iter().map(Ok::<_, Infallible>);
        ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(futures::stream::iter(packets)))
            .into_response()
    });
    let base_url = serve(Router::new().route("/chat/completions", reply)).await;
    let prompt = Prompt {
        system: "Answer.".to_owned(),
        messages: vec![Message { role: shopkeeper::model::Role::User, content: "Is it?".to_owned() }],
        temperature: None,
        max_tokens: 500,
        thought_tokens: 0,
    };
    let check = async move |case: Case| {
        *packets.lock().unwrap() = case.packets();
        let timeout = Duration::from_secs(10);
        let settings = ServerSettings { base_url: base_url.clone(), timeout, ..ServerSettings::default() };
        let lessons = Lessons { unopened_thoughts: case.is_known.then_some(true), ..Lessons::default() };
        let server = Server::new(settings).unwrap();
        let completer = OpenAiCompleter::new(server, "m".to_owned(), ChatSettings::default(), lessons);
        // Without its beginning, a thought cannot be known before its end.
        let may_be_told = case.marks.0.is_empty() && !case.is_known;
        let told = Mutex::new((String::new(), 0));
        let on_delta = |delta: Delta<'_>| {
            let (text, resets) = &mut *told.lock().unwrap();
            match delta {
                Delta::Text(piece) => text.push_str(piece),
                Delta::Reset => {
                    text.clear();
                    *resets += 1;
                }
            }
            let is_told = text.to_lowercase().contains("secret");
            assert!(!is_told || may_be_told && *resets == 0, "{text}");
        };
        let completion = completer.complete(&prompt, Some(&on_delta), &unlimited).await.unwrap();
        let (text, resets) = told.into_inner().unwrap();
        assert_eq!((&completion.text, &text), (&case.answer, &case.answer));
        assert!(resets <= usize::from(may_be_told), "{resets} resets");
    };
    for_cases(cases(96), case, check).await;
}
