//! The laws of the house, checked on the tree. Each test names the law; `CONTRIBUTING.md` says why it is one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const CRATES: [&str; 7] = [
    "texts", "features", "spill", "engine", "emulator", "cli", "benches",
];
const LIBRARIES: [&str; 5] = ["texts", "features", "spill", "engine", "emulator"];

/// One Rust file of a crate.
struct Source {
    /// Relative to the workspace, with forward slashes.
    path: String,
    text: String,
    /// Lines without comments and without the tests at its end; empty for a file of tests.
    code: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// All Rust files below `directory`.
fn sources(directory: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join(directory), &mut found);
    assert!(!found.is_empty(), "{directory} holds no Rust file");
    found
}

/// The files of all crates.
fn all() -> Vec<Source> {
    CRATES
        .iter()
        .flat_map(|name| sources(&format!("{name}/src")))
        .collect()
}

fn walk(directory: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path
                .strip_prefix(root())
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            let tests = path.ends_with("/tests.rs") || path.contains("/tests/");
            let code = if tests { Vec::new() } else { code(&text) };
            found.push(Source { path, text, code });
        }
    }
}

/// The line at which the tests of a file begin: a module with a body, for tests alone.
fn tests_begin(lines: &[&str]) -> usize {
    let attribute = |i: usize| {
        lines[i].trim() == "#[cfg(test)]"
            && lines
                .get(i + 1)
                .is_some_and(|l| l.trim_end().ends_with('{') && l.contains("mod "))
    };
    (0..lines.len())
        .find(|i| attribute(*i))
        .unwrap_or(lines.len())
}

fn code(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let body = &lines[..tests_begin(&lines)];
    body.iter()
        .filter(|l| !l.trim_start().starts_with("//"))
        .map(|l| l.split(" // ").next().unwrap_or(l).to_string())
        .collect()
}

impl Source {
    /// Lines of code that hold one of `words` as a whole word at its start.
    fn naming<'a>(&'a self, words: &'a [&str]) -> impl Iterator<Item = String> + 'a {
        self.code
            .iter()
            .filter(move |line| words.iter().any(|word| names(line, word)))
            .map(|line| format!("{}: {}", self.path, line.trim()))
    }
}

/// Whether `word` stands in `line`; a word that begins with a letter only where a word begins.
fn names(line: &str, word: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    let inner = !word.starts_with(letter);
    line.match_indices(word)
        .any(|(at, _)| inner || !line[..at].ends_with(letter))
}

fn none(found: impl IntoIterator<Item = String>, law: &str) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "{law}:\n{}", found.join("\n"));
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert!(names("use tokio::sync;", "tokio"));
    assert!(names("x.await", ".await") && !names("my_tokio", "tokio"));
    let text = "//! Doc.\nuse a; // println!\n/// unwrap\nfn f() {}\n#[cfg(test)]\nmod tests {\n  println!()\n}\n";
    assert_eq!(code(text), ["use a;", "fn f() {}"]);
    assert!(all().len() > 100);
    assert!(
        sources("engine/src")
            .iter()
            .flat_map(|s| s.naming(&["datafusion::"]).collect::<Vec<_>>())
            .count()
            > 0
    );
}

#[test]
fn law_1_features_and_spill_know_their_place() {
    let outside = [
        "std::fs",
        "std::io",
        "std::net",
        "std::env",
        "std::process",
        "File::",
        "tokio",
        "futures",
        "object_store",
        "parquet",
        "reqwest",
        "async fn",
        "async move",
        ".await",
        "google_cloud",
        "googleapis",
        "tonic",
        "millpond_spill",
        "millpond::",
        "millpond_emulator",
    ];
    none(
        sources("features/src")
            .iter()
            .flat_map(|s| s.naming(&outside).collect::<Vec<_>>()),
        "features has no I/O, no async, no BigQuery and no spill",
    );
    let named: BTreeSet<String> = sources("features/src")
        .iter()
        .filter(|s| s.naming(&["datafusion"]).next().is_some())
        .map(|s| s.path.clone())
        .collect();
    assert!(
        named.len() <= 1,
        "features names DataFusion in at most one file: {named:?}"
    );
    let spill = sources("spill/src");
    let named = spill
        .iter()
        .filter(|s| s.path != "spill/src/budget.rs")
        .flat_map(|s| s.naming(&["datafusion"]).collect::<Vec<_>>());
    none(named, "spill names DataFusion in its budget only");
    let named = spill.iter().flat_map(|s| {
        s.naming(&[
            "millpond_features",
            "millpond::",
            "google_cloud",
            "googleapis",
        ])
        .collect::<Vec<_>>()
    });
    none(named, "spill names neither features nor BigQuery");
    for (name, strangers) in [
        ("texts", ["spill", "features", "datafusion", "tokio"]),
        ("features", ["spill", "datafusion", "tokio", "google"]),
        ("spill", ["features", "tonic", "axum", "google"]),
    ] {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest
            .split("[dev-dependencies]")
            .next()
            .unwrap()
            .split("[dependencies]")
            .nth(1)
            .unwrap();
        for stranger in strangers {
            assert!(
                !dependencies.contains(stranger),
                "{name}/Cargo.toml depends on {stranger}"
            );
        }
    }
}

