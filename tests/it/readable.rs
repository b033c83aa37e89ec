//! What was stored of an answer can be read by everybody who may read it, whatever a model said and whichever program
//! wrote it.

use std::time::Duration;

use crate::{
    running::TestDaemon,
    support::{SHOP, SOURCE, World, execute},
};
use proptest::{collection::vec, option, prelude::*, test_runner::TestRunner};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shopkeeper::{
    answering::{
        grounding::{Citation, Grounding},
        object::{
            AnswerOutcome, AnswerStatus, AnswerText, AnswerUsage, EscalationReason, IncompleteReason,
            Settlement, Source,
        },
    },
    daemon::{Role, Roles},
    demo::models::{Fault, Operation},
    store::{
        jobs::Claim,
        usage::{self, Cost},
    },
};

/// Any characters, those with which texts are quoted and ended among them.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        8 => any::<char>(),
        1 => Just('\0'),
        1 => prop::sample::select(vec!['\u{1}', '\u{7f}', '\u{fffe}', '\u{ffff}', '\u{10ffff}', '"', '\\', '\n']),
    ];
    vec(character, 0..24).prop_map(|characters| characters.into_iter().collect())
}

/// Any number, those among them that JSON does not have.
fn number() -> impl Strategy<Value = f64> {
    let odd =
        vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, -0.0];
    prop_oneof![0.0..2.0, any::<f64>(), prop::sample::select(odd)]
}

fn source() -> impl Strategy<Value = Source> {
    let texts = (text(), text(), text(), option::of(text()));
    (any::<u32>(), texts, number(), number(), any::<bool>()).prop_map(
        |(n, (source, key, title, url), distance, score, cited)| Source {
            n,
            source,
            key,
            title,
            url,
            distance,
            score,
            cited,
        },
    )
}

fn grounding() -> impl Strategy<Value = Grounding> {
    let citations = vec(any::<u32>(), 0..3);
    (any::<bool>(), vec(text(), 0..3), citations, vec(text(), 0..3)).prop_map(
        |(checked, unsupported_numbers, invalid_citations, invalid_links)| Grounding {
            checked,
            unsupported_numbers,
            invalid_citations,
            invalid_links,
        },
    )
}

fn settlement() -> impl Strategy<Value = Settlement> {
    use AnswerOutcome::{Answered, Fallback, NoAnswer};
    use AnswerStatus::{Cancelled, Completed, Expired, Failed, Incomplete};
    use IncompleteReason::{ContentFilter, MaxTokens};
    let words = (
        prop::sample::select(vec![Completed, Incomplete, Failed, Cancelled, Expired]),
        option::of(prop::sample::select(vec![Answered, NoAnswer, Fallback])),
        option::of(prop::sample::select(vec![MaxTokens, ContentFilter])),
        option::of(prop::sample::select(vec![
            EscalationReason::LowConfidence,
            EscalationReason::NoPassages,
            EscalationReason::Ungrounded,
            EscalationReason::Failed,
        ])),
    );
    let citation = any::<(u32, u32, u32)>().prop_map(|(source, start, end)| Citation { source, start, end });
    let texts = (option::of(text()), option::of(text()), option::of(text()));
    let answer = (text(), option::of(text()), option::of(text()));
    let answer =
        answer.prop_map(|(text, language, finish_reason)| AnswerText { text, language, finish_reason });
    let parts = (vec(source(), 0..4), vec(citation, 0..4), option::of(grounding()));
    let usage = (any::<[u64; 3]>(), text(), number());
    let usage = usage.prop_map(|([embedding_tokens, input_tokens, output_tokens], model, cost)| {
        AnswerUsage { embedding_tokens, input_tokens, output_tokens, model, cost }
    });
    let distances = (option::of(number()), number());
    (words, texts, option::of(answer), parts, distances, option::of(usage)).prop_map(
        |(words, texts, answer, (sources, citations, grounding), distances, usage)| {
            let (status, outcome, incomplete_reason, escalation_reason) = words;
            let (standalone_question, draft, error) = texts;
            let (nearest_distance, escalation_threshold) = distances;
            Settlement {
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
                grounding,
                draft,
                usage,
                error,
            }
        },
    )
}

