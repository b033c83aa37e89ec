//! Migrations that an administrator applies for a role that may not.

use crate::prelude::*;

/// A database in which a role may do nothing but connect: its addresses for the administrator and for the role.
async fn bare(role: &str) -> (String, String) {
    let admin = database("template1").await;
    execute(&admin, &format!("create role {role} login password 'x'")).await;
    let weak = as_role(&admin, role);
    (admin, weak)
}

#[tokio::test]
async fn what_is_printed_makes_a_schema_on_which_a_weak_role_runs() {
    let world = World::new().await;
    // A name that wants quotes.
    let role = format!("\"Keeper-{}\"", std::process::id());
    let (admin, weak) = bare(&role).await;
    world.write("database.url", &weak.replace("%22", ""));
    assert_contains(stderr(&world.run_line("migrate").await), "create extension vector");

    let printed = world.run_ok("migrate print").await;
    assert_eq!(world.run_ok("migrate print --all").await, printed, "all is missing");
    execute(&admin, &printed).await;
    world.run_ok("migrate").await;
    world.run_ok("sync --wait").await;
    let asked = world.run_line("ask 'How much is the Kettle?'").await;
    assert!(stdout(&asked).contains("45.00"), "{}", stderr(&asked));
    let pool = PgPool::connect(&admin).await.unwrap();
    let others = "select count(*) from pg_class where relnamespace = 'shopkeeper'::regnamespace
         and pg_get_userbyid(relowner) = 'postgres'";
    assert_eq!(value::<i64>(&pool, others).await, 0);

    // Of a schema of an earlier version, the rest.
    let printed = world.run_ok("migrate print").await;
    assert_starts(&printed, "-- no migration is missing");
    execute(&admin, &printed).await;
    execute(&admin, FORGET_LAST_MIGRATION).await;
    let printed = world.run_ok("migrate print").await;
    assert_eq!(printed.matches("insert into shopkeeper.migration").count(), 1, "{printed}");
    execute(&admin, &format!("drop owned by {role} cascade; drop role {role}")).await;
}

#[tokio::test]
async fn everything_is_printed_without_settings_for_a_role_that_is_named() {
    let printed = program(&["migrate", "print", "--all", "--role", "keeper"], &[]).await;
    let (printed, said) = (stdout(&printed), stderr(&printed));
    assert!(printed.contains("set local role \"keeper\";") && said.is_empty(), "{said}");
    // The role of clients is the server's, and the grants are for each of its databases.
    let grants = shopkeeper::store::schema::CLIENT_GRANTS;
    let (one, other) = (database("template_ours").await, database("template_ours").await);
    execute(&one, grants).await;
    execute(&other, grants).await;
    assert!(printed.ends_with(&format!("{grants}\n")), "{printed}");
}

/// Lets a database look as if an older program had applied our functions, the enqueueing ones with another text.
const OLDER: &str = "
    create or replace function shopkeeper.group_lock(kind text, group_key text) returns bigint
    language sql immutable return 42;
    update shopkeeper.repeatable_migration set schema_number = 0,
        hash = case name when 'functions/enqueue' then 'another' else hash end";

/// Whether the function has that text.
const IS_OLDER: &str = "select shopkeeper.group_lock('kind', 'group') = 42";

/// The repeatable migrations that the program misses in a database.
async fn missing(world: &World) -> Vec<String> {
    let state = world.run_json("migrate status").await;
    assert!(as_list(&state["migrations"]).iter().all(|known| known["applied"] == true), "{state}");
    let files = as_list(&state["repeatable"]).iter();
    files.filter(|file| file["applied"] == false).map(|file| as_text(&file["name"]).to_owned()).collect()
}

#[tokio::test]
async fn functions_of_an_older_program_are_replaced_and_nothing_else_is() {
    let world = World::new().await;
    world.execute(OLDER).await;
    let triggers =
        "select md5(string_agg(xmin::text, ' ' order by oid)) from pg_trigger where not tgisinternal";
    let before = world.text(triggers).await;
    assert_eq!(missing(&world).await, ["functions/enqueue"]);
    world.run_failing("status", 1, "the database lacks 1 of shopkeeper's migrations").await;
    world.run_failing("status", 1, "run `shopkeeper migrate`").await;

    world.run_ok("migrate").await;
    assert!(!world.value::<bool>(IS_OLDER).await);
    assert!(missing(&world).await.is_empty());
    assert_eq!(world.text(triggers).await, before);
    let numbers =
        "select count(distinct schema_number) from shopkeeper.repeatable_migration where schema_number > 0";
    assert_eq!(world.value::<i64>(numbers).await, 1, "texts that were equal have the number, too");
}

#[tokio::test]
async fn functions_of_an_older_program_are_printed_for_an_administrator() {
    let world = World::new().await;
    world.execute(OLDER).await;
    let printed = world.run_ok("migrate print").await;
    assert_contains(&printed, "-- functions/enqueue\n");
    assert!(!printed.contains("-- functions/claims\n"), "{printed}");
    world.execute(&printed).await;
    assert!(!world.value::<bool>(IS_OLDER).await);
    assert!(missing(&world).await.is_empty());
    assert_starts(world.run_ok("migrate print").await, "-- no migration is missing");
}

#[tokio::test]
async fn an_older_program_does_not_put_its_functions_back() {
    let world = World::new().await;
    world.execute(&OLDER.replace("schema_number = 0", "schema_number = schema_number + 1")).await;
    // A file that the newer program has merged into another is not missed either.
    world.execute("delete from shopkeeper.repeatable_migration where name = 'functions/claims'").await;
    assert!(missing(&world).await.is_empty());
    world.run_ok("migrate").await;
    world.run_ok("status").await;
    assert!(world.value::<bool>(IS_OLDER).await);
}

#[tokio::test]
async fn programs_that_migrate_at_the_same_time_make_one_schema() {
    let reach = reach(&database("template1").await);
    for store in futures::future::try_join_all((0..8).map(|_| Store::open_migrated(&reach))).await.unwrap() {
        assert_eq!(store.schema_state().await.unwrap().missing(), 0);
        store.close().await;
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let url = database("template1").await;
    // A function cannot be replaced by one of another type.
    let conflict = "create schema shopkeeper;
        create function shopkeeper.group_lock(kind text, group_key text) returns text language sql return 'x'";
    execute(&url, conflict).await;
    let error = Store::open_migrated(&reach(&url)).await.unwrap_err();
    assert!(error.to_string().contains("cannot change return type"), "{error}");
    let pool = PgPool::connect(&url).await.unwrap();
    let tables = "select count(*) from pg_class where relnamespace = 'shopkeeper'::regnamespace";
    assert_eq!(value::<i64>(&pool, tables).await, 0);
}

#[tokio::test]
async fn a_schema_from_before_the_first_release_is_refused_until_it_is_dropped() {
    let world = World::new().await;
    let remedy = "drop schema shopkeeper cascade";
    let earlier = "update shopkeeper.migration set version = 20261128006000 where version = 20261201000200";
    world.execute(earlier).await;
    for verb in ["migrate", "migrate status", "migrate print", "status", "run"] {
        world.run_failing(verb, 1, "an unreleased build of shopkeeper created this schema").await;
        world.run_failing(verb, 1, remedy).await;
    }
    world.execute(remedy).await;
    world.run_ok("migrate").await;
}
