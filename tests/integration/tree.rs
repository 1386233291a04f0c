//! Directories as values, so that they can be compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything below `root`: files by relative path with their bytes, directories with a slash at the end.
pub fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

/// What a run must reproduce byte for byte: all of its output but the report, which tells times and memory.
pub fn results(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = tree(out);
    assert!(
        found.contains_key("_SUCCESS"),
        "{} is not complete",
        out.display()
    );
    assert!(found.remove("report.json").is_some());
    found
}

/// Fails naming the files that differ, rather than printing them.
pub fn assert_same(
    left: &BTreeMap<String, Vec<u8>>,
    right: &BTreeMap<String, Vec<u8>>,
    what: &str,
) {
    let names: Vec<_> = left
        .keys()
        .chain(right.keys().filter(|k| !left.contains_key(*k)))
        .collect();
    let differing: Vec<_> = names
        .into_iter()
        .filter(|name| left.get(*name) != right.get(*name))
        .collect();
    assert!(differing.is_empty(), "{what}: {differing:?} differ");
}

/// Files below `root` whose names end in `extension`, sorted.
pub fn files(root: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = tree(root)
        .into_keys()
        .filter(|name| Path::new(name).extension().is_some_and(|e| e == extension))
        .map(|name| root.join(name))
        .collect();
    found.sort();
    found
}

fn walk(root: &Path, directory: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if path.is_dir() {
            found.insert(format!("{name}/"), Vec::new());
            walk(root, &path, found);
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
}
