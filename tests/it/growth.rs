//! Every statement of the store finds what it wants by an index, so that it costs the same beside a million rows.
//!
//! The statements are those that the program is checked against, in `.sqlx`. With sequential scans switched off the planner
//! shows one only where no index serves.

use crate::prelude::*;
use sqlx::{Executor, Row};

/// Tables that grow with the shop, its customers or time.
const LARGE: &str = "answer answer_event audit bulk_action chunk chunk_1 console_session delivery discarded_job document \
     document_index embedding_cache escalation feedback job job_history schedule_tick session token unanswered";

/// Statements that read all of something, by a part of their text, and why they may.
const WHOLE: &[(&str, &str)] = &[
    ("percentile_cont(array[0.5, 0.99])", "status counts documents"),
    ("as \"unused!\"", "it ends at the first chunk"),
    ("with counted as (", "the metrics count documents"),
    ("with named as (", "status counts jobs"),
    ("with put_off as (", "status counts jobs that wait for a budget"),
    (
        "count(*) as \"documents!\",\n                   count(*) filter",
        "a version's coverage counts documents",
    ),
    ("as \"stuck_leases!\"", "doctor counts the jobs that run, which are few"),
    ("from shopkeeper.left_behind as lacking", "a version that is promoted must lack nothing"),
    ("from shopkeeper.token where session_id is null", "the tokens of services, which are few"),
    ("as \"liked!\"", "an export of all that customers liked"),
    ("delete from shopkeeper.answer_event", "events outlive their answer by an hour"),
    ("count(*) as \"counted!\", now() as \"until!\"", "a bulk action counts exactly"),
];

/// Rows for the planner to take the tables for large.
const ROWS: &str = "
    set session_replication_role = replica;
    insert into shopkeeper.job (kind, key, state, run_at)
    select 'k' || n % 5, n, 'scheduled', now() + n * interval '1 minute' from generate_series(1, 20000) as n;
    insert into shopkeeper.job_history (id, kind, key, payload, priority, outcome, attempts, created_at, run_at, finished_at)
    select n, 'k' || n % 5, n, '{}', 0, case n % 2 when 0 then 'done' else 'dead' end, 1, now(), now(), now() - n * interval '1 s'
    from generate_series(1, 20000) as n;
    insert into shopkeeper.answer (client, session_id, request, question, status, created_at)
    select 'c' || n % 5, 's' || n % 999, '{}', 'q', 'completed', now() - n * interval '1 s'
    from generate_series(1, 20000) as n;
    insert into shopkeeper.delivery (webhook, event, answer_id, body, status, created_at)
    select 'w', 'answer.completed', id, '', 'delivered', created_at from shopkeeper.answer;
    insert into shopkeeper.escalation (client, session_id, answer_id, reason, status, created_at)
    select client, session_id, id, 'failed', 'acknowledged', created_at from shopkeeper.answer;
    insert into shopkeeper.token (hash, client, scopes, session_id, expires_at)
    select decode(md5(n::text), 'hex'), 'c', '{}', 's' || n, now() + n * interval '1 s' from generate_series(1, 20000) as n;
    insert into shopkeeper.document (source, key, row_hash) select 's' || n % 5, n, 1 from generate_series(1, 20000) as n;
    insert into shopkeeper.document_index (version, source, key, indexed_revision, state)
    select 1, source, key, 1, 'fresh' from shopkeeper.document;
    insert into shopkeeper.chunk (version, source, key, ordinal, input_hash, content, tokens, embedding)
    select 1, source, key, 1, decode(md5(key), 'hex'), '', 1, array_fill(1, array[64])::real[]::vector::halfvec
    from shopkeeper.document;
    insert into shopkeeper.schedule (name) values ('s');
    insert into shopkeeper.schedule_tick (schedule, tick, enqueued)
    select 's', now() - n * interval '1 minute', 0 from generate_series(1, 20000) as n;
    insert into shopkeeper.console_session (hash, token, expires_at)
    select hash, id, now() + interval '1 hour' from shopkeeper.token;
    insert into shopkeeper.audit (actor, action) select 'a', 'b' from generate_series(1, 20000) as n;
    insert into shopkeeper.discarded_job (id, job, bulk_action)
    select n, '{}', 'dddddddd-dddd-dddd-dddd-dddddddddddd' from generate_series(1, 20000) as n;
    insert into shopkeeper.unanswered (answer_id, version, embedding)
    select id, 1, array_fill(1, array[64])::real[]::vector::halfvec from shopkeeper.answer;
    insert into shopkeeper.session (client, id) select 'c' || n % 5, 's' || n from generate_series(1, 20000) as n;
    analyze";

