//! A private server from its start to its stop.

use std::fs;

use super::{process::is_server, *};
use crate::demo::{account::Account, execute, packages};

pub(super) async fn started(folder: DataFolder) -> Postgres {
    let binaries = packages::postgres_binaries().await.unwrap();
    Postgres::start(&binaries, folder, &[("fsync", "off")]).await.unwrap()
}

pub(super) async fn value(postgres: &Postgres, sql: &'static str) -> String {
    let mut connection = PgConnection::connect(&postgres.url("postgres")).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

pub(super) async fn run(postgres: &Postgres, sql: &str) {
    execute(&postgres.url("postgres"), sql).await.unwrap();
}

/// A folder that outlives its claim, like a demo's.
pub(super) fn claimed(place: &Path) -> DataFolder {
    DataFolder::claim_in(place, "demo", Account::candidates().remove(0)).unwrap()
}

#[tokio::test]
async fn a_fresh_server_offers_vectors_and_knows_other_alphabets() {
    let postgres = started(DataFolder::temporary().unwrap()).await;
    run(&postgres, "create extension vector").await;
    assert_eq!(value(&postgres, "select ('[1,2]'::vector <-> '[1,4]')::text").await, "2");
    assert_eq!(value(&postgres, "select lower('ÉCOLE')").await, "école");
    assert_eq!(value(&postgres, "show fsync").await, "off");
    assert_eq!(value(&postgres, "show listen_addresses").await, "127.0.0.1");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let postgres = started(DataFolder::temporary().unwrap()).await;
    let wrong = postgres.url("postgres").replace(&postgres.password, "guessed");
    let error = PgConnection::connect(&wrong).await.unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");
}

#[tokio::test]
async fn a_second_start_keeps_the_data() {
    let place = tempfile::tempdir().unwrap();
    let postgres = started(claimed(place.path())).await;
    run(&postgres, "create table kept as select 'yes' as answer").await;
    let pid = postgres.guardian.server;
    postgres.stop().await.unwrap();
    assert!(!is_server(pid, &place.path().join("demo-1/data")));
    let again = started(claimed(place.path())).await;
    assert_eq!(value(&again, "select answer from kept").await, "yes");
    assert!(!log_end(&again.folder).contains("not properly shut down"));
}

#[tokio::test]
async fn two_at_once_have_their_own_ports_and_folders() {
    let place = tempfile::tempdir().unwrap();
    let (one, other) = tokio::join!(started(claimed(place.path())), started(claimed(place.path())));
    assert_ne!(one.port, other.port);
    assert_ne!(one.folder.path(), other.folder.path());
}

#[tokio::test]
async fn an_unfinished_cluster_and_one_of_another_version_are_created_again() {
    let place = tempfile::tempdir().unwrap();
    let folder = claimed(place.path());
    fs::create_dir_all(folder.path().join("data.new/base")).unwrap();
    fs::create_dir_all(data(&folder)).unwrap();
    fs::write(data(&folder).join("PG_VERSION"), "9\n").unwrap();
    fs::write(folder.path().join("password"), "old").unwrap();
    let postgres = started(folder).await;
    assert_eq!(value(&postgres, "select 'works'").await, "works");
    assert!(!postgres.folder.path().join("data.new").exists());
}

#[tokio::test]
async fn an_unknown_setting_is_shown_from_the_log() {
    let binaries = packages::postgres_binaries().await.unwrap();
    let folder = DataFolder::temporary().unwrap();
    let error = Postgres::start(&binaries, folder, &[("no_such_setting", "1")]).await.err().unwrap();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn every_way_to_drop_root_runs_a_server() {
    for account in Account::candidates().into_iter().filter(Account::works) {
        let postgres = started(DataFolder::temporary_for(account).unwrap()).await;
        run(&postgres, "create extension vector").await;
        let path = postgres.folder.path().to_owned();
        postgres.stop().await.unwrap();
        assert!(!path.exists());
    }
}
