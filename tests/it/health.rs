//! What those who watch are told.

use crate::prelude::*;

#[tokio::test]
async fn readiness_says_what_it_looked_at_when_it_is_asked() {
    let (world, daemon) = shop_with_daemon().await;
    let (status, plain) = daemon.get("/readyz").await;
    assert_eq!((status, plain.get("checks")), (StatusCode::OK, None), "{plain}");

    let (status, verbose) = daemon.get("/readyz?verbose").await;
    let checks = json!([
        { "name": "stopping", "ok": true, "detail": "takes work" },
        { "name": "workers", "ok": true, "detail": "get through to the database" },
        { "name": "database", "ok": true, "detail": "ok" },
        { "name": "migrations", "ok": true, "detail": "all are there" },
    ]);
    assert_eq!((status, &verbose["checks"], &verbose["ready"]), (StatusCode::OK, &checks, &json!(true)));

    world.execute("delete from shopkeeper.migration where version = (select max(version) from shopkeeper.migration)",
    )
    .await;
    let (status, verbose) = daemon.get("/readyz?verbose=1").await;
    assert_eq!(status, StatusCode::OK, "it explains and does not decide");
    assert_eq!(verbose["checks"][3]["detail"], "1 are missing: run `shopkeeper migrate`", "{verbose}");

    let ours = world.text("select current_database()::text").await;
    let without = server().await.url("postgres");
    execute(&without, &format!("alter database {ours} allow_connections false")).await;
    let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{ours}'");
    execute(&without, &end).await;
    let (status, verbose) = daemon.get("/readyz?verbose").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{verbose}");
    let database = as_list(&verbose["checks"]).iter().find(|check| check["name"] == "database");
    assert_eq!(database.and_then(|check| check["ok"].as_bool()), Some(false), "{verbose}");
    assert_eq!(verbose["checks"].as_array().map(Vec::len), Some(3), "{verbose}");
    execute(&without, &format!("alter database {ours} allow_connections true")).await;
    daemon.stop().await;
}