/// Statements with optional filters are planned for their values: these are the combinations in use.
const FILTERED: &[(&str, &[&[&str]])] = &[
    (
        "order by seq desc limit $5",
        &[
            &["null", "null", "null", "null", "51"],
            &["'c'", "null", "null", "null", "51"],
            &["'c'", "'s'", "null", "null", "51"],
            &["null", "'s'", "null", "1000", "51"],
            &["null", "null", "'failed'", "null", "51"],
        ],
    ),
    (
        "order by created_at desc, id desc limit $3",
        &[
            &["null", "null", "51"],
            &["'failed'", "null", "51"],
            &["'pending'", "'6b3b0c4e-9f1c-4f41-8d3b-5d6f1f8a3a10'", "51"],
        ],
    ),
    (
        "order by escalation.created_at, escalation.id limit $4",
        &[
            &["null", "'open'", "null", "51", "null", "true"],
            &["null", "'open'", "null", "51", "null", "false"],
            &["'c'", "'open'", "'6b3b0c4e-9f1c-4f41-8d3b-5d6f1f8a3a10'", "51", "null", "true"],
            &["null", "null", "null", "1", "'6b3b0c4e-9f1c-4f41-8d3b-5d6f1f8a3a10'", "true"],
        ],
    ),
    (
        "order by page.source, page.key",
        &[&["null", "null", "null", "51"], &["'s1'", "'s1'", "'5'", "51"], &["null", "'s1'", "'5'", "51"]],
    ),
    (
        "order by indexed.source, indexed.key limit $4",
        &[&["null", "null", "null", "51"], &["'s1'", "'s1'", "'5'", "51"]],
    ),
    ("order by job.id limit $3", &[&["'k1'", "null", "51", "null"], &["'k1'", "7", "51", "'s1'"]]),
    ("order by document.key <> $1", &[&["'5'", "51", "null"], &["'5'", "51", "'s1'"]]),
    (
        "order by seq desc limit $13",
        &[
            &[
                "null", "null", "false", "null", "null", "null", "null", "null", "null", "null", "null",
                "false", "51",
            ],
            &[
                "'answered'",
                "null",
                "false",
                "null",
                "null",
                "null",
                "null",
                "null",
                "null",
                "null",
                "7",
                "false",
                "51",
            ],
            &[
                "null", "null", "false", "'c1'", "null", "'s1'", "null", "null", "null", "null", "7",
                "false", "51",
            ],
            &[
                "null", "null", "false", "null", "null", "null", "null", "'word'", "null", "null", "null",
                "false", "51",
            ],
            &[
                "null",
                "null",
                "false",
                "null",
                "null",
                "null",
                "null",
                "null",
                "'[\"5\"]'",
                "'[{\"key\": \"5\"}]'",
                "null",
                "false",
                "51",
            ],
            &[
                "null", "null", "false", "null", "null", "null", "null", "null", "null", "null", "null",
                "true", "51",
            ],
        ],
    ),
    (
        "order by active_at desc, client desc",
        &[&["null", "null", "null", "51"], &["now()", "'c'", "'s'", "51"]],
    ),
    (
        "order by id desc limit $7",
        &[
            &["null", "null", "null", "null", "null", "null", "51"],
            &["'k1'", "'ready'", "false", "'7'", "5", "7", "51"],
        ],
    ),
    (
        "order by finished_at desc, id desc limit $8",
        &[
            &["'dead'", "null", "null", "null", "null", "null", "null", "51"],
            &["'dead'", "'k1'", "null", "null", "null", "now()", "7", "51"],
            &["'dead'", "null", "null", "'x'", "5", "now()", "7", "51"],
            &["'done'", "null", "null", "null", "null", "null", "null", "51"],
        ],
    ),
    (
        "order by finished_at, id limit $10",
        &[
            &["'dead'", "null", "null", "null", "now()", "null", "7", "null", "null", "500"],
            &["'dead'", "'k1'", "null", "'x'", "now()", "5", "7", "now()", "7", "500"],
        ],
    ),
    (
        "order by id limit $9",
        &[&["'k1'", "'ready'", "false", "null", "null", "now()", "7", "5", "500", "'10:20:'", "30"]],
    ),
    ("order by client limit 1", &[&["null", "'s'"], &["'c'", "'s'"]]),
    ("update shopkeeper.session set owner", &[&["null", "'s'", "'bot'"], &["'c'", "'s'", "'bot'"]]),
];

