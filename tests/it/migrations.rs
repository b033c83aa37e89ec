//! Migrations that an administrator applies for a role that may not.

use crate::support::{World, database, execute, stderr, stdout, value};

/// A database in which a role may do nothing but connect: its addresses for the administrator and for the role.
async fn bare(role: &str) -> (String, String) {
    let admin = database("template1").await;
    execute(&admin, &format!("create role {role} login password 'x'")).await;
    let mut url: url::Url = admin.parse().unwrap();
    url.set_username(role).unwrap();
    url.set_password(Some("x")).unwrap();
    (admin, url.to_string())
}

#[tokio::test]
async fn what_is_printed_makes_a_schema_on_which_a_weak_role_runs() {
    let world = World::new().await;
    // A name that wants quotes.
    let role = format!("\"Keeper-{}\"", std::process::id());
    let (admin, weak) = bare(&role).await;
    let weak = weak.replace("%22", "");
    std::fs::write(world.folder.path().join("database.url"), &weak).unwrap();
    let refused = stderr(&world.run(&["migrate"]).await);
    assert!(refused.contains("create extension vector"), "{refused}");

    let printed = stdout(&world.run(&["migrate", "print"]).await);
    assert_eq!(stdout(&world.run(&["migrate", "print", "--all"]).await), printed, "all is missing");
    execute(&admin, &printed).await;
    let migrated = world.run(&["migrate"]).await;
    assert_eq!(migrated.status.code(), Some(0), "{}", stderr(&migrated));
    let synced = world.run(&["sync", "--wait"]).await;
    assert_eq!(synced.status.code(), Some(0), "{}", stderr(&synced));
    let asked = world.run(&["ask", "How much is the Kettle?"]).await;
    assert!(stdout(&asked).contains("45.00"), "{}", stderr(&asked));
    let pool = sqlx::PgPool::connect(&admin).await.unwrap();
    let others = "select count(*) from pg_class where relnamespace = 'shopkeeper'::regnamespace
         and pg_get_userbyid(relowner) = 'postgres'";
    assert_eq!(value::<i64>(&pool, others).await, 0);

    // Of a schema of an earlier version, the rest.
    let last =
        "delete from shopkeeper.migration where version = (select max(version) from shopkeeper.migration)";
    let printed = stdout(&world.run(&["migrate", "print"]).await);
    assert!(printed.starts_with("-- no migration is missing"), "{printed}");
    execute(&admin, &printed).await;
    execute(&admin, last).await;
    let printed = stdout(&world.run(&["migrate", "print"]).await);
    let records = printed.matches("insert into shopkeeper.migration").count();
    assert_eq!(records, 1, "{printed}");
    execute(&admin, &format!("drop owned by {role} cascade; drop role {role}")).await;
}

#[tokio::test]
async fn everything_is_printed_without_settings_for_a_role_that_is_named() {
    let arguments = ["migrate", "print", "--all", "--role", "keeper"].map(str::to_owned);
    let printed = crate::support::program(&arguments, &[]).await;
    let (printed, said) = (stdout(&printed), stderr(&printed));
    assert!(printed.contains("set local role \"keeper\";") && said.is_empty(), "{said}");
    // The role of clients is the server's, and the grants are for each of its databases.
    let grants = shopkeeper::store::schema::CLIENT_GRANTS;
    let (one, other) = (database("template_ours").await, database("template_ours").await);
    execute(&one, grants).await;
    execute(&other, grants).await;
    assert!(printed.ends_with(&format!("{grants}\n")), "{printed}");
}

#[tokio::test]
async fn what_an_earlier_version_kept_for_ever_is_found_by_the_next_listing() {
    let world = World::new().await;
    world.sync().await;
    // It had come back before its job ran, and was written all the same.
    execute(&world.url(), "update shopkeeper.document set row_hash = null where key = '3'").await;
    world.in_shop("delete from product where id = 3").await;
    world.sync().await;
    assert_eq!(world.count("chunk where key = '3'").await, 1);
    let migration = include_str!("../../migrations/20261125000900_list_what_came_back.sql");
    execute(&world.url(), migration).await;
    world.sync().await;
    assert_eq!(world.count("chunk where key = '3'").await, 0);
    assert_eq!(world.count("chunk").await, 2);
}
