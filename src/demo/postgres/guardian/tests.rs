//! How a server ends with its owner.

use super::*;
use crate::demo::postgres::tests::{claimed, run, started, value};
use crate::demo::{postgres::Postgres, postgres::process::is_server};

#[tokio::test]
async fn an_orphan_is_ended_at_the_next_start() {
    let place = tempfile::tempdir().unwrap();
    let mut postgres = started(claimed(place.path())).await;
    run(&postgres, "create table kept as select 'yes' as answer").await;
    let orphan = postgres.guardian.server;
    postgres.guardian.script.kill().unwrap();
    postgres.guardian.script.wait().unwrap();
    assert!(is_server(orphan, &data(&postgres.folder)));
    // As if this process had been killed: nothing is dropped, but the lock is released.
    let Postgres { guardian, folder, .. } = postgres;
    std::mem::forget(guardian);
    drop(folder);
    let again = started(claimed(place.path())).await;
    assert!(!is_server(orphan, &data(&again.folder)));
    assert_eq!(value(&again, "select answer from kept").await, "yes");
}

#[tokio::test]
async fn dropping_ends_the_server_and_removes_a_temporary_folder() {
    let postgres = started(DataFolder::temporary().unwrap()).await;
    let (path, pid, data) =
        (postgres.folder.path().to_owned(), postgres.guardian.server, data(&postgres.folder));
    drop(postgres);
    assert!(!is_server(pid, &data));
    assert!(!path.exists());
}

#[tokio::test]
async fn the_guardian_alone_ends_the_server_while_another_child_of_ours_lives() {
    let postgres = started(DataFolder::temporary().unwrap()).await;
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let Postgres { mut guardian, folder, .. } = postgres;
    // All that the system does when we die.
    drop(guardian.input.take());
    let ended = wait_until(IMMEDIATE_LIMIT, || guardian.script_ended());
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(ended);
    assert!(!is_server(guardian.server, &guardian.data));
    assert!(!folder.path().exists());
}

#[tokio::test]
async fn a_server_whose_guardian_was_killed_ends_with_its_value() {
    let mut postgres = started(DataFolder::temporary().unwrap()).await;
    postgres.guardian.script.kill().unwrap();
    let (pid, data) = (postgres.guardian.server, data(&postgres.folder));
    drop(postgres);
    assert!(!is_server(pid, &data));
}