fn statements() -> Vec<String> {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).unwrap();
    let queries = files.map(|file| {
        let file = fs::read_to_string(file.unwrap().path()).unwrap();
        as_text(&serde_json::from_str::<Value>(&file).unwrap()["query"]).to_owned()
    });
    let is_of = |query: &String, table: &str| query.contains(&format!("shopkeeper.{table}"));
    let mut statements: Vec<_> =
        queries.filter(|query| LARGE.split(' ').any(|table| is_of(query, table))).collect();
    statements.sort_unstable();
    statements
}

/// A statement in each of the ways in which it is planned.
fn ways(statement: &str) -> Vec<String> {
    let Some((_, ways)) = FILTERED.iter().find(|(part, _)| statement.contains(part)) else {
        return vec![format!("explain (generic_plan, format json) {statement}")];
    };
    let ways = ways.iter().map(|values| {
        let mut filled = format!("explain (format json) {statement}");
        for (n, value) in values.iter().enumerate().rev() {
            filled = filled.replace(&format!("${}", n + 1), value);
        }
        filled
    });
    ways.collect()
}

/// What of a plan reads all of a large table.
fn whole_reads(plan: &Value, is_limited: bool, found: &mut Vec<String>) {
    let kind = plan["Node Type"].as_str().unwrap_or_default();
    let is_limited = is_limited || kind == "Limit";
    let table = plan["Relation Name"].as_str().unwrap_or_default();
    let is_bounded = plan.get("Index Cond").is_some() || plan.get("Recheck Cond").is_some() || is_limited;
    if LARGE.split(' ').any(|large| large == table)
        && (kind == "Seq Scan" || kind.ends_with("Scan") && kind != "Tid Scan" && !is_bounded)
    {
        found.push(format!("{kind} of {table}"));
    }
    for child in plan["Plans"].as_array().into_iter().flatten() {
        whole_reads(child, is_limited, found);
    }
}

async fn plan(connection: &mut PgConnection, explain: &str) -> Value {
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(explain))).await;
    let text: String = row.unwrap_or_else(|error| panic!("{error}: {explain}")).try_get_unchecked(0).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[0]["Plan"].take()
}

#[tokio::test]
async fn no_statement_reads_all_of_a_large_table_unless_it_counts_it() {
    let world = World::new().await;
    world.execute(ROWS).await;
    let mut connection = world.ours.acquire().await.unwrap();
    // As the store does where it looks many rows up.
    let settings = "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off";
    connection.execute(settings).await.unwrap();
    let (mut wrong, mut counted) = (Vec::new(), BTreeSet::new());
    for statement in statements() {
        let mut found = Vec::new();
        for way in ways(&statement) {
            whole_reads(&plan(&mut connection, &way).await, false, &mut found);
        }
        match WHOLE.iter().find(|(part, _)| statement.contains(part)) {
            _ if found.is_empty() => {}
            Some((part, _)) => _ = counted.insert(*part),
            None => wrong.push(format!("{}: {statement}\n", found.join(", "))),
        }
    }
    assert!(wrong.is_empty(), "{} statements\n{}", wrong.len(), wrong.join("\n"));
    let excused: BTreeSet<_> = WHOLE.iter().map(|(part, _)| *part).collect();
    assert_eq!(counted, excused, "those that read no whole table are not to be excused");
}

