//! The demo, as a newcomer runs it.

use std::process::Output;

use crate::prelude::*;

async fn demo(home: &TempDir) -> Output {
    program(&["demo", "--once"], &[("XDG_DATA_HOME", home.path().to_str().unwrap())]).await
}

#[tokio::test]
async fn two_demos_at_once_do_not_disturb_each_other_and_a_second_start_is_quick() {
    let home = TempDir::new().unwrap();
    for output in join_all([demo(&home), demo(&home)]).await {
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
        assert_contains(stdout(&output), "39.50");
        // A newcomer sees no warnings.
        assert_eq!(stderr(&output), "");
        assert!(!stdout(&output).contains("WARN"), "{}", stdout(&output));
    }
    let again = stdout(&demo(&home).await);
    assert!(again.contains(" 0      0"), "nothing was embedded again: {again}");
}
