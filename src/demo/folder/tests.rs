use std::os::unix::fs::MetadataExt as _;

use super::*;

#[test]
fn claims_of_one_name_get_different_folders_and_a_dropped_one_is_reused() {
    let place = tempfile::tempdir().unwrap();
    let account = Account::for_server().unwrap();
    let claim = || DataFolder::claim_in(place.path(), "demo", account.clone()).unwrap();
    let (first, second) = (claim(), claim());
    assert!(first.path().ends_with("demo-1") && second.path().ends_with("demo-2"));
    fs::write(first.path().join("kept"), "").unwrap();
    drop(first);
    let again = claim();
    assert!(again.path().ends_with("demo-1") && again.path().join("kept").exists());
}

#[test]
fn a_folder_is_closed_to_other_users() {
    let place = tempfile::tempdir().unwrap();
    let folder = DataFolder::claim_in(place.path(), "demo", Account::candidates().remove(0)).unwrap();
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_temporary_folder_goes_with_its_value() {
    let folder = DataFolder::temporary().unwrap();
    let path = folder.path().to_owned();
    assert!(path.is_dir());
    drop(folder);
    assert!(!path.exists());
}
