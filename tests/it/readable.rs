//! Every stored answer can be read, whatever a model said and whichever version of the program wrote it.

use crate::prelude::*;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::value::RawValue;
use shopkeeper::{
    answering::{
        grounding::{Citation, Grounding},
        handover::{Doubt, Signal, SignalEffect},
        object::{
            AnswerOutcome, AnswerStatus, AnswerText, AnswerUsage, EscalationReason, IncompleteReason,
            Settlement, Source, StatedConstraint, Watched,
        },
    },
    store::usage::{self, Cost},
};

/// Any characters, those with which texts are quoted and ended among them.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        8 => any::<char>(),
        1 => Just('\0'),
        1 => select(vec!['\u{1}', '\u{7f}', '\u{fffe}', '\u{ffff}', '\u{10ffff}', '"', '\\', '\n']),
    ];
    vec(character, 0..24).prop_map(|characters| characters.into_iter().collect())
}

/// Any number, those among them that JSON does not have.
fn number() -> impl Strategy<Value = f64> {
    let odd =
        vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, -0.0];
    prop_oneof![0.0..2.0, any::<f64>(), select(odd)]
}

fn source() -> impl Strategy<Value = Source> {
    let texts = (text(), text(), text(), option::of(text()));
    (any::<u32>(), texts, number(), number(), any::<bool>()).prop_map(|(n, texts, distance, score, cited)| {
        let (source, key, title, url) = texts;
        let (rank, second_rank, rerank_score) = (Some(n), Some(n), Some(score));
        Source { n, source, key, title, url, distance, score, rank, second_rank, rerank_score, cited }
    })
}

fn grounding() -> impl Strategy<Value = Grounding> {
    let faults = (vec(text(), 0..3), vec(any::<u32>(), 0..3), vec(text(), 0..3), vec(text(), 0..3));
    (any::<bool>(), faults).prop_map(|(checked, faults)| {
        let (unsupported_numbers, invalid_citations, invalid_links, unsupported_sentences) = faults;
        Grounding { checked, unsupported_numbers, invalid_citations, invalid_links, unsupported_sentences }
    })
}

fn settlement() -> impl Strategy<Value = Settlement> {
    use AnswerOutcome::{Answered, Fallback, NoAnswer};
    use AnswerStatus::{Cancelled, Completed, Expired, Incomplete};
    use EscalationReason::{LowConfidence, NoPassages, Ungrounded};
    use IncompleteReason::{ContentFilter, MaxTokens};
    let words = (
        select(&[Completed, Incomplete, AnswerStatus::Failed, Cancelled, Expired][..]),
        option::of(select(&[Answered, NoAnswer, Fallback][..])),
        option::of(select(&[MaxTokens, ContentFilter][..])),
        option::of(select(&[LowConfidence, NoPassages, Ungrounded, EscalationReason::Failed][..])),
    );
    let citation = any::<(u32, u32, u32)>().prop_map(|(source, start, end)| Citation { source, start, end });
    let texts = (option::of(text()), option::of(text()), option::of(text()));
    let answer = (text(), option::of(text()), option::of(text()));
    let answer =
        answer.prop_map(|(text, language, finish_reason)| AnswerText { text, language, finish_reason });
    let parts = (vec(source(), 0..4), vec(citation, 0..4), option::of(grounding()));
    let usage = (any::<[u64; 3]>(), text(), number());
    let usage =
        usage.prop_map(|([embedding_tokens, input_tokens, output_tokens], model, cost)| AnswerUsage {
            embedding_tokens,
            rerank_tokens: 0,
            input_tokens,
            output_tokens,
            model,
            cost,
            estimated: false,
        });
    let distances = (option::of(number()), number());
    (words, texts, option::of(answer), parts, distances, option::of(usage)).prop_map(
        |(words, texts, answer, (sources, citations, grounding), distances, usage)| {
            let (status, outcome, incomplete_reason, escalation_reason) = words;
            let (standalone_question, draft, error) = texts;
            let (nearest_distance, escalation_threshold) = distances;
            let signal = SignalEffect {
                signal: Signal::Coverage,
                value: escalation_threshold,
                effect: -escalation_threshold,
            };
            let doubt = Some(Doubt { probability: nearest_distance, signals: vec![signal] });
            let constraints = sources.iter().map(|source| StatedConstraint {
                words: source.title.clone(),
                field: source.key.clone(),
                condition: json!({ "lt": source.score }),
            });
            let watched = sources.iter().map(|source| Watched {
                source: source.source.clone(),
                key: source.key.clone(),
                metadata: RawValue::from_string("{}".to_owned()).unwrap(),
                contents: vec![source.title.clone()],
                version: 1,
                seconds: 60.0,
            });
            Settlement {
                constraints: constraints.collect(),
                watched: watched.collect(),
                status,
                outcome,
                incomplete_reason,
                standalone_question,
                answer,
                sources,
                citations,
                nearest_distance,
                escalation_threshold,
                escalation_reason,
                doubt,
                grounding,
                draft,
                usage,
                error,
                vector: None,
            }
        },
    )
}

