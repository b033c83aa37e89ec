//! The model servers that people have: each row is a server's difference from `OpenAI`'s, and what must come of it.

use crate::prelude::*;
use futures::{StreamExt, stream};
use shopkeeper::demo::models::Quirk;

/// What must come of a quirk.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// Documents are indexed, and a question is answered.
    Works,
    /// One document fails with these words, the others are indexed, and a question is answered.
    OneFails(&'static str),
    /// No document is indexed, and nothing is stored.
    NoneIndexed(&'static str),
    /// Documents are indexed; the answer is incomplete.
    Incomplete,
    /// Documents are indexed; a question gets the fallback, and a human.
    Fallback,
    /// Documents are indexed; the question waits with these words.
    Waits(&'static str),
}

use Outcome::{Fallback, Incomplete, NoneIndexed, OneFails, Waits, Works};

/// Quirks, settings of `[embedding]` or `[answers]` that they need, and outcomes.
const ROWS: &[(&str, &str, Outcome)] = &[
    ("llamacpp-zeros", "", NoneIndexed("a vector of zeros")),
    ("llamacpp-null", "", OneFails("not finite")),
    ("null-vector", "", OneFails("no vector")),
    ("missing-vector", "", OneFails("no vector")),
    ("empty-vector", "", OneFails("no vector")),
    ("scaled", "", Works),
    ("unsorted", "", Works),
    ("always-base64", "", Works),
    ("always-base64", "embedding.encoding_format = \"float\"", Works),
    ("always-floats", "", Works),
    ("gemini-no-usage", "", Works),
    ("tei-no-object", "", Works),
    ("opea-nulls", "", Works),
    ("no-index", "", Works),
    ("index-from-1", "", Works),
    ("index-as-text", "", Works),
    ("index-null", "", Works),
    ("index-all-0", "", Works),
    ("usage-as-text", "", Works),
    ("usage-prompt-only", "", Works),
    ("usage-empty", "", Works),
    ("data-only", "", Works),
    ("extra-fields", "", Works),
    ("error-null", "", Works),
    ("voyage-no-float", "", Works),
    ("voyage-no-float", "embedding.encoding_format = \"none\"", Works),
    ("no-encoding-format", "", Works),
    ("openrouter-empty", "", Works),
    ("base64-null-data", "", Works),
    ("base64-500", "", Works),
    ("base64-error-200", "", Works),
    ("base64-garbage", "", Works),
    ("base64-400-unnamed", "", Works),
    ("mrl-full-length", "", Works),
    ("mrl-refuses-dimensions", "", Works),
    (
        "cohere-input-type",
        "embedding.document = { extra_body = { input_type = \"search_document\" } }\nembedding.question = { extra_body = { input_type = \"search_query\" } }",
        Works,
    ),
    ("tei-32-inputs", "", Works),
    ("unnamed-20-inputs", "", Works),
    ("cohere-96-inputs", "", Works),
    ("one-input", "", Works),
    ("tei-too-long", "", OneFails("less than 512 tokens")),
    ("poison-400", "", OneFails("cannot embed this")),
    ("poison-413", "", OneFails("cannot embed this")),
    ("ollama-nan-500", "", OneFails("unsupported value: NaN")),
    ("poison-502-html", "", OneFails("HTML page")),
    ("poison-503", "", OneFails("cannot embed this")),
    ("poison-408", "", OneFails("cannot embed this")),
    ("poison-error-200", "", OneFails("cannot embed this")),
    ("poison-short", "", OneFails("0 vectors for 1 inputs")),
    ("poison-no-json", "", OneFails("not the JSON that was expected")),
    ("mistral-max-tokens", "", Works),
    ("mistral-max-tokens", "answers.max_tokens_parameter = \"max_tokens\"", Works),
    ("gpt5-max-tokens", "", Works),
    ("gpt5-temperature", "", Works),
    ("gpt5-temperature", "answers.temperature = \"default\"", Works),
    ("gpt5-both", "", Works),
    ("vllm-stream-options", "", Works),
    ("azure-stream-options", "", Works),
    ("no-stream", "", Works),
    ("no-stream", "answers.stream = false", Works),
    ("no-stream-unnamed", "", Works),
    ("only-stream", "", Works),
    ("gemma-no-system", "", Works),
    ("gemma-no-system", "answers.system_role = \"user\"", Works),
    ("llamacpp-no-system", "", Works),
    ("o1-no-system", "", Works),
    ("o1-no-system", "answers.system_role = \"developer\"", Works),
    ("alternating-roles", "", Works),
    ("finish-eos", "", Works),
    ("finish-end", "", Works),
    ("finish-empty", "", Works),
    ("finish-null", "", Works),
    ("finish-missing", "", Works),
    ("finish-number", "", Works),
    ("finish-end-turn", "", Works),
    ("finish-upper", "", Works),
    ("finish-max-tokens", "", Incomplete),
    ("finish-length", "", Incomplete),
    ("finish-safety", "", Incomplete),
    ("no-done", "", Works),
    ("qwen-think", "", Works),
    ("qwen-think-unopened", "", Works),
    ("think-unclosed", "", Incomplete),
    ("thinking-tag", "", Works),
    ("reasoning-tag", "", Works),
    ("upper-think", "", Works),
    ("magistral-tags", "", Works),
    ("gptoss-harmony", "", Works),
    ("gptoss-bare-harmony", "", Works),
    ("deepseek-reasoning", "", Works),
    ("magistral-parts", "", Works),
    ("text-parts", "", Works),
    ("leaked-end-token", "", Works),
    ("spent-on-thinking", "", Incomplete),
    ("ollama-no-limit", "answers.max_tokens = 60", Incomplete),
    ("no-limit-no-usage", "answers.max_tokens = 60", Incomplete),
    ("groq-service-tier", "", Works),
    ("no-id", "", Works),
    ("created-fraction", "", Works),
    ("no-usage", "", Works),
    ("usage-null", "", Works),
    ("chat-usage-as-text", "", Works),
    ("usage-total-only", "", Works),
    ("no-role", "", Works),
    ("no-choice-index", "", Works),
    ("odd-logprobs", "", Works),
    ("chat-error-null", "", Works),
    ("message-in-stream", "", Works),
    ("whole-for-stream", "", Works),
    ("sse-crlf", "", Works),
    ("sse-comments", "", Works),
    ("sse-empty-data", "", Works),
    ("sse-named", "", Works),
    ("sse-ping", "", Works),
    ("sse-no-space", "", Works),
    ("sse-as-json-type", "", Works),
    ("sse-without-type", "", Works),
    ("json-with-bom", "answers.stream = false", Works),
    ("litellm-error-200", "", Waits("503")),
    ("error-in-stream", "", Waits("502")),
    ("proxy-html-200", "", Waits("HTML page")),
    ("proxy-html-502", "", Waits("502")),
    ("no-choices", "", Fallback),
    ("text-for-json", "", Fallback),
    ("azure-key", "answers.headers = { \"api-key\" = { file = \"key\" } }", Works),
    ("azure-version", "answers.query = { api-version = \"2024-10-21\" }", Works),
    ("azure-version", "", Waits("404")),
    ("gateway-header", "answers.headers = { x-team = \"shop\" }", Works),
    ("no-bearer", "", Works),
    ("quota-in-type", "", Waits("insufficient_quota")),
    ("payment-required", "", Waits("402")),
    ("not-found", "", Waits("404")),
    ("method-not-allowed", "", Waits("405")),
    ("redirect-301", "", Waits("redirects to")),
    ("redirect-308", "", Works),
    ("gzip", "", Works),
];

/// A shop whose third product cannot be embedded by some servers.
fn shop() -> String {
    let more =
        (4..45).map(|n| format!("({n}, 'Lamp {n}', 'A lamp with number {n}.', {n}, 1)")).collect::<Vec<_>>();
    format!(
        "{} insert into product values (1, 'Shirt', 'Cotton shirt with long sleeves.', 29.90, 5),
         (2, 'Kettle', 'Steel kettle that holds two litres.', 45.00, 9), (3, 'Rat bait', 'A poison for rats.', 9, 1), {};",
        product_table(),
        more.join(", ")
    )
}

const DOCUMENTS: i64 = 44;

/// Settings with these keys added to their sections.
async fn world(shop: String, keys: &str) -> World {
    let mut world = World::on(shop, SOURCE).await;
    fs::write(world.folder.path().join("key"), "azure-key").unwrap();
    for line in keys.lines() {
        let (section, key) = line.split_once('.').unwrap();
        world.edit_settings(&format!("[{section}]\n"), &format!("[{section}]\n{key}\n"));
    }
    if !keys.is_empty() {
        world.change_settings("[http]", "[http]").await;
    }
    world
}

async fn check(shop: String, name: &str, keys: &str, outcome: Outcome) {
    let world = world(shop, keys).await;
    let context = format!("{name} {keys}");
    world.script().add_quirk(Quirk::named(name).unwrap_or_else(|| panic!("no quirk {name}")));
    let is_about_documents = matches!(outcome, OneFails(_) | NoneIndexed(_));
    world.try_sync().await.unwrap();
    let settled = "not exists (select from shopkeeper.document as d left join shopkeeper.document_index as i
         on i.source = d.source and i.key = d.key and i.indexed_revision = d.revision where i.key is null)";
    let workers = world.workers();
    world.until(&format!("{context}: documents are settled"), settled).await;
    let failed = world
        .text("select coalesce(min(error), '') from shopkeeper.document_index where state = 'failed'")
        .await;
    match outcome {
        OneFails(words) => {
            assert_eq!(world.fresh().await, DOCUMENTS - 1, "{context}: {failed}");
            assert!(failed.contains(words), "{context}: {failed}");
        }
        NoneIndexed(words) => {
            assert_eq!((world.fresh().await, world.count("chunk").await), (0, 0), "{context}");
            assert!(failed.contains(words), "{context}: {failed}");
            workers.stop().await;
            return;
        }
        _ => assert_eq!(world.fresh().await, DOCUMENTS, "{context}: {failed}"),
    }
    let id = world.ask_by_sql(KETTLE).await;
    if let Waits(words) = outcome {
        let waits =
            format!("job where kind = 'answer_question' and attempts = 0 and last_error like '%{words}%'");
        world.until_some(&waits).await;
        workers.stop().await;
        return;
    }
    world.until_settled(&id.to_string()).await;
    let answer: Value = serde_json::from_str(
        &world
            .text(&format!(
                "select shopkeeper.answer_object(a)::text from shopkeeper.answer as a where id = '{id}'"
            ))
            .await,
    )
    .unwrap();
    let text = as_text(&answer["answer"]["text"]);
    assert!(!text.contains("7777") && !text.contains('<') && !text.contains("think"), "{context}: {answer}");
    let tokens = [&answer["usage"]["input_tokens"], &answer["usage"]["output_tokens"]];
    match outcome {
        Incomplete => {
            assert_eq!(answer["status"], "incomplete", "{context}: {answer}");
            assert!(text.chars().count() <= 240, "{context}: {answer}");
        }
        Fallback => {
            assert_eq!(
                (&answer["outcome"], &answer["escalation"]["reason"]),
                (&json!("fallback"), &json!("failed")),
                "{context}"
            );
        }
        _ => {
            assert_eq!(
                (&answer["status"], &answer["outcome"]),
                (&json!("completed"), &json!("answered")),
                "{context}: {answer}"
            );
            assert!(text.contains("two litres"), "{context}: {answer}");
            assert!(
                is_about_documents || tokens.iter().all(|tokens| tokens.as_u64() > Some(0)),
                "{context}: {answer}"
            );
        }
    }
    workers.stop().await;
}

#[tokio::test]
async fn every_difference_of_a_real_server_has_its_outcome() {
    let named: BTreeSet<_> = ROWS.iter().map(|(name, ..)| *name).collect();
    let untried: Vec<_> = Quirk::all().filter(|quirk| !named.contains(quirk.name())).collect();
    assert_eq!(
        untried.iter().map(|quirk| quirk.name()).collect::<Vec<_>>(),
        ["retry-after-0", "retry-after-fraction", "retry-after-date"]
    );
    // It is only read.
    let shop = shop_database(&shop()).await;
    let failures = stream::iter(ROWS)
        .map(|row| (row, shop.clone()))
        .map(|((name, keys, outcome), shop)| async move {
            let checked = tokio::spawn(check(shop, name, keys, *outcome)).await;
            checked.err().map(|panic| {
                panic.into_panic().downcast_ref::<String>().cloned().unwrap_or_else(|| (*name).to_owned())
            })
        })
        .buffer_unordered(6)
        .filter_map(|failure| async { failure })
        .collect::<Vec<_>>()
        .await;
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Waits until all but one of 300 documents are indexed, none of them by a second attempt, and the last one is given up.
async fn until_given_up(world: &World, name: &str) {
    let indexed = "document_index join shopkeeper.document using (source, key)
         where state = 'fresh' and indexed_revision = revision";
    world.until_count(299, indexed).await;
    let attempts = "select max(attempts) from (select attempts from shopkeeper.job
         union all select attempts from shopkeeper.job_history where outcome = 'dead') as all_jobs";
    assert_eq!(world.value::<Option<i32>>(attempts).await.unwrap_or(1), 1, "{name}");
    let is_dead = async || {
        world.hurry().await;
        world.count("job_history where outcome = 'dead'").await == 1
    };
    wait_until("it is not given up", is_dead).await;
    assert_eq!(world.fresh().await, 299, "{name}");
}

/// What it costs to find one document among many that a server cannot embed.
#[tokio::test]
async fn one_bad_input_costs_few_requests_and_the_others_are_indexed_at_once() {
    let products = (1..=300).map(|n| {
        let text = if n == 211 { "It is poison." } else { "It shines." };
        format!("({n}, 'Lamp {n}', '{text}', {n}, 1)")
    });
    let shop = format!(
        "{} insert into product values {};",
        product_table(),
        products.collect::<Vec<_>>().join(", ")
    );
    for name in [
        "poison-400",
        "ollama-nan-500",
        "poison-no-json",
        "llamacpp-null",
        "poison-error-200",
        "poison-short",
    ] {
        let mut world = World::with(&shop, SOURCE).await;
        // The defaults, but that whatever must be tried again waits for `hurry`.
        let fast = "concurrency = 500\nmax_attempts = 3\nlease = \"5s\"\nbackoff = { first = \"1ms\", max = \"2ms\" }\n[queue.sync_catalogue]";
        let slow = "backoff = { first = \"1h\", max = \"2h\" }\n[queue.sync_catalogue]";
        world.edit_settings(fast, slow);
        world.change_settings("[http]", "[http]").await;
        world.sync().await;
        let clean = world.embedding_requests();
        world.in_shop("update product set description = description || ' It hums.'").await;
        world.script().reset();
        world.script().add_quirk(Quirk::named(name).unwrap());
        world.try_sync().await.unwrap();
        world.with_workers(until_given_up(&world, name)).await;
        let more = world.embedding_requests() - clean;
        assert!(more <= 2 * 9 + 3, "{name}: {more} more requests");
    }
}
