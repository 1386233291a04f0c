//! SIGINT and SIGTERM end a run cleanly, whatever it is doing.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::command::{Ended, millpond, signal, text, wait};
use crate::rows::{RECIPE, orders, write_file};
use crate::tree::tree;

/// A clean end takes no longer.
const WITHIN: Duration = Duration::from_secs(5);

/// A glob over many names of one file: a table too long to be finished.
fn endless(directory: &Path, names: usize) -> String {
    let first = directory.join("part-00000.parquet");
    write_file(&first, &orders(20_000, 2, 30));
    for number in 1..names {
        fs::hard_link(&first, directory.join(format!("part-{number:05}.parquet"))).unwrap();
    }
    format!("{}/*.parquet", directory.display())
}

/// Starts a run, waits until `reached` says so, sends the signals, and checks that nothing is left.
fn end_with(
    names: usize,
    recipe: &str,
    signals: &[&str],
    reached: impl Fn(&Path) -> bool,
) -> Ended {
    let place = tempfile::tempdir().unwrap();
    let source = endless(&place.path().join("rows"), names);
    let path = place.path().join("recipe.yaml");
    fs::write(&path, recipe).unwrap();
    let (out, temp) = (place.path().join("out"), place.path().join("temp"));
    fs::create_dir(&temp).unwrap();
    let mut command = millpond();
    command.args([
        "run",
        text(&path),
        "--source",
        &source,
        "--out",
        text(&out),
        "--temp-dir",
        text(&temp),
        "--quiet",
    ]);
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    while !reached(&out) {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before it was signalled"
        );
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "the run never got there"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let sent = Instant::now();
    for name in signals {
        signal(child.id(), name);
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = wait(child);
    assert!(sent.elapsed() < WITHIN, "the end took {:?}", sent.elapsed());
    if signals.len() == 1 {
        // A unit may be finished by then: it is kept, and nothing else.
        let kept = ended.stderr.contains("what is finished is kept in");
        assert_eq!(out.exists(), kept, "{}", ended.stderr);
        let left = if kept { tree(&out) } else { Default::default() };
        let half: Vec<_> = left
            .into_keys()
            .filter(|name| !name.starts_with(".millpond/") || name.contains(".tmp-"))
            .collect();
        assert!(half.is_empty(), "left in the output directory: {half:?}");
        assert!(
            tree(&temp).is_empty(),
            "left in the temporary directory: {:?}",
            tree(&temp).keys()
        );
    }
    ended
}

/// The run holds its directory, so it is past its checks.
fn taken(out: &Path) -> bool {
    out.join(".millpond/lock").exists()
}

/// The run writes shards.
fn writing(out: &Path) -> bool {
    out.join(".millpond/out/train").exists()
}

/// Learns nothing, so that writing begins soon.
const PLAIN: &str =
    "{key: id, split: {hash: {columns: id}}, features: [{columns: [amount, note]}]}";

#[test]
fn sigterm_while_learning() {
    let ended = end_with(400, RECIPE, &["TERM"], |out| {
        let is = taken(out);
        std::thread::sleep(Duration::from_millis(300));
        is
    });
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .lines()
            .any(|line| line.starts_with("error: terminated")),
        "{}",
        ended.stderr
    );
}

#[test]
fn sigint_while_learning() {
    let ended = end_with(400, RECIPE, &["INT"], |out| {
        let is = taken(out);
        std::thread::sleep(Duration::from_millis(300));
        is
    });
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .lines()
            .any(|line| line.starts_with("error: interrupted")),
        "{}",
        ended.stderr
    );
}

#[test]
fn sigterm_while_writing() {
    let ended = end_with(60, PLAIN, &["TERM"], writing);
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
}

#[test]
fn a_second_signal_ends_at_once() {
    let ended = end_with(400, RECIPE, &["INT", "TERM"], taken);
    assert!(
        matches!(ended.code, Some(130 | 143)),
        "{:?}: {}",
        ended.code,
        ended.stderr
    );
}
