//! Each single file operation of a run fails, or is the last one before a kill: the error is the listed one, nothing
//! unfinished stays, and the same command goes on to the same bytes.
//!
//! The operations are made to fail underneath the built command, by a library that stands before the C library
//! (`tests/harness/failing_files.c`), so nothing in the product knows of it. A slice of the operations is played here;
//! `MILLPOND_EVERY_OPERATION=1 cargo test --release -p millpond-cli --test integration every_file_operation` plays them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::Bench;
use crate::command::{Ended, spawn, text, wait};
use crate::rows::{ADDRESS, TABLE, orders, write_table};
use crate::served::Served;
use crate::tree::{assert_same, results, tree};

/// Operations of each kind of failure that are played when nothing else is asked for.
const SLICE: usize = 8;

type Tree = BTreeMap<String, Vec<u8>>;

/// A bench whose file operations are watched.
struct Watched {
    bench: Bench,
    library: PathBuf,
    clean: Tree,
    /// Every operation of an undisturbed run, as `open /path`.
    operations: Vec<String>,
}

impl Watched {
    /// Nothing where there is no C compiler.
    fn try_new(bench: Bench) -> Option<Self> {
        let library = bench.path("failing_files.so");
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/harness/failing_files.c"
        );
        let built = Command::new("cc")
            .args([
                "-O1",
                "-shared",
                "-fPIC",
                "-o",
                text(&library),
                source,
                "-ldl",
            ])
            .status();
        if !built.is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no C compiler for the library that makes files fail");
            return None;
        }
        let log = bench.path("log");
        let mut watched = Self {
            bench,
            library,
            clean: Tree::new(),
            operations: Vec::new(),
        };
        let ended = watched.run(&[("FAIL_LOG", text(&log))]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        watched.clean = watched.take_results();
        let lines = fs::read_to_string(&log).unwrap();
        watched.operations = lines
            .lines()
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect();
        Some(watched)
    }

    fn run(&self, variables: &[(&str, &str)]) -> Ended {
        let below = format!(
            "{}:{}",
            self.bench.out().display(),
            self.bench.path("temp").display()
        );
        let mut command = self.bench.command();
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAIL_BELOW", below)
            .envs(variables.iter().copied());
        wait(spawn(&mut command))
    }

    fn take_results(&self) -> Tree {
        let found = results(&self.bench.out());
        fs::remove_dir_all(self.bench.out()).unwrap();
        found
    }

    /// Fails operation `at` in this way, looks at what is left, and goes on. `codes` are the exit codes allowed.
    fn fail(&self, at: usize, how: &str, codes: &[Option<i32>]) -> Option<i32> {
        let log = self.bench.path("log");
        let _ = fs::remove_file(&log);
        let ended = self.run(&[
            ("FAIL_AT", &at.to_string()),
            ("FAIL_HOW", how),
            ("FAIL_LOG", text(&log)),
        ]);
        let lines = fs::read_to_string(&log).unwrap();
        let operation = lines
            .lines()
            .find(|line| line.starts_with(&format!("{at} ")))
            .unwrap_or("none");
        let what = format!("{how} at operation {operation}");
        assert!(
            codes.contains(&ended.code),
            "{what}: {:?} {}",
            ended.code,
            ended.stderr
        );
        assert!(
            !ended.stderr.contains("panicked"),
            "{what}: {}",
            ended.stderr
        );
        // What cannot be removed cannot be cleared away either: the next run does it.
        let removal = operation.contains(" remove ");
        if ended.code.is_some() && !removal {
            self.nothing_temporary(&what);
            let left = if self.bench.out().exists() {
                tree(&self.bench.out())
            } else {
                Tree::new()
            };
            let half: Vec<_> = left.keys().filter(|name| name.contains(".tmp-")).collect();
            assert!(half.is_empty(), "{what}: {half:?} is left");
        }
        let finished = self.bench.out().join("_SUCCESS").exists()
            && !self.bench.out().join(".millpond").exists();
        if finished {
            // Killed while clearing up after itself: the next run in this temporary directory does it.
            for name in tree(&self.bench.path("temp")).keys() {
                assert!(
                    ended.code.is_none() && name.starts_with("millpond-spill-"),
                    "{what}: {name} is left"
                );
            }
            fs::remove_dir_all(self.bench.path("temp")).unwrap();
            fs::create_dir(self.bench.path("temp")).unwrap();
        } else {
            let again = self.run(&[]);
            assert_eq!(again.code, Some(0), "again after {what}: {}", again.stderr);
        }
        assert_same(&self.clean, &self.take_results(), &what);
        if !finished {
            self.nothing_temporary(&format!("again after {what}"));
        }
        ended.code
    }

    /// Kills the run at operation `at` and takes away what a disk need not have kept: the second half of files that were
    /// written to after they were last made durable, and new names in directories that were not made durable since.
    fn cut_power(&self, at: usize) {
        let log = self.bench.path("log");
        let _ = fs::remove_file(&log);
        self.run(&[
            ("FAIL_AT", &at.to_string()),
            ("FAIL_HOW", "KILL"),
            ("FAIL_LOG", text(&log)),
        ]);
        let lines = fs::read_to_string(&log).unwrap();
        let mut open: BTreeSet<PathBuf> = BTreeSet::new();
        let mut renames: Vec<(PathBuf, PathBuf)> = Vec::new();
        let mut operation = "none";
        // The last one was never done.
        let done = lines.lines().count().saturating_sub(1);
        for (number, line) in lines.lines().enumerate() {
            operation = line;
            let (_, rest) = line.split_once(' ').unwrap();
            let (name, path) = rest.split_once(' ').unwrap();
            match name {
                _ if number == done => {}
                "write" => {
                    open.insert(path.into());
                }
                "sync" => {
                    open.remove(Path::new(path));
                    renames.retain(|(_, to)| to.parent() != Some(Path::new(path)));
                }
                "rename" => {
                    let (from, to) = path.split_once(" -> ").unwrap();
                    if open.remove(Path::new(from)) {
                        open.insert(to.into());
                    }
                    renames.push((from.into(), to.into()));
                }
                _ => {}
            }
        }
        for path in &open {
            if let Ok(file) = fs::File::options().write(true).open(path) {
                let bytes = file.metadata().unwrap().len();
                file.set_len(bytes / 2).unwrap();
            }
        }
        for (from, to) in renames.iter().rev() {
            let _ = fs::rename(to, from);
        }
        let what = format!(
            "a power cut at operation {operation}, with {} files and {} names lost",
            open.len(),
            renames.len()
        );
        let finished = self.bench.out().join("_SUCCESS").exists()
            && !self.bench.out().join(".millpond").exists();
        if !finished {
            let again = self.run(&[]);
            assert_eq!(again.code, Some(0), "again after {what}: {}", again.stderr);
        }
        assert_same(&self.clean, &self.take_results(), &what);
    }

    fn nothing_temporary(&self, what: &str) {
        let left = tree(&self.bench.path("temp"));
        assert!(left.is_empty(), "{what}: {:?} is left", left.keys());
    }

    /// The operations to play: all of them, or a slice spread over the run that begins at another one for each `offset`.
    fn chosen(&self, offset: usize) -> Vec<usize> {
        let all = self.operations.len();
        let every = if std::env::var_os("MILLPOND_EVERY_OPERATION").is_some() {
            1
        } else {
            all.div_ceil(SLICE)
        };
        (1..=all).skip(offset % every).step_by(every).collect()
    }

    fn fail_them_all(&self) {
        let listed = |codes: &[i32]| codes.iter().copied().map(Some).collect::<Vec<_>>();
        let mut refused = 0;
        for at in self.chosen(0) {
            refused += usize::from(self.fail(at, "ENOSPC", &listed(&[0, 7])) == Some(7));
        }
        assert!(
            refused > SLICE / 2,
            "a full disk was noticed {refused} times only"
        );
        let mut refused = 0;
        for at in self.chosen(self.operations.len() / SLICE / 3) {
            // Written: disk or sink; read back: the rows or the journal are not what they were.
            refused += usize::from(self.fail(at, "EIO", &listed(&[0, 7, 8, 10, 11])) != Some(0));
        }
        assert!(refused > 0, "a failing disk was never noticed");
        for at in self.chosen(self.operations.len() / SLICE * 2 / 3) {
            self.fail(at, "KILL", &[None, Some(0)]);
        }
        for at in self.chosen(self.operations.len() / SLICE / 2) {
            self.cut_power(at);
        }
        // These are no failures: whoever writes and reads files has to go on.
        self.fail(1, "EINTR", &[Some(0)]);
        self.fail(1, "SHORT", &[Some(0)]);
    }
}