#[tokio::test]
async fn an_answer_is_read_and_ended_by_its_id_beside_many_that_are_open_and_handed_over() {
    let world = World::new().await;
    let id = "6b3b0c4e-9f1c-4f41-8d3b-5d6f1f8a3a10";
    let columns =
        "id, client, session_id, request, question, status, fence, needs_escalation, escalation_reason";
    let open = format!(
        "alter table shopkeeper.answer set (autovacuum_enabled = off);
         insert into shopkeeper.answer ({columns})
         values ('{id}', 'c', 's', '{{}}', 'q', 'in_progress', 7, true, 'failed'); analyze"
    );
    world.execute(&open).await;
    let statements = [
        format!("select shopkeeper.answer_object(known) from shopkeeper.answer as known where id = '{id}'"),
        format!("select shopkeeper.end_answers(array['{id}'::uuid], 'cancelled')"),
        format!(
            "select shopkeeper.archive(array[jsonb_populate_record(null::shopkeeper.job, jsonb_build_object(
                 'id', 1, 'kind', 'answer_question', 'key', '{id}', 'payload', '{{}}'::jsonb, 'priority', 0, 'attempts', 1,
                 'created_at', now(), 'run_at', now()
             ))], 'dead')"
        ),
    ];
    let mut connection = world.ours.acquire().await.unwrap();
    let mut few = Vec::new();
    for statement in &statements {
        // Plans are made for these few, and kept.
        for _ in 0..2 {
            touched(&mut connection, statement).await;
        }
        few.push(touched(&mut connection, statement).await.1);
    }
    let others = "set session_replication_role = replica;
         insert into shopkeeper.answer (client, session_id, request, question)
         select 'c', 's' || n, '{}', 'q' from generate_series(1, 60000) as n;
         insert into shopkeeper.escalation (client, session_id, answer_id, reason, status)
         select client, session_id, id, 'failed', 'acknowledged' from shopkeeper.answer where session_id <> 's'";
    world.execute(others).await;
    for (statement, few) in statements.iter().zip(few) {
        // A tree of an index grows deeper, and no more.
        let (_, many) = touched(&mut connection, statement).await;
        assert!(many <= 3 * few + 20, "{many} pages, {few} before: {statement}");
    }
}

#[tokio::test]
async fn dead_jobs_of_many_groups_are_retried_and_discarded_in_batches() {
    let world = World::new().await;
    let ended = "insert into shopkeeper.job_history
            (id, kind, key, group_key, payload, priority, outcome, attempts, created_at, run_at, finished_at)
        select n, 'scripted', n, 'g' || n, '{}', 0, 'dead', 1, now(), now(), now() - (20001 - n) * interval '1 ms'
        from generate_series(1, 20000) as n";
    world.execute(ended).await;
    // One that dies after the start, as those do that are retried and die again, is not taken.
    let later = ended
        .replace("select n,", "select 90000 + n,")
        .replace("(20001 - n) * interval '1 ms'", "interval '-1 hour'");
    world.execute(&later.replace("generate_series(1, 20000)", "generate_series(20001, 20001)")).await;
    // The newer one of a key counts.
    world.execute("select shopkeeper.enqueue('scripted', '700')").await;
    let all = dead("scripted");
    assert_eq!(world.store.retry_jobs(&all).await.unwrap(), 19_999);
    assert_eq!((world.count("job").await, world.count("job_history").await), (20_000, 2));
    world.execute("delete from shopkeeper.job").await;
    world.execute(&ended.replace("select n,", "select 30000 + n,")).await;
    assert_eq!(world.store.discard_jobs(&all).await.unwrap(), 20_001);
    assert_eq!(world.count("job_history").await, 1);
}

#[tokio::test]
async fn no_function_that_walks_indexes_only_is_compiled() {
    let world = World::new().await;
    let functions = "select count(*) from pg_proc
        where pronamespace = 'shopkeeper'::regnamespace and 'enable_seqscan=off' = any (proconfig)";
    assert!(world.value::<i64>(functions).await > 5);
    assert_eq!(world.value::<i64>(&format!("{functions} and not 'jit=off' = any (proconfig)")).await, 0);
}
