//! Rows that wait on disk are nobody else's business, whatever the umask and whoever chose the directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use crate::bench::Bench;
use crate::command::{millpond_after, spawn, text, wait};
use crate::rows::{ADDRESS, TABLE, orders, write_table};
use crate::served::Served;

/// Modes of everything below `directory` by path, links not followed, kept with those seen before.
fn note_modes(root: &Path, directory: &Path, seen: &mut BTreeMap<String, (bool, u32)>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(found) = fs::symlink_metadata(entry.path()) else {
            continue;
        };
        let name = text(entry.path().strip_prefix(root).unwrap()).to_owned();
        // What waits to become the result is in a private place, and has the modes of a result.
        if name == "out/.millpond/out" {
            continue;
        }
        seen.insert(name, (found.is_dir(), found.mode() & 0o7777));
        if found.is_dir() {
            note_modes(root, &entry.path(), seen);
        }
    }
}

/// Runs under a umask that takes nothing away, and checks the modes of all that is ever in the temporary directory and in the
/// place where the job keeps its rows. Each of `among` must be the beginning of a path seen.
fn everything_is_private(bench: &Bench, more: &[&str], among: &[&str]) {
    fs::write(bench.path("recipe.yaml"), &bench.recipe).unwrap();
    let mut command = millpond_after("umask 000");
    command.args([
        "run",
        text(&bench.path("recipe.yaml")),
        "--out",
        text(&bench.out()),
    ]);
    command
        .args(["--temp-dir", text(&bench.path("temp/new")), "--quiet"])
        .args(more);
    let mut child = spawn(&mut command);
    let mut seen = BTreeMap::new();
    while child.try_wait().unwrap().is_none() {
        note_modes(bench.place.path(), &bench.path("temp"), &mut seen);
        if bench.out().join(".millpond").exists() {
            note_modes(bench.place.path(), &bench.out(), &mut seen);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let ended = wait(child);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for (name, (is_directory, mode)) in &seen {
        if name.starts_with("temp/") || name.starts_with("out/.millpond") {
            let private = if *is_directory { 0o700 } else { 0o600 };
            assert_eq!(*mode, private, "{name} has mode {mode:o}");
        }
    }
    for name in among {
        assert!(
            seen.keys().any(|path| path.starts_with(name)),
            "no {name} among {:?}",
            seen.keys()
        );
    }
}

#[test]
fn rows_of_a_query_are_private_whatever_the_umask() {
    let bench = Bench::with_table(&orders(20_000, 3, 40));
    let query = format!(
        "source: {{query: \"SELECT * FROM rows ORDER BY note\", tables: {{rows: \"{}\"}}}}\n{}",
        bench.source, bench.recipe
    );
    everything_is_private(
        &Bench {
            recipe: query,
            ..bench
        },
        &["--memory", "128MiB"],
        &[
            "temp/new/millpond-spill-",
            "out/.millpond/journal",
            "out/.millpond/query/part-",
        ],
    );
}

#[test]
fn rows_of_a_paid_source_are_private_whatever_the_umask() {
    let bench = Bench::new();
    write_table(&bench.path("data").join(TABLE), &orders(12_000, 5, 2_000));
    let served = Served::start(&bench.path("data"));
    everything_is_private(
        &bench,
        &[
            "--source",
            ADDRESS,
            "--emulator",
            &served.url,
            "--slots",
            "1",
        ],
        &[
            "temp/new/millpond-spill-",
            "out/.millpond/lock",
            "out/.millpond/rows/",
        ],
    );
}

#[test]
fn a_temporary_directory_that_is_a_link() {
    let bench = Bench::new();
    let real = bench.path("elsewhere");
    fs::rename(bench.path("temp"), &real).unwrap();
    symlink(&real, bench.path("temp")).unwrap();
    bench.refuses(7, &["/temp", "symbolic link", text(&real)]);
    // One that leads nowhere is not followed to make something there.
    fs::remove_file(bench.path("temp")).unwrap();
    symlink(bench.path("nowhere"), bench.path("temp")).unwrap();
    let ended = bench.run();
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    assert!(ended.stderr.contains("/temp"), "{}", ended.stderr);
    assert!(!bench.path("nowhere").exists() && !bench.out().exists());
}

#[test]
fn a_temporary_directory_of_somebody_else() {
    let bench = Bench::new();
    if std::os::unix::fs::chown(bench.path("temp"), Some(4242), None).is_err() {
        eprintln!("skipped: only root can make a directory that belongs to somebody else");
        return;
    }
    bench.refuses(7, &["/temp", "owned by user 4242"]);
}
