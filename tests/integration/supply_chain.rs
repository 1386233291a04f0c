//! What is built in: licences, sources and versions follow `deny.toml`, with or without `cargo deny` at hand.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn deny_file() -> String {
    fs::read_to_string(root().join("deny.toml")).unwrap()
}

/// The texts in quotes between the line that begins with `key` and the bracket that closes its list.
fn list(file: &str, key: &str) -> Vec<String> {
    let start = file
        .lines()
        .position(|line| line.starts_with(key))
        .unwrap_or_else(|| panic!("no {key}"));
    let mut found = Vec::new();
    for line in file.lines().skip(start) {
        found.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
        if line.trim_end().ends_with(']') {
            break;
        }
    }
    found
}

/// Name, version, licence and source of every package in the lock file that is not ours.
fn packages() -> Vec<(String, String, String, String)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let foreign = packages.iter().filter(|p| !p["source"].is_null());
    foreign
        .map(|p| {
            (
                text(&p["name"]),
                text(&p["version"]),
                text(&p["license"]),
                text(&p["source"]),
            )
        })
        .collect()
}

/// Whether a licence expression can be met with what is allowed. `OR` binds less than `AND`; `/` is an old `OR`.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut place = 0;
    let met = any_of(&words, &mut place, allowed);
    met && place == words.len()
}

fn any_of(words: &[&str], place: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, place, allowed);
    while words.get(*place) == Some(&"OR") {
        *place += 1;
        met |= all_of(words, place, allowed);
    }
    met
}

fn all_of(words: &[&str], place: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, place, allowed);
    while words.get(*place) == Some(&"AND") {
        *place += 1;
        met &= one(words, place, allowed);
    }
    met
}

fn one(words: &[&str], place: &mut usize, allowed: &BTreeSet<String>) -> bool {
    if words.get(*place) == Some(&"(") {
        *place += 1;
        let met = any_of(words, place, allowed);
        *place += 1;
        return met;
    }
    let mut name = words.get(*place).copied().unwrap_or_default().to_owned();
    *place += 1;
    if words.get(*place) == Some(&"WITH") {
        name = format!(
            "{name} WITH {}",
            words.get(*place + 1).copied().unwrap_or_default()
        );
        *place += 2;
    }
    allowed.contains(&name)
}

#[test]
fn licences_are_allowed_ones() {
    let allowed: BTreeSet<String> = list(&deny_file(), "allow = [").into_iter().collect();
    assert!(allowed.len() >= 8, "{allowed:?}");
    let wrong: Vec<_> = packages()
        .into_iter()
        .filter(|(_, _, licence, _)| !is_met(licence, &allowed))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");

    let met = |expression| {
        is_met(
            expression,
            &["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]
                .map(str::to_owned)
                .into(),
        )
    };
    for fine in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "(GPL-3.0 OR MIT) AND ISC",
        "Apache-2.0 WITH LLVM-exception OR X",
    ] {
        assert!(met(fine), "{fine}");
    }
    for wrong in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC) AND GPL-3.0",
        "Apache-2.0",
    ] {
        assert!(!met(wrong), "{wrong}");
    }
}

#[test]
fn everything_comes_from_the_registry() {
    let known = list(&deny_file(), "allow-registry");
    assert_eq!(known.len(), 1);
    let wrong: Vec<_> = packages()
        .into_iter()
        .filter(|(_, _, _, source)| *source != format!("registry+{}", known[0]))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn versions_with_known_holes_are_not_built_in() {
    let file = deny_file();
    let packages = packages();
    let mut bounds = 0;
    for rule in file
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("{ name"))
    {
        let mut quoted = rule.split('"').skip(1).step_by(2);
        // A rule without a version is about several of them; `house_rules.rs` looks after those.
        let (Some(name), Some(refused)) = (quoted.next(), quoted.next()) else {
            continue;
        };
        let found: Vec<&str> = packages
            .iter()
            .filter(|p| p.0 == name)
            .map(|p| p.1.as_str())
            .collect();
        if refused == "*" {
            assert!(found.is_empty(), "{name} is built in");
            continue;
        }
        bounds += 1;
        let least = numbers(refused.strip_prefix('<').unwrap());
        assert!(
            !found.is_empty(),
            "{name} is not built in any more: remove its rule"
        );
        assert!(
            found.iter().all(|version| numbers(version) >= least),
            "{name} {found:?} is refused: {refused}"
        );
    }
    assert!(bounds >= 3, "the minimum versions are gone from deny.toml");
}

fn numbers(version: &str) -> Vec<u64> {
    version
        .split(['.', '-', '+'])
        .map_while(|part| part.parse().ok())
        .collect()
}

#[test]
fn the_fuzzers_are_no_part_of_the_product() {
    let manifest = fs::read_to_string(root().join("engine/Cargo.toml")).unwrap();
    assert!(!manifest.contains("default = [\"fuzzing\"]"));
    let members = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(
        !members.contains("\"fuzz\""),
        "fuzz is a workspace of its own"
    );
    let names: Vec<String> = packages().into_iter().map(|p| p.0).collect();
    assert!(!names.iter().any(|name| name == "libfuzzer-sys"));
}
