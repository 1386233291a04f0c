//! `docs/faults.md` tells the truth: every case is in it, with tests, and every test named in it exists.

use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Name and file of every test linked to in a line, as in [`name`](../path/to/file.rs).
fn tests_in(line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for piece in line.split("[`").skip(1) {
        if let Some((name, rest)) = piece.split_once("`](../")
            && let Some((path, _)) = rest.split_once(')')
        {
            found.push((name.to_owned(), path.to_owned()));
        }
    }
    found
}

/// Whether the file has a test of this name: a function with an attribute of a test before it, or within `proptest!`.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let heads = [format!("fn {name}("), format!("async fn {name}(")];
    lines.iter().enumerate().any(|(at, line)| {
        let is_head = heads.iter().any(|head| line.starts_with(head.as_str()));
        let attributes = lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("#["));
        is_head && attributes.into_iter().any(|line| line.contains("test"))
    })
}

#[test]
fn every_test_of_the_table_exists() {
    let table = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let mut missing = Vec::new();
    let mut named = 0;
    for (name, path) in table.lines().flat_map(tests_in) {
        named += 1;
        let text = fs::read_to_string(root().join(&path)).unwrap_or_default();
        if !has_test(&text, &name) {
            missing.push(format!("{path}: {name}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(named > 80, "only {named} tests are named");
    assert!(!has_test(
        "fn a_helper() {}\n#[test]\nfn other() {}",
        "a_helper"
    ));
}

#[test]
fn every_case_is_in_the_table_and_has_a_test() {
    let table = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    for number in 1..=48 {
        let lines: Vec<&str> = table
            .lines()
            .filter(|line| line.starts_with(&format!("| F{number} |")))
            .collect();
        assert_eq!(lines.len(), 1, "F{number} is in {} lines", lines.len());
        assert!(
            !tests_in(lines[0]).is_empty(),
            "F{number} has no test: {}",
            lines[0]
        );
    }
}
