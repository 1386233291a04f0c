#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use super::*;
use crate::journal::WrittenRecord;
use crate::manifest::{ShardEntry, SplitRows};

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

/// Below the root while a run works, with what else is there.
fn at_work(further: &[&str]) -> BTreeSet<String> {
    let mut expected = set(&[
        ".millpond",
        ".millpond/journal",
        ".millpond/lock",
        ".millpond/out",
    ]);
    expected.extend(further.iter().map(|name| (*name).to_owned()));
    expected
}

fn staged(root: &Path) -> PathBuf {
    root.join(".millpond/out")
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
    assert_eq!(tree(&root), at_work(&[]));
    let mut shard = out.shard(Split::Val, 7).unwrap();
    shard.write_all(b"rows").unwrap();
    assert!(tree(&staged(&root)).contains("val/.tmp-part-00007.parquet"));
    shard.publish().unwrap();
    out.write_file("report.json", b"{}").unwrap();
    out.write_file("fitted/c1.arrow", b"side table").unwrap();
    let visible = fs::read_dir(&root).unwrap().count();
    assert_eq!(visible, 1, "a reader sees nothing before the end");
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
    assert_eq!(tree(place.path()), at_work(&[".millpond/out/train"]));
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
    let path = place.path().join("lock");
    let first = File::create(&path).unwrap();
    assert!(workshop::is_still_at(&first, &path));
    fs::remove_file(&path).unwrap();
    assert!(!workshop::is_still_at(&first, &path));
    let second = File::create(&path).unwrap();
    assert!(!workshop::is_still_at(&first, &path));
    assert!(workshop::is_still_at(&second, &path));
}

/// What a killed run leaves: everything but its cleaning up. It had finished what `records` speak of.
fn killed_run(root: &Path, records: &[Record]) {
    let out = OutputDir::create(root).unwrap();
    out.write_file("fitted/c1.arrow", b"x").unwrap();
    let mut shard = out.shard(Split::Train, 0).unwrap();
    shard.write_all(b"rows").unwrap();
    shard.publish().unwrap();
    let open = out.shard(Split::Val, 0).unwrap();
    for record in records {
        out.record(record.clone(), vec![], vec![]).unwrap();
    }
    out.settle();
    let copy = root.with_extension("copy");
    for name in tree(root) {
        if root.join(&name).is_dir() {
            fs::create_dir_all(copy.join(&name)).unwrap();
        } else {
            fs::create_dir_all(copy.join(&name).parent().unwrap()).unwrap();
            fs::copy(root.join(&name), copy.join(&name)).unwrap();
        }
    }
    out.discard();
    drop((open, out));
    fs::remove_dir_all(root).ok();
    fs::rename(copy, root).unwrap();
}

/// The record of the shard that [`killed_run`] writes.
fn written() -> Record {
    Record::Written(WrittenRecord {
        unit: 0,
        rows: SplitRows::default(),
        filtered: None,
        shards: vec![ShardEntry {
            path: "train/part-00000.parquet".into(),
            split: Split::Train,
            unit: 0,
            rows: 0,
            bytes: 4,
            crc32c: crc32c::crc32c(b"rows"),
        }],
        null_labels: 0,
        unknown: BTreeMap::new(),
    })
}

fn open(root: &Path, earlier: EarlierWork) -> (OutputDir, Vec<Record>) {
    match OutputDir::open(root, earlier).unwrap() {
        Opened::Ready(directory, records) => (directory, records),
        Opened::Finished => panic!("finished"),
    }
}

#[test]
fn remains_of_a_killed_run_are_swept() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    killed_run(&root, &[]);
    assert!(tree(&staged(&root)).contains("val/.tmp-part-00000.parquet"));
    let (out, records) = open(&root, EarlierWork::Continue);
    assert_eq!(records, []);
    assert_eq!(tree(&root), at_work(&[]));
    drop(out);
    assert_eq!(tree(&root), set(&[]));
}

#[test]
fn finished_work_outlives_the_run_and_nothing_else_does() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    killed_run(&root, &[written()]);
    let kept = at_work(&[
        ".millpond/out/train",
        ".millpond/out/train/part-00000.parquet",
    ]);
    for _ in 0..2 {
        let (out, records) = open(&root, EarlierWork::Continue);
        assert_eq!(records, [written()]);
        assert_eq!(tree(&root), kept);
        assert!(out.keeps_work());
        let Record::Written(unit) = &records[0] else {
            unreachable!()
        };
        let file = KeptTable {
            name: unit.shards[0].path.clone(),
            bytes: 4,
            crc32c: unit.shards[0].crc32c,
        };
        out.check_kept(out.staged(), &file).unwrap();
        // A run that ends early for whatever reason leaves it as it found it.
        let _half = out.shard(Split::Val, 0).unwrap();
    }
    refused(
        &root,
        ErrorKind::Config,
        "keeps the work of an unfinished run",
    );
    let (out, records) = open(&root, EarlierWork::Discard);
    assert_eq!(records, []);
    assert_eq!(tree(&root), at_work(&[]));
    drop(out);
    assert_eq!(tree(&root), set(&[]));
}