/// Asks, and settles the question as a worker does.
async fn settle(world: &World, settlement: &Settlement) -> uuid::Uuid {
    let id: uuid::Uuid = world.value("select shopkeeper.ask('Which kettle?', session_id => 's')").await;
    let claim = Claim {
        kind: "answer_question",
        worker: "w",
        limit: 1,
        lease: Duration::from_mins(1),
        max_attempts: 3,
        ..Claim::default()
    };
    let lease = world.store.claim(claim).await.unwrap()[0].lease;
    let taken = world.store.take_question(id, 1, lease).await.unwrap().unwrap();
    let cost = Cost { operation: usage::Operation::Answer, tokens: 3, usd: 0.25 };
    world.store.settle(&taken, settlement, Some(cost)).await.unwrap();
    id
}

/// Reads an answer in every way there is; the object is the same in all of them.
async fn read(daemon: &TestDaemon, id: uuid::Uuid) -> Value {
    let (status, answer) = daemon.get(&format!("/v1/answers/{id}")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (status, listed) = daemon.get("/v1/answers?limit=1").await;
    assert_eq!((status, &listed["data"][0]), (StatusCode::OK, &answer));
    let (status, escalations) = daemon.get("/v1/escalations").await;
    assert_eq!(status, StatusCode::OK, "{escalations}");
    let events = daemon.client.get(format!("{}/v1/answers/{id}/events", daemon.url)).send().await.unwrap();
    let events = events.text().await.unwrap();
    let last = events.trim_end().rsplit("\ndata: ").next().unwrap();
    let last = last.split("\nid: ").next().unwrap();
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
    execute(
        &world.url(),
        "insert into shopkeeper.webhook values ('hook', '{answer.completed,answer.failed}')",
    )
    .await;
    let runtime = tokio::runtime::Handle::current();
    let check = move || {
        let config = ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() };
        let result = TestRunner::new(config).run(&settlement(), |settlement| {
            runtime.block_on(async {
                let id = settle(&world, &settlement).await;
                let read = read(&daemon, id).await;
                assert_eq!(read["status"], json!(settlement.status));
                assert_eq!(read["error"].as_str(), settlement.error.as_deref().map(stored).as_deref());
                let said = settlement.answer.as_ref().map(|answer| stored(&answer.text));
                assert_eq!(read["answer"]["text"].as_str(), said.as_deref());
                let sources = read["sources"].as_array().unwrap();
                assert_eq!(sources.len(), settlement.sources.len());
                for (source, written) in sources.iter().zip(&settlement.sources) {
                    assert_eq!((&source["n"], &source["cited"]), (&json!(written.n), &json!(written.cited)));
                    assert!(source["distance"].is_number() && source["score"].is_number(), "{source}");
                }
                assert_eq!(read["citations"], json!(settlement.citations));
                let delivery = format!(
                    "select body::jsonb -> 'data' ->> 'id' from shopkeeper.delivery where answer_id = '{id}'"
                );
                assert_eq!(world.value::<String>(&delivery).await, id.to_string());
                execute(&world.url(), "delete from shopkeeper.escalation").await;
            });
            Ok(())
        });
        (result, daemon)
    };
    let (result, daemon) = tokio::task::spawn_blocking(check).await.unwrap();
    result.unwrap();
    daemon.stop().await;
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
            json!({
                "sources": [{
                    "n": 1, "source": "product", "key": "3", "title": "Kettle", "url": null,
                    "distance": 2.0, "score": 0.0, "cited": true,
                }],
                "nearest_distance": null,
            }),
        ),
        (
            r#"grounding = '{"checked": true}', usage = '{"model": "m"}', answer = '{"text": "Yes."}'"#,
            json!({
                "grounding": {
                    "checked": true, "unsupported_numbers": [], "invalid_citations": [], "invalid_links": [],
                },
                "usage": {
                    "embedding_tokens": 0, "input_tokens": 0, "output_tokens": 0, "model": "m", "cost": 0.0,
                },
                "answer": { "text": "Yes.", "language": null, "finish_reason": null },
            }),
        ),
        (
            r#"sources = '{"a": 1}', citations = '[[1]]', usage = '{"cost": 1e400}', grounding = '7', answer = '[]',
                   escalation_threshold = 'Infinity'"#,
            json!({
                "sources": [], "citations": [], "escalation_threshold": null,
                "usage": {
                    "embedding_tokens": 0, "input_tokens": 0, "output_tokens": 0, "model": "", "cost": 0.0,
                },
                "grounding": null, "answer": null,
            }),
        ),
    ] {
        execute(&world.url(), &format!("update shopkeeper.answer set {columns}")).await;
        let answer = read(&daemon, id).await;
        for (field, value) in shown.as_object().unwrap() {
            assert_eq!(&answer[field], value, "{field} of {columns}");
        }
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_has_a_vector_of_zeros_is_not_found_and_spoils_no_answer() {
    let world = World::with(
        &format!(
            "{SHOP} alter table product add column sku text; update product set sku = 'KTL-310' where id = 3"
        ),
        &format!("{SOURCE}sku = \"sku\"\n"),
    )
    .await;
    let daemon = TestDaemon::start(&world).await;
    execute(
        &world.url(),
        "update shopkeeper.chunk set embedding = array_fill(0, array[64])::vector::halfvec where key = '3'",
    )
    .await;
    for question in ["Which kettle holds two litres?", "Is KTL-310 in stock?"] {
        let answer = daemon.ask(&world, json!({ "question": question })).await;
        assert_eq!(answer["status"], "completed", "{answer}");
        let keys: Vec<_> = answer["sources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|source| source["key"].as_str().unwrap())
            .collect();
        assert_eq!(keys.len(), 2, "{answer}");
        assert!(!keys.contains(&"3"), "{answer}");
        read(&daemon, answer["id"].as_str().unwrap().parse().unwrap()).await;
    }
    // Nor is it taken again for the same text, when the document comes back.
    execute(
        &world.url(),
        "insert into shopkeeper.embedding_cache (model, dimensions, input_hash, embedding)
         select 'hash', 64, input_hash, embedding from shopkeeper.chunk where key = '3';
         delete from shopkeeper.chunk where key = '3';
         delete from shopkeeper.document_index where key = '3';
         select shopkeeper.refresh('product', '3')",
    )
    .await;
    world.until("it is indexed again", "count(*) = 3 from shopkeeper.chunk").await;
    assert_eq!(world.keys("Which kettle holds two litres?").await[0], "3");
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_that_the_model_has_no_vector_for_fails_as_one_that_is_answered_with_nonsense() {
    let world = World::new().await;
    let daemon = TestDaemon::start(&world).await;
    world.script().always(Operation::Embeddings, Fault::Zeros("Which kettle".into()));
    let answer = daemon.ask(&world, json!({ "question": "Which kettle?" })).await;
    assert_eq!((&answer["status"], &answer["attempt"]), (&json!("failed"), &json!(3)), "{answer}");
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("answers nonsense: a vector of zeros"), "{error}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_model_that_says_nul_is_paid_once_and_its_answer_is_kept() {
    let world = World::new().await;
    let daemon = TestDaemon::start(&world).await;
    let says = |text: &str| Fault::Says(text.to_owned());
    let steel = "Of steel\0, it\u{1} holds two litres [1].";
    world.script().queue(Operation::Completions, [says(steel)]);
    let first = daemon.ask(&world, json!({ "question": "Which kettle?", "session_id": "s" })).await;
    assert_eq!(first["answer"]["text"], stored(steel));
    assert_eq!((&first["attempt"], world.script().requests(Operation::Completions)), (&json!(1), 1));
    let start = steel.chars().position(|character| character == '[').unwrap();
    assert_eq!(first["citations"][0]["start"], start, "places in the text stay what they were");
    // The question that it makes of a follow-up, what is withheld, and what is said piece by piece.
    world.script().queue(
        Operation::Completions,
        [says("Which\0 kettle?"), says("It costs 77\0."), says("It costs 78\0.")],
    );
    let second = daemon.ask(&world, json!({ "question": "And its price?", "session_id": "s" })).await;
    assert_eq!((&second["status"], &second["attempt"]), (&json!("completed"), &json!(1)), "{second}");
    assert_eq!(second["standalone_question"], "Which\u{fffd} kettle?");
    let draft: String = world.value("select draft from shopkeeper.answer where draft is not null").await;
    assert_eq!(draft, "It costs 78\u{fffd}.");
    daemon.stop().await;
}