/// Asks, and settles the question as a worker does.
async fn settle(world: &World, settlement: &Settlement) -> Uuid {
    let id = world.value("select shopkeeper.ask('Which kettle?', session_id => 's')").await;
    let lease = world.claim("answer_question", "w", 1, Duration::from_mins(1)).await[0].lease;
    let taken = world.store.take_question(id, 1, lease).await.unwrap().unwrap();
    let cost = Cost { operation: usage::Operation::Answer, tokens: 3, usd: 0.25 };
    world.store.settle(&taken, settlement, Some(cost)).await.unwrap();
    id
}

/// Reads an answer by every route; the object is the same in all of them.
async fn read(daemon: &TestDaemon, id: Uuid) -> Value {
    let answer = assert_reply(daemon.get(&format!("/v1/answers/{id}")).await, 200, json!({}));
    assert_eq!(assert_reply(daemon.get("/v1/answers?limit=1").await, 200, json!({}))["data"][0], answer);
    assert_reply(daemon.get("/v1/escalations").await, 200, json!({}));
    let events = daemon.request(Method::GET, &format!("/v1/answers/{id}/events")).send().await.unwrap();
    let events = events.text().await.unwrap();
    let last = events.trim_end().rsplit("\ndata: ").next().unwrap().split("\nid: ").next().unwrap();
    assert_eq!(serde_json::from_str::<Value>(last).unwrap(), answer, "{events}");
    answer
}