#[test]
fn kept_files_that_changed_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    killed_run(&root, &[written()]);
    let (out, _) = open(&root, EarlierWork::Continue);
    let file = |name: &str, bytes, text: &[u8]| KeptTable {
        name: name.into(),
        bytes,
        crc32c: crc32c::crc32c(text),
    };
    for (file, text) in [
        (
            file("train/part-00000.parquet", 5, b"rows!"),
            "has 4 bytes, the journal says 5",
        ),
        (file("train/part-00000.parquet", 4, b"row!"), "has checksum"),
        (
            file("train/part-00001.parquet", 4, b"rows"),
            "cannot be read",
        ),
        (file("../lock", 0, b""), "cannot be a name"),
    ] {
        let error = out.check_kept(out.staged(), &file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Manifest);
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn a_commit_cut_short_anywhere_is_completed() {
    let place = tempfile::tempdir().unwrap();
    for moved in 0..=2 {
        let root = place.path().join(format!("out{moved}"));
        killed_run(&root, &[written(), Record::Committing]);
        fs::remove_file(staged(&root).join("val/.tmp-part-00000.parquet")).unwrap();
        fs::remove_dir(staged(&root).join("val")).unwrap();
        for name in ["fitted", "train"].into_iter().take(moved) {
            fs::rename(staged(&root).join(name), root.join(name)).unwrap();
        }
        assert!(matches!(
            OutputDir::open(&root, EarlierWork::Continue).unwrap(),
            Opened::Finished
        ));
        let expected = set(&[
            "_SUCCESS",
            "fitted",
            "fitted/c1.arrow",
            "train",
            "train/part-00000.parquet",
        ]);
        assert_eq!(tree(&root), expected, "{moved} moved");
    }
}

#[test]
fn a_clean_up_cut_short_after_the_journal_is_completed() {
    for left in [&["lock"][..], &[]] {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("out");
        OutputDir::create(&root).unwrap().commit().unwrap();
        fs::create_dir(root.join(".millpond")).unwrap();
        for name in left {
            fs::write(root.join(".millpond").join(name), b"").unwrap();
        }
        let opened = OutputDir::open(&root, EarlierWork::Continue).unwrap();
        assert!(matches!(opened, Opened::Finished), "{left:?}");
        assert_eq!(tree(&root), set(&["_SUCCESS"]));
    }
}

#[test]
fn a_damaged_journal_is_refused_until_told_to_start_over() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    killed_run(&root, &[written(), written()]);
    let journal = root.join(".millpond/journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[40] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let error = OutputDir::open(&root, EarlierWork::Continue).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest, "{error}");
    assert!(staged(&root).join("train/part-00000.parquet").exists());
    let (out, records) = open(&root, EarlierWork::Discard);
    assert_eq!(records, []);
    drop(out);
    assert_eq!(tree(&root), set(&[]));
}

#[test]
fn a_file_of_the_user_beside_kept_work_is_refused_and_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    killed_run(&root, &[written()]);
    fs::write(root.join("notes.txt"), b"mine").unwrap();
    refused(&root, ErrorKind::Config, "is not empty: it has 1 entry");
    assert!(staged(&root).join("train/part-00000.parquet").exists());
    assert!(root.join("notes.txt").exists());
}

#[cfg(unix)]
#[test]
fn sweeping_never_leaves_the_workshop() {
    use std::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let precious = place.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("data"), b"x").unwrap();
    let root = place.path().join("out");
    fs::create_dir_all(root.join(".millpond")).unwrap();
    symlink(&precious, root.join(".millpond/out")).unwrap();
    symlink(precious.join("data"), root.join(".millpond/stale")).unwrap();
    let out = OutputDir::create(&root).unwrap();
    assert_eq!(tree(&root), at_work(&[]));
    drop(out);
    assert!(precious.join("data").exists());

    let linked = place.path().join("linked");
    fs::create_dir(&linked).unwrap();
    symlink(&precious, linked.join(".millpond")).unwrap();
    refused(&linked, ErrorKind::Config, "is not a directory");
    assert_eq!(tree(&precious), set(&["data"]));
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
    symlink(&elsewhere, staged(&root).join("train")).unwrap();
    assert!(
        out.shard(Split::Train, 0)
            .unwrap_err()
            .to_string()
            .contains("is not a directory")
    );
    let victim = elsewhere.join("victim");
    symlink(&victim, staged(&root).join(".tmp-report.json")).unwrap();
    out.write_file("report.json", b"{}").unwrap_err();
    assert!(!victim.exists());
    assert_eq!(tree(&elsewhere), set(&[]));
}

#[cfg(unix)]
#[test]
fn the_workshop_is_private_and_the_result_is_not() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    let out = OutputDir::create(&root).unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(root.join(".millpond")), 0o700);
    assert_eq!(mode(root.join(".millpond/journal")), 0o600);
    out.shard(Split::Train, 0).unwrap().publish().unwrap();
    out.commit().unwrap();
    assert_eq!(mode(root.join("train")), mode(place.path().join("out")));
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
    assert_eq!(tree(place.path()), at_work(&[]));
}

#[test]
fn failure_behind_the_back_stops_the_commit() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("out");
    let out = OutputDir::create(&root).unwrap();
    let shard = out.shard(Split::Train, 0).unwrap();
    fs::remove_file(staged(&root).join("train/.tmp-part-00000.parquet")).unwrap();
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
