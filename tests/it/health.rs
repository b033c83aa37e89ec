//! Readiness and its verbose form.

use crate::prelude::*;

#[tokio::test]
async fn readiness_says_what_it_looked_at_when_it_is_asked() {
    let (world, daemon) = shop_with_daemon().await;
    let (status, plain) = daemon.get("/readyz").await;
    assert_eq!((status, plain.get("checks")), (StatusCode::OK, None), "{plain}");

    let verbose = daemon.get("/readyz?verbose").await;
    let checks = json!([
        { "name": "stopping", "ok": true, "detail": "takes work" },
        { "name": "workers", "ok": true, "detail": "reach the database" },
        { "name": "database", "ok": true, "detail": "ok" },
        { "name": "migrations", "ok": true, "detail": "all are applied" },
    ]);
    assert_reply(verbose, 200, json!({ "checks": checks, "ready": true }));

    world.execute(FORGET_LAST_MIGRATION).await;
    // It explains and does not decide.
    let verbose = assert_reply(daemon.get("/readyz?verbose=1").await, 200, json!({}));
    assert_eq!(verbose["checks"][3]["detail"], "1 are missing: run `shopkeeper migrate`", "{verbose}");

    let ours = database_name(&world.url());
    let without = server().await.url("postgres");
    execute(&without, &format!("alter database {ours} allow_connections false")).await;
    let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{ours}'");
    execute(&without, &end).await;
    let verbose = assert_reply(daemon.get("/readyz?verbose").await, 503, json!({}));
    let database = as_list(&verbose["checks"]).iter().find(|check| check["name"] == "database");
    assert_eq!(database.unwrap()["ok"], false, "{verbose}");
    assert_eq!(as_list(&verbose["checks"]).len(), 3, "{verbose}");
    execute(&without, &format!("alter database {ours} allow_connections true")).await;
    daemon.stop().await;
}
