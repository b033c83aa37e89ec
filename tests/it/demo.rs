//! The demo, as a newcomer runs it.

use std::process::Command;

use crate::prelude::*;

fn demo(home: &TempDir) -> Command {
    let mut command = command(&["demo".to_owned(), "--once".to_owned()], &[]);
    command.env("XDG_DATA_HOME", home.path());
    command
}

#[tokio::test]
async fn two_demos_at_once_do_not_disturb_each_other_and_a_second_start_is_quick() {
    let home = TempDir::new().unwrap();
    let runs = [demo(&home), demo(&home)]
        .map(|mut demo| tokio::task::spawn_blocking(move || demo.output().unwrap()));
    for output in futures::future::try_join_all(runs).await.unwrap() {
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
        assert_contains(stdout(&output), "39.50");
        // A newcomer reads no warning, and nothing else that is not part of the show.
        assert_eq!(stderr(&output), "");
        assert!(!stdout(&output).contains("WARN"), "{}", stdout(&output));
    }
    let mut again = demo(&home);
    let output = tokio::task::spawn_blocking(move || again.output().unwrap()).await.unwrap();
    assert!(stdout(&output).contains(" 0      0"), "nothing was embedded anew: {}", stdout(&output));
}
