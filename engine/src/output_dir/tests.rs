#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::thread;

use super::*;

/// Every path below `root`, relative to it.
fn tree(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.strip_prefix(root).unwrap().display().to_string());
            if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    found
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn refused(path: &Path, kind: ErrorKind, text: &str) {
    let error = OutputDir::create(path).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn commit_leaves_the_files_and_success_only() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("a/b/out");
    let out = OutputDir::create(&root).unwrap();
    assert_eq!(tree(&root), set(&[LOCK]));
    let mut shard = out.shard(Split::Val, 7).unwrap();
    shard.write_all(b"rows").unwrap();
    assert!(tree(&root).contains("val/.tmp-part-00007.parquet"));
    shard.publish().unwrap();
    out.write_file("report.json", b"{}").unwrap();
    out.write_file("fitted/c1.arrow", b"side table").unwrap();
    assert!(!root.join(SUCCESS).exists());
    out.commit().unwrap();
    let expected = set(&[
        "_SUCCESS",
        "fitted",
        "fitted/c1.arrow",
        "report.json",
        "val",
        "val/part-00007.parquet",
    ]);
    assert_eq!(tree(&root), expected);
    assert_eq!(
        fs::read(root.join("val/part-00007.parquet")).unwrap(),
        b"rows"
    );
    assert_eq!(fs::read(root.join("report.json")).unwrap(), b"{}");
}

#[test]
fn drop_removes_everything_made_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("deep/out");
    let out = OutputDir::create(&root).unwrap();
    out.write_file("fitted.json", b"{}").unwrap();
    out.shard(Split::Train, 0).unwrap().publish().unwrap();
    let open = out.shard(Split::Test, 0).unwrap();
    drop(out);
    // Somebody is still writing: the lock must hold.
    refused(&root, ErrorKind::Config, "another run is writing to");
    drop(open);
    assert_eq!(tree(place.path()), set(&[]), "made parents go too");

    let kept = place.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let out = OutputDir::create(&kept).unwrap();
    out.write_file("fitted.json", b"{}").unwrap();
    fs::write(kept.join("of-the-user"), b"").unwrap();
    drop(out);
    assert_eq!(tree(&kept), set(&["of-the-user"]));
}

#[test]
fn dropped_file_leaves_no_trace_and_does_not_hinder_the_commit() {
    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    drop(out.shard(Split::Train, 0).unwrap());
    assert_eq!(tree(place.path()), set(&[LOCK, "train"]));
    let mut again = out.shard(Split::Train, 0).unwrap();
    again.write_all(b"x").unwrap();
    again.publish().unwrap();
    out.commit().unwrap();
    assert_eq!(
        fs::read(place.path().join("train/part-00000.parquet")).unwrap(),
        b"x"
    );
}

#[test]
fn commit_with_an_open_file_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    let open = out.shard(Split::Train, 0).unwrap();
    let error = out.commit().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink);
    assert!(
        error.to_string().contains("1 files are unfinished"),
        "{error}"
    );
    drop(open);
    assert_eq!(tree(place.path()), set(&[]));
}

#[test]
fn unusable_paths_are_refused_and_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, b"x").unwrap();
    refused(&file, ErrorKind::Config, "is a file");
    refused(&file.join("below"), ErrorKind::Config, "below");
    let full = place.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("a"), b"").unwrap();
    fs::write(full.join("b"), b"").unwrap();
    refused(
        &full,
        ErrorKind::Config,
        "full is not empty: it has 2 entries",
    );
    assert_eq!(tree(&full), set(&["a", "b"]));
}

