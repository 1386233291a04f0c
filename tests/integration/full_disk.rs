//! No room, no descriptors, no place to write: an error that names the file, nothing left behind, and a rerun that works.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::bench::Bench;
use crate::command::{Ended, millpond_after, spawn, text, wait};
use crate::rows::orders;
use crate::tree::{assert_same, results, tree};

type Tree = BTreeMap<String, Vec<u8>>;

/// A bench whose rows come from a query, so that rows, shards and artefacts are all written to disk.
fn with_query() -> Bench {
    let bench = Bench::new();
    let recipe = format!(
        "source: {{query: \"SELECT * FROM rows\", tables: {{rows: \"{}\"}}}}\n{}",
        bench.source, bench.recipe
    );
    Bench { recipe, ..bench }
}

/// A bench whose shards are longer than all else.
fn with_files() -> Bench {
    let bench = Bench::with_table(&orders(600, 1, 3_000));
    let recipe = format!("source: \"{}\"\n{}", bench.source, bench.recipe);
    Bench { recipe, ..bench }
}

/// Runs the recipe with its own source after `prelude`.
fn run_after(bench: &Bench, prelude: &str) -> Ended {
    fs::write(bench.path("recipe.yaml"), &bench.recipe).unwrap();
    let mut command = millpond_after(prelude);
    command.args([
        "run",
        text(&bench.path("recipe.yaml")),
        "--out",
        text(&bench.out()),
    ]);
    command.args([
        "--temp-dir",
        text(&bench.path("temp")),
        "--quiet",
        "--slots",
        "2",
    ]);
    wait(spawn(&mut command))
}

/// What a failed run must look like: one line, no unfinished file, and nothing that looks like a result.
fn failed_cleanly(bench: &Bench, ended: &Ended, what: &str) {
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert!(
        lines.len() == 1 && lines[0].starts_with("error: "),
        "{what}: {}",
        ended.stderr
    );
    let temporary = tree(&bench.path("temp"));
    assert!(temporary.is_empty(), "{what}: {:?}", temporary.keys());
    if bench.out().exists() {
        let left = tree(&bench.out());
        let wrong: Vec<_> = left
            .keys()
            .filter(|name| name.contains(".tmp-") || *name == "_SUCCESS")
            .collect();
        assert!(wrong.is_empty(), "{what}: {wrong:?}");
    }
}

/// Runs on the same output again, now that there is room, and takes the result away.
fn goes_on(bench: &Bench, clean: &Tree, what: &str) {
    let ended = run_after(bench, "");
    assert_eq!(ended.code, Some(0), "again after {what}: {}", ended.stderr);
    assert_same(clean, &results(&bench.out()), what);
    fs::remove_dir_all(bench.out()).unwrap();
}

/// A limit on the length of files strikes where a full disk would: at the query's rows, at shards, at artefacts.
#[test]
fn no_room_at_any_file() {
    let mut struck = BTreeSet::new();
    for bench in [with_query(), with_files()] {
        let ended = run_after(&bench, "");
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let clean = results(&bench.out());
        fs::remove_dir_all(bench.out()).unwrap();
        // In units of 512 bytes: from nothing at all to the longest file.
        for blocks in [0, 1, 4, 8, 16, 24, 32, 40, 64, 128, 192, 256, 512, 2_048] {
            let what = format!("files of {blocks} blocks");
            let ended = run_after(&bench, &format!("trap '' XFSZ; ulimit -f {blocks}"));
            if ended.code == Some(0) {
                assert_same(&clean, &results(&bench.out()), &what);
                fs::remove_dir_all(bench.out()).unwrap();
                continue;
            }
            assert_eq!(ended.code, Some(7), "{what}: {}", ended.stderr);
            failed_cleanly(&bench, &ended, &what);
            struck.insert(place_told(&ended));
            goes_on(&bench, &clean, &what);
        }
    }
    for place in PLACES {
        assert!(struck.contains(place), "{place} is not among {struck:?}");
    }
}

/// What a run writes, in the order in which it first does.
const PLACES: [&str; 4] = [
    ".millpond/journal",
    ".millpond/query",
    "train/part-",
    "fitted.json",
];

/// Which of the places an error names.
fn place_told(ended: &Ended) -> &'static str {
    let named = PLACES
        .into_iter()
        .find(|place| ended.stderr.contains(place));
    named.unwrap_or_else(|| panic!("no place is named in {}", ended.stderr))
}

#[test]
fn too_few_descriptors_are_an_error_and_no_crash() {
    let bench = with_query();
    let ended = run_after(&bench, "");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let clean = results(&bench.out());
    fs::remove_dir_all(bench.out()).unwrap();
    let mut failed = 0;
    for most in [9, 10, 11, 12, 13, 14, 16, 18, 20, 24, 32] {
        let ended = run_after(&bench, &format!("ulimit -n {most}"));
        assert!(
            !ended.stderr.contains("panicked"),
            "{most}: {}",
            ended.stderr
        );
        if ended.code == Some(0) {
            fs::remove_dir_all(bench.out()).unwrap();
            continue;
        }
        assert!(
            matches!(ended.code, Some(4 | 5 | 7 | 8 | 11)),
            "{most}: {:?} {}",
            ended.code,
            ended.stderr
        );
        failed += 1;
        failed_cleanly(&bench, &ended, &format!("{most} descriptors"));
        goes_on(&bench, &clean, &format!("{most} descriptors"));
    }
    assert!(failed > 0, "no limit was too low");
}

#[test]
fn a_place_that_takes_no_files() {
    let bench = Bench::new();
    let closed = bench.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    // Root writes anywhere but to the file systems that are no disks.
    let root = fs::metadata(&closed).unwrap().uid() == 0;
    let place = if root {
        "/proc/millpond".into()
    } else {
        closed
    };
    for (out, temp) in [
        (place.join("out"), bench.path("temp")),
        (bench.out(), place.join("temp")),
    ] {
        let mut command = crate::command::millpond();
        fs::write(bench.path("recipe.yaml"), &bench.recipe).unwrap();
        command.args([
            "run",
            text(&bench.path("recipe.yaml")),
            "--source",
            &bench.source,
        ]);
        command.args(["--out", text(&out), "--temp-dir", text(&temp), "--quiet"]);
        let ended = wait(spawn(&mut command));
        let expected = if out.starts_with(&place) { 11 } else { 7 };
        assert_eq!(ended.code, Some(expected), "{}", ended.stderr);
        assert!(ended.stderr.contains(text(&place)), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(!bench.out().exists());
    }
}

/// Files are made beside the place they are renamed to, so another file system for temporary rows is no matter.
#[test]
fn temporary_rows_on_another_file_system() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: there is no /dev/shm to write to");
        return;
    };
    let bench = with_query();
    let device = |path| fs::metadata(path).unwrap().dev();
    if device(elsewhere.path()) == device(bench.place.path()) {
        eprintln!("skipped: /dev/shm is the file system of everything else here");
        return;
    }
    fs::remove_dir(bench.path("temp")).unwrap();
    fs::write(bench.path("recipe.yaml"), &bench.recipe).unwrap();
    let mut command = crate::command::millpond();
    command.args([
        "run",
        text(&bench.path("recipe.yaml")),
        "--out",
        text(&bench.out()),
    ]);
    command.args(["--temp-dir", text(elsewhere.path()), "--quiet"]);
    let ended = wait(spawn(&mut command));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(bench.out().join("_SUCCESS").is_file());
    assert!(tree(elsewhere.path()).is_empty());
}
