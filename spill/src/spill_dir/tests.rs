#![allow(clippy::unwrap_used)]

use std::process::Command;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Also run by `modes_hold_whatever_the_umask` in processes with another umask.
#[test]
fn modes_are_private() {
    let dir = Arc::new(SpillDir::create(&std::env::temp_dir(), None).unwrap());
    let (_file, slot) = dir.create_file().unwrap();
    let operators = dir.create_subdirectory("operators").unwrap();
    assert_eq!(mode(dir.path()), 0o700);
    assert_eq!(mode(&operators), 0o700);
    for file in [
        slot.path(),
        &dir.path().join(LOCK),
        &dir.path().join(MARKER),
    ] {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}

#[test]
fn modes_hold_whatever_the_umask() {
    for umask in ["000", "022", "0777"] {
        // A test may not change the umask of the process that runs all the others.
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "umask {umask}; exec \"$0\" --exact spill_dir::tests::modes_are_private"
            ))
            .arg(std::env::current_exe().unwrap())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "umask {umask}: {text}");
        assert!(text.contains("1 passed"), "umask {umask}: {text}");
    }
}

#[test]
fn everything_goes_with_the_last_user() {
    let root = tempfile::tempdir().unwrap();
    let dir = Arc::new(SpillDir::create(root.path(), None).unwrap());
    let path = dir.path().to_owned();
    let (_file, slot) = dir.create_file().unwrap();
    fs::write(dir.create_subdirectory("operators").unwrap().join("x"), "x").unwrap();
    drop(dir);
    assert!(slot.path().exists(), "a file keeps its directory");
    drop(slot);
    assert!(!path.exists());
    assert!(root.path().exists());
}

#[test]
fn everything_goes_when_the_user_panics() {
    let root = tempfile::tempdir().unwrap();
    let inside = root.path().to_owned();
    let result = std::thread::spawn(move || {
        let dir = Arc::new(SpillDir::create(&inside, None).unwrap());
        let _slot = dir.create_file().unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    })
    .join();
    assert!(result.is_err());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn names_are_new_and_files_are_never_opened_over_others() {
    let root = tempfile::tempdir().unwrap();
    let a = Arc::new(SpillDir::create(root.path(), None).unwrap());
    let b = SpillDir::create(root.path(), None).unwrap();
    assert_ne!(a.path(), b.path());
    // Somebody put a link where the next file goes.
    let victim = root.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, a.path().join("rows-000000.parquet")).unwrap();
    assert!(matches!(a.create_file(), Err(SpillError::Io { .. })));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(a.create_file().is_ok(), "the next number is free");
}

#[test]
fn the_lock_is_held_as_long_as_the_directory_lives() {
    let root = tempfile::tempdir().unwrap();
    let dir = SpillDir::create(root.path(), None).unwrap();
    let lock = File::open(dir.path().join(LOCK)).unwrap();
    assert!(matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)));
    drop(dir);
    assert!(lock.try_lock().is_ok());
}

#[test]
fn the_quota_counts_live_bytes() {
    let root = tempfile::tempdir().unwrap();
    let dir = Arc::new(SpillDir::create(root.path(), Some(100)).unwrap());
    let (_, first) = dir.create_file().unwrap();
    let (_, second) = dir.create_file().unwrap();
    first.charge(60).unwrap();
    let error = second.charge(41).unwrap_err();
    let message = error.to_string();
    assert!(
        matches!(
            error,
            SpillError::QuotaExceeded {
                quota_bytes: 100,
                live_bytes: 60,
                requested_bytes: 41,
                ..
            }
        ),
        "{message}"
    );
    assert!(message.starts_with("spill_quota of 100 bytes"), "{message}");
    second.charge(40).unwrap();
    drop(first);
    second.charge(60).unwrap();
    assert_eq!(
        (dir.live_bytes(), dir.peak_bytes(), dir.bytes_written()),
        (100, 100, 160)
    );
}

#[test]
fn a_root_that_is_missing_or_a_file_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let missing = SpillDir::create(&root.path().join("none"), None).unwrap_err();
    assert!(missing.to_string().contains("none"), "{missing}");
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let file = SpillDir::create(&file, None).unwrap_err();
    assert!(matches!(file, SpillError::InsecureRoot { .. }));
}