#[cfg(target_os = "linux")]
#[test]
fn place_that_takes_no_files_is_a_sink_error() {
    // Root may write anywhere but to /proc and /sys, which take no directories.
    let error = OutputDir::create("/proc/millpond-out").unwrap_err();
    assert!(error.to_string().contains("/proc/millpond-out"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Sink, "{error}");
}

#[test]
fn second_run_is_refused_while_the_first_lives() {
    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    refused(place.path(), ErrorKind::Config, "another run is writing to");
    out.write_file("report.json", b"{}").unwrap();
    drop(out);
    OutputDir::create(place.path()).unwrap().commit().unwrap();
    refused(
        place.path(),
        ErrorKind::Config,
        "is not empty: it has 1 entry",
    );
}

#[test]
fn one_of_many_runs_starting_at_once_wins() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    for _ in 0..20 {
        let starts: Vec<_> = (0..4)
            .map(|_| {
                let root = root.clone();
                thread::spawn(move || OutputDir::create(root))
            })
            .collect();
        let runs: Vec<_> = starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect();
        let winners = runs.iter().filter(|run| run.is_ok()).count();
        assert!(winners <= 1, "{winners} runs hold the same directory");
        drop(runs);
        // Stays, empty, when the run that made it was not the one that got it.
        if root.exists() {
            fs::remove_dir(&root).unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn lock_on_a_removed_file_is_no_lock() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join(LOCK);
    let first = File::create(&path).unwrap();
    assert!(is_still_at(&first, &path));
    fs::remove_file(&path).unwrap();
    assert!(!is_still_at(&first, &path));
    let second = File::create(&path).unwrap();
    assert!(!is_still_at(&first, &path));
    assert!(is_still_at(&second, &path));
}

/// What a killed run leaves: everything but its cleaning up.
fn killed_run(root: &Path) {
    let out = OutputDir::create(root).unwrap();
    out.write_file("fitted/c1.arrow", b"x").unwrap();
    out.shard(Split::Train, 0).unwrap().publish().unwrap();
    let open = out.shard(Split::Val, 0).unwrap();
    out.inner.finish_syncing().unwrap();
    let copy = root.with_extension("copy");
    for name in tree(root) {
        if root.join(&name).is_dir() {
            fs::create_dir_all(copy.join(&name)).unwrap();
        } else {
            fs::create_dir_all(copy.join(&name).parent().unwrap()).unwrap();
            fs::copy(root.join(&name), copy.join(&name)).unwrap();
        }
    }
    drop((open, out));
    fs::remove_dir_all(root).ok();
    fs::rename(copy, root).unwrap();
}

#[test]
fn remains_of_a_killed_run_are_swept() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    killed_run(&root);
    assert!(tree(&root).contains("val/.tmp-part-00000.parquet"));
    let out = OutputDir::create(&root).unwrap();
    assert_eq!(tree(&root), set(&[LOCK]));
    drop(out);
    assert_eq!(tree(&root), set(&[]));
}

#[test]
fn sweeping_keeps_what_the_killed_run_did_not_make() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    killed_run(&root);
    fs::write(root.join("train/notes.txt"), b"mine").unwrap();
    refused(&root, ErrorKind::Config, "is not empty: it has 1 entry");
    assert_eq!(tree(&root), set(&[LOCK, "train", "train/notes.txt"]));
}

#[cfg(unix)]
#[test]
fn sweeping_never_leaves_the_root() {
    use std::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let precious = place.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("data"), b"x").unwrap();
    let root = place.path().join("out");
    fs::create_dir(&root).unwrap();
    symlink(&precious, root.join("train")).unwrap();
    let list = "millpond output 1\ntrain/data\n../precious/data\n/precious/data\ntrain/../../precious/data\n../precious/\n";
    fs::write(root.join(LOCK), list).unwrap();
    refused(&root, ErrorKind::Config, "is not empty");
    assert!(precious.join("data").exists());
    assert!(root.join("train").exists());
}

#[cfg(unix)]
#[test]
fn links_in_the_way_are_refused() {
    use std::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let elsewhere = place.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let root = place.path().join("out");
    let out = OutputDir::create(&root).unwrap();
    symlink(&elsewhere, root.join("train")).unwrap();
    assert!(
        out.shard(Split::Train, 0)
            .unwrap_err()
            .to_string()
            .contains("is not a directory")
    );
    let victim = elsewhere.join("victim");
    symlink(&victim, root.join(".tmp-report.json")).unwrap();
    out.write_file("report.json", b"{}").unwrap_err();
    assert!(!victim.exists());
    assert_eq!(tree(&elsewhere), set(&[]));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    for name in [
        "", ".", "..", "../x", "/x", "a/../x", "a/b/c", "a\0b", ".hidden", "_SUCCESS", "train/x",
        "a b", "a\\b", "é",
    ] {
        let error = out.write_file(name, b"").unwrap_err();
        assert!(
            error.to_string().contains("cannot be the name"),
            "{name:?}: {error}"
        );
    }
    assert_eq!(tree(place.path()), set(&[LOCK]));
}

#[test]
fn failure_behind_the_back_stops_the_commit() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    let out = OutputDir::create(&root).unwrap();
    let shard = out.shard(Split::Train, 0).unwrap();
    fs::remove_file(root.join("train/.tmp-part-00000.parquet")).unwrap();
    shard.publish().unwrap();
    let error = out.commit().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink);
    assert!(error.to_string().contains("part-00000.parquet"), "{error}");
    assert!(!root.exists());
}

#[test]
fn no_room_is_a_disk_error() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let error = write_failed(Path::new("x"), "cannot write 5 bytes to", kind.into());
        assert_eq!(error.kind(), ErrorKind::Disk);
    }
    let error = write_failed(
        Path::new("x"),
        "cannot write",
        io::ErrorKind::PermissionDenied.into(),
    );
    assert_eq!(error.kind(), ErrorKind::Sink);
}