#[test]
fn law_2_plan_types_stay_under_plan() {
    let plan_types = [
        "datafusion::physical",
        "datafusion::logical",
        "datafusion::datasource",
        "datafusion::catalog",
        "datafusion::execution",
        "datafusion::prelude",
        "datafusion::sql",
        "datafusion::optimizer",
        "datafusion::common::tree_node",
        "ExecutionPlan",
        "LogicalPlan",
        "TableProvider",
        "SessionContext",
        "SessionState",
        "PhysicalExpr",
        "SendableRecordBatchStream",
    ];
    let elsewhere = all()
        .into_iter()
        .filter(|s| {
            // The emulator is a service of its own: it runs row restrictions and queries with DataFusion, in one place each, and both walk
            // over parsed SQL in a third.
            s.path != "emulator/src/row_restriction.rs"
                && s.path != "emulator/src/syntax_walk.rs"
                && s.path != "emulator/src/query.rs"
                && !s.path.starts_with("emulator/src/query/")
                && !s.path.starts_with("engine/src/plan/")
                && s.path != "engine/src/plan.rs"
                && s.path != "spill/src/budget.rs"
        })
        .flat_map(|s| s.naming(&plan_types).collect::<Vec<_>>());
    none(
        elsewhere,
        "DataFusion plan types appear only under engine/src/plan",
    );
    let face = fs::read_to_string(root().join("engine/src/lib.rs")).unwrap();
    assert!(
        !face.contains("pub mod") && !face.contains("pub use plan"),
        "the crate root hands out plan types"
    );
}