fn stored(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_an_answer_is_settled_with_it_is_settled_and_can_be_read() {
    let world = World::new().await;
    let daemon = TestDaemon::with_roles(&world, Roles::of(&[Role::Http])).await;
    world.execute("insert into shopkeeper.webhook values ('hook', '{answer.completed,answer.failed}')").await;
    let shared = Arc::new((world, daemon));
    let checked = shared.clone();
    let check = async move |settlement: Settlement| {
        let (world, daemon) = &*checked;
        let id = settle(world, &settlement).await;
        let read = read(daemon, id).await;
        assert_eq!(read["status"], json!(settlement.status));
        assert_eq!(read["error"].as_str(), settlement.error.as_deref().map(stored).as_deref());
        let said = settlement.answer.as_ref().map(|answer| stored(&answer.text));
        assert_eq!(read["answer"]["text"].as_str(), said.as_deref());
        let sources = as_list(&read["sources"]);
        assert_eq!(sources.len(), settlement.sources.len());
        for (source, written) in sources.iter().zip(&settlement.sources) {
            assert_fields(source, json!({ "n": written.n, "cited": written.cited }));
            assert!(source["distance"].is_number() && source["score"].is_number(), "{source}");
        }
        assert_eq!(read["citations"], json!(settlement.citations));
        let delivery = "select body::jsonb -> 'data' ->> 'id' from shopkeeper.delivery";
        assert_eq!(world.text(&format!("{delivery} where answer_id = '{id}'")).await, id.to_string());
        world.execute("delete from shopkeeper.escalation").await;
    };
    for_cases(cases(100), settlement, check).await;
    Arc::into_inner(shared).unwrap().1.stop().await;
}

#[tokio::test]
async fn a_row_of_another_shape_is_read_as_far_as_it_goes() {
    let world = World::new().await;
    let daemon = TestDaemon::with_roles(&world, Roles::of(&[Role::Http])).await;
    let completed = Settlement {
        status: AnswerStatus::Completed,
        escalation_reason: Some(EscalationReason::Failed),
        ..Settlement::default()
    };
    let id = settle(&world, &completed).await;
    for (columns, shown) in [
        (
            r#"sources = '[{"n": 1, "source": "product", "key": "3", "title": "Kettle", "url": null,
                   "distance": null, "score": null, "cited": true}]', nearest_distance = 'NaN'"#,
            json!({ "sources": [{ "n": 1, "source": "product", "key": "3", "title": "Kettle", "url": null,
                                  "distance": 2.0, "score": 0.0, "cited": true }],
                    "nearest_distance": null }),
        ),
        (
            r#"grounding = '{"checked": true}', usage = '{"model": "m"}', answer = '{"text": "Yes."}'"#,
            json!({ "grounding": { "checked": true, "unsupported_numbers": [], "invalid_citations": [],
                                   "invalid_links": [], "unsupported_sentences": [] },
                    "usage": AnswerUsage { model: "m".to_owned(), ..AnswerUsage::default() },
                    "answer": { "text": "Yes.", "language": null, "finish_reason": null } }),
        ),
        (
            r#"sources = '{"a": 1}', citations = '[[1]]', usage = '{"cost": 1e400}', grounding = '7', answer = '[]',
                   escalation_threshold = 'Infinity'"#,
            json!({ "sources": [], "citations": [], "escalation_threshold": null, "usage": AnswerUsage::default(),
                    "grounding": null, "answer": null }),
        ),
    ] {
        world.execute(&format!("update shopkeeper.answer set {columns}")).await;
        let answer = read(&daemon, id).await;
        for (field, value) in shown.as_object().unwrap() {
            assert_eq!(&answer[field], value, "{field} of {columns}");
        }
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_has_a_vector_of_zeros_is_not_found_and_spoils_no_answer() {
    let shop = SHOP.to_owned()
        + "alter table product add column sku text; update product set sku = 'KTL-310' where id = 3";
    let (world, daemon) =
        World::with(&shop, &(SOURCE.to_owned() + "sku = \"sku\"\n")).await.with_daemon().await;
    let zeros =
        "update shopkeeper.chunk set embedding = array_fill(0, array[64])::vector::halfvec where key = '3'";
    world.execute(zeros).await;
    for text in [KETTLE, "Is KTL-310 in stock?"] {
        let answer = daemon.ask(&world, question(text)).await;
        assert_eq!(answer["status"], "completed", "{answer}");
        let keys: Vec<_> = as_list(&answer["sources"]).iter().map(|source| as_text(&source["key"])).collect();
        assert_eq!(keys.len(), 2, "{answer}");
        assert!(!keys.contains(&"3"), "{answer}");
        read(&daemon, id_of(&answer).parse().unwrap()).await;
    }
    // Nor is the vector reused for the same text when the document comes back.
    let comes_back = "insert into shopkeeper.embedding_cache (model, dimensions, input_hash, embedding)
         select 'hash', 64, input_hash, embedding from shopkeeper.chunk where key = '3';
         delete from shopkeeper.chunk where key = '3';
         delete from shopkeeper.document_index where key = '3';
         select shopkeeper.refresh('product', '3')";
    world.execute(comes_back).await;
    world.until_count(3, "chunk").await;
    assert_eq!(world.keys(KETTLE).await[0], "3");
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_that_the_model_has_no_vector_for_fails_as_one_that_is_answered_with_nonsense() {
    let (world, daemon) = shop_with_daemon().await;
    world.script().always(Operation::Embeddings, Fault::Zeros("Which kettle".into()));
    let answer = daemon.ask(&world, question("Which kettle?")).await;
    assert_fields(&answer, json!({ "outcome": "fallback", "escalation": { "reason": "failed" } }));
    assert_contains(as_text(&answer["error"]), "answers nonsense: a vector of zeros");
    daemon.stop().await;
}

#[tokio::test]
async fn a_model_that_says_nul_is_paid_once_and_its_answer_is_kept() {
    let (world, daemon) = shop_with_daemon().await;
    let steel = "Of steel\0, it\u{1} holds two litres [1].";
    world.script().queue(Operation::Completions, [says(steel)]);
    let first = daemon.ask(&world, in_session("Which kettle?")).await;
    assert_eq!(first["answer"]["text"], stored(steel));
    assert_eq!((&first["attempt"], world.completion_requests()), (&json!(1), 1));
    let start = steel.chars().position(|character| character == '[').unwrap();
    assert_eq!(first["citations"][0]["start"], start, "places in the text stay what they were");
    // The question that it makes of a follow-up, what is withheld, and what is said piece by piece.
    let answers = [says("Which\0 kettle?"), says("It costs 77\0."), says("It costs 78\0.")];
    world.script().queue(Operation::Completions, answers);
    let second = daemon.ask(&world, in_session("And its price?")).await;
    assert_fields(&second, json!({ "status": "completed", "attempt": 1 }));
    assert_eq!(second["standalone_question"], "Which\u{fffd} kettle?");
    let draft = world.text("select draft from shopkeeper.answer where draft is not null").await;
    assert_eq!(draft, "It costs 78\u{fffd}.");
    daemon.stop().await;
}