#[test]
fn of_a_table_of_the_service() {
    let mut bench = Bench::new();
    write_table(&bench.path("data").join(TABLE), &orders(900, 81, 20));
    let served = Served::start(&bench.path("data"));
    bench.recipe = format!(
        "source: {{table: \"{ADDRESS}\", bigquery: {{snapshot_time: \"2026-03-01T11:00:00Z\"}}}}\n{}",
        bench.recipe
    );
    bench.source.clear();
    let Some(watched) = Watched::try_new(bench.more(&["--emulator", &served.url, "--slots", "1"]))
    else {
        return;
    };
    let names = |part: &str| {
        watched
            .operations
            .iter()
            .any(|operation| operation.contains(part))
    };
    for part in [
        "write",
        "sync",
        "rename",
        "mkdir",
        ".millpond/journal",
        ".millpond/rows",
        "train/",
        "_SUCCESS",
    ] {
        assert!(names(part), "no {part} among the operations");
    }
    watched.fail_them_all();
}

#[test]
fn of_a_query_over_files() {
    let mut bench = Bench::new();
    bench.recipe = format!(
        "source: {{query: \"SELECT * FROM rows\", tables: {{rows: \"{}\"}}}}\n{}",
        bench.source, bench.recipe
    );
    bench.source.clear();
    if let Some(watched) = Watched::try_new(bench.more(&["--slots", "1"])) {
        watched.fail_them_all();
    }
}