#[test]
fn law_3_wire_types_stay_with_their_source() {
    let client = ["google_cloud", "googleapis", "gaxi"];
    let at_home = |path: &str| {
        path.starts_with("engine/src/source/bigquery")
            || path.starts_with("engine/src/sink/bigquery")
            || path.starts_with("emulator/")
    };
    none(
        all()
            .into_iter()
            .filter(|s| !at_home(&s.path))
            .flat_map(|s| s.naming(&client).collect::<Vec<_>>()),
        "Google client types appear only under the BigQuery source and sink",
    );
    let server = [
        "tonic::transport",
        "tonic::service::Routes",
        "big_query_read_server",
        "BigQueryReadServer",
        "axum",
        "TcpListener",
        "hyper::server",
    ];
    none(
        all()
            .into_iter()
            .filter(|s| !s.path.starts_with("emulator/"))
            .flat_map(|s| s.naming(&server).collect::<Vec<_>>()),
        "servers are in the emulator only",
    );
    let manifest = fs::read_to_string(root().join("engine/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
    assert!(
        !dependencies.contains("millpond-emulator"),
        "the engine depends on the emulator"
    );
}

#[test]
fn law_4_files_are_short() {
    let mut long = Vec::new();
    for source in all() {
        let lines: Vec<&str> = source.text.lines().collect();
        let begin = tests_begin(&lines);
        let is_tests = source.code.is_empty();
        if !is_tests && begin > 600 {
            long.push(format!("{}: {begin} lines without its tests", source.path));
        }
        // A few lines of tests are not worth a file of their own, however short the file they stand in.
        let tests = lines.len() - begin;
        if !is_tests && tests > 100 && tests * 3 > lines.len() {
            long.push(format!(
                "{}: {tests} of {} lines are tests; move them to a file",
                source.path,
                lines.len()
            ));
        }
    }
    none(
        long,
        "no file is longer than 600 lines, and long tests have their own",
    );
}

#[test]
fn law_5_names_say_what_is_in_a_file() {
    let banned = [
        "utils", "util", "helpers", "helper", "common", "misc", "types", "traits",
    ];
    let mut wrong = Vec::new();
    let mut names: Vec<String> = all().into_iter().map(|s| s.path).collect();
    for entry in fs::read_dir(root().join("tests/integration")).unwrap() {
        names.push(entry.unwrap().path().to_str().unwrap().to_owned());
    }
    for path in names {
        let stem = Path::new(&path).file_stem().unwrap().to_str().unwrap();
        let parts = path.split('/').any(|part| banned.contains(&part));
        if stem == "mod" || banned.contains(&stem) || parts {
            wrong.push(path);
        }
    }
    none(wrong, "no mod.rs, and no file that could hold anything");
}

#[test]
fn law_6_no_crate_has_unsafe_code() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    for lint in [
        "missing_docs",
        "unwrap_used",
        "expect_used",
        "panic",
        "todo",
        "unimplemented",
        "dbg_macro",
    ] {
        assert!(
            workspace.contains(&format!("{lint} = \"deny\"")),
            "the lint table does not deny {lint}"
        );
    }
    for name in CRATES {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let table = manifest
            .split("[lints]")
            .nth(1)
            .unwrap_or_default()
            .trim_start();
        assert!(
            table.starts_with("workspace = true"),
            "{name} does not inherit the lint table"
        );
    }
    none(
        all().iter().flat_map(|s| {
            s.naming(&["unsafe {", "unsafe fn", "unsafe impl"])
                .collect::<Vec<_>>()
        }),
        "no unsafe code",
    );
    let members = Regions::of(&workspace, "members");
    assert_eq!(
        members,
        CRATES.map(str::to_owned),
        "a crate is not checked here"
    );
}

/// Lists of the workspace manifest.
struct Regions;

impl Regions {
    fn of(manifest: &str, key: &str) -> Vec<String> {
        let line = manifest
            .lines()
            .find(|l| l.starts_with(&format!("{key} =")))
            .unwrap();
        line.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn libraries_wait_for_nothing_and_print_nothing() {
    let banned = [
        "todo!",
        "unimplemented!",
        "dbg!",
        "unbounded_channel",
        "mpsc::unbounded",
        "tokio::spawn(",
        "thread_rng",
        "rand::rng()",
        "from_entropy",
    ];
    none(
        all()
            .iter()
            .flat_map(|s| s.naming(&banned).collect::<Vec<_>>()),
        "unfinished code, chance and unbounded queues",
    );
    let prints = [
        "println!",
        "eprintln!",
        "print!",
        "eprint!",
        "std::process::exit",
    ];
    let libraries = LIBRARIES
        .iter()
        .flat_map(|name| sources(&format!("{name}/src")));
    none(
        libraries.flat_map(|s| s.naming(&prints).collect::<Vec<_>>()),
        "libraries do not print",
    );
    // The clock is a parameter: the machine's own enters in one file of the emulator and one of the engine.
    let entries = [
        "emulator/src/clock.rs",
        "engine/src/source/bigquery/clock.rs",
    ];
    let clocks = all()
        .into_iter()
        .filter(|s| !entries.contains(&s.path.as_str()));
    none(
        clocks.flat_map(|s| {
            s.naming(&["SystemTime::now", "Utc::now", "Local::now"])
                .collect::<Vec<_>>()
        }),
        "time is a parameter",
    );
}

#[test]
fn every_module_says_what_it_owns() {
    let silent = all()
        .into_iter()
        .filter(|s| !s.path.contains("/tests/") && !s.path.ends_with("tests.rs"));
    none(
        silent
            .filter(|s| !s.text.starts_with("//! "))
            .map(|s| s.path),
        "every module starts with its purpose",
    );
}

#[test]
fn nothing_is_left_for_later() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("HA", "CK"),
    ];
    let marks = all().into_iter().flat_map(|s| {
        s.text
            .lines()
            .filter(|l| words.iter().any(|w| names(l, w)))
            .map(|l| format!("{}: {}", s.path, l.trim()))
            .collect::<Vec<_>>()
    });
    none(marks, "notes for later are not code");
}

#[test]
fn one_version_of_what_must_be_one() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let host = host(&cargo);
    // For one platform: a crate that a configuration leaves out is in the lock file but is never compiled.
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--locked",
            "--filter-platform",
            &host,
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| (n["id"].as_str().unwrap(), n))
        .collect();
    let mut open: Vec<&str> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m.as_str().unwrap())
        .collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            open.extend(
                nodes[id]["deps"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|d| d["pkg"].as_str().unwrap()),
            );
        }
    }
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        if reached.contains(package["id"].as_str().unwrap()) {
            versions
                .entry(package["name"].as_str().unwrap())
                .or_default()
                .insert(package["version"].as_str().unwrap());
        }
    }
    for name in [
        "arrow",
        "arrow-array",
        "arrow-buffer",
        "arrow-data",
        "arrow-ipc",
        "arrow-schema",
        "datafusion",
        "parquet",
        "prost",
        "tonic",
    ] {
        let found = versions.get(name).cloned().unwrap_or_default();
        assert_eq!(
            found.len(),
            1,
            "{name} is built in these versions: {found:?}"
        );
    }
}

/// The platform that this machine builds for.
fn host(cargo: &std::ffi::OsStr) -> String {
    let output = Command::new(cargo)
        .args(["version", "--verbose"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .find_map(|l| l.strip_prefix("host: "))
        .unwrap()
        .to_owned()
}
