//! What the migrations make: `migrations/schema.sql`, and the words of states.

use crate::prelude::*;
use shopkeeper::{
    answering::object::{
        AnswerOutcome, AnswerStatus, EscalationReason, EscalationStatus, IncompleteReason, Rating,
        SessionOwner,
    },
    store::{
        answers::EventKind,
        deliveries::DeliveryStatus,
        jobs::{BulkState, JobAction, JobState, WaitReason},
        usage::Operation,
        versions::IndexState,
    },
};
use strum::VariantNames;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/schema.sql");

const HEADER: &str = "\
-- What the migrations make, as PostgreSQL's catalogue describes it. It is for reviewers; nothing executes it. The text of
-- functions and views is in their own files. `make schema` writes this file.
";

#[tokio::test]
async fn the_schema_file_describes_a_migrated_database() {
    let mut connection = PgConnection::connect(&database("template_ours").await).await.unwrap();
    sqlx::raw_sql("set search_path = pg_catalog").execute(&mut connection).await.unwrap();
    let objects = sqlx::query_scalar(include_str!("schema.sql")).fetch_all(&mut connection);
    let objects: Vec<String> = objects.await.unwrap();
    let described = format!("{HEADER}{}\n", objects.join("\n"));
    if std::env::var_os("SHOPKEEPER_WRITE_SCHEMA").is_some() {
        return fs::write(PATH, described).unwrap();
    }
    let written = fs::read_to_string(PATH).unwrap();
    let differs = described.lines().zip(written.lines()).find(|(is, was)| is != was);
    assert!(described == written, "migrations/schema.sql is out of date, run `make schema`: {differs:?}");
}

#[tokio::test]
async fn the_words_that_a_column_allows_are_those_of_its_enum() {
    let expected = [
        ("answer.escalation_reason", EscalationReason::VARIANTS),
        ("answer.incomplete_reason", IncompleteReason::VARIANTS),
        ("answer.outcome", AnswerOutcome::VARIANTS),
        ("answer.status", AnswerStatus::VARIANTS),
        ("answer_event.kind", EventKind::VARIANTS),
        ("bulk_action.action", JobAction::VARIANTS),
        ("bulk_action.state", BulkState::VARIANTS),
        ("delivery.status", DeliveryStatus::VARIANTS),
        // Only statements read and write these.
        ("document_index.state", &["fresh", "failed"]),
        ("escalation.status", EscalationStatus::VARIANTS),
        ("feedback.rating", Rating::VARIANTS),
        ("index_version.state", IndexState::VARIANTS),
        ("job.state", &["ready", "scheduled", "blocked", "running"]),
        ("job.waits_for", WaitReason::VARIANTS),
        ("job_history.outcome", &["done", "cancelled", "dead"]),
        ("session.owner", SessionOwner::VARIANTS),
        ("usage.operation", Operation::VARIANTS),
    ];
    let set = |words: &[&'static str]| words.iter().copied().map(str::to_owned).collect::<BTreeSet<_>>();
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(column, words)| (column.to_owned(), set(words))).collect();
    let pool = PgPool::connect(&database("template_ours").await).await.unwrap();
    let allowed = "select relname || '.' || attname,
             array(select word[1] from regexp_matches(pg_get_constraintdef(oid), '''([a-z_]+)''', 'g') as word)
         from (select pg_constraint.*, relname from pg_constraint join pg_class on pg_class.oid = conrelid) as checked
         join pg_attribute on attrelid = conrelid and attnum = conkey[1]
         where connamespace = 'shopkeeper'::regnamespace and contype = 'c' and cardinality(conkey) = 1
             and pg_get_constraintdef(oid) like '%ARRAY[%'";
    let allowed: Vec<(String, Vec<String>)> = rows(&pool, allowed).await;
    let allowed = allowed.into_iter().map(|(column, words)| (column, words.into_iter().collect()));
    assert_eq!(allowed.collect::<BTreeMap<_, BTreeSet<_>>>(), expected);
    // Operators are shown a blocked job as scheduled, and a ready one of a paused kind as paused.
    let mut shown = &expected["job.state"] | &expected["job_history.outcome"];
    shown.remove("blocked");
    shown.insert("paused".to_owned());
    assert_eq!(shown, set(<JobState as VariantNames>::VARIANTS));
}
