//! The demonstration works, and so do the commands it tells to try next.

use std::process::{Command, Stdio};

use crate::command::{succeed, text, wait};
use crate::rows::read_file;
use crate::tree::{files, tree};

#[test]
fn the_demo_and_the_commands_it_prints() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("demo");
    let ended = succeed(["demo", "--rows", "5000", "--out", text(&out)]);
    let mut rows = 0;
    for split in ["train", "val", "test"] {
        rows += files(&out.join("out").join(split), "parquet")
            .iter()
            .map(|path| read_file(path).num_rows())
            .sum::<usize>();
    }
    assert_eq!(rows, 5_000);
    assert!(out.join("out/_SUCCESS").is_file());
    assert!(out.join("clicks.yaml").is_file());

    // Below the words "Try next": a comment, then a command that the shell can take as it stands.
    let (_, next) = ended.stdout.split_once("Try next:").expect("no commands");
    let commands: Vec<&str> = next
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("millpond") && !line.starts_with('#'))
        .collect();
    assert!(commands.len() >= 3, "{next}");
    for line in &commands {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", line])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let ended = wait(shell.spawn().unwrap());
        assert_eq!(ended.code, Some(0), "{line}: {}", ended.stderr);
    }
    assert!(commands.iter().any(|line| line.contains(" apply ")));
    // The run on the files and the run on the service learn the same.
    let learned = |name: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(out.join(name).join("fitted.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["features"]["columns"].clone()
    };
    let steps = |value: serde_json::Value| {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["column"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(steps(learned("out")), steps(learned("out-from-parquet")));
}

#[test]
fn the_demo_does_not_touch_a_directory_in_use() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("mine"), "mine").unwrap();
    let before = tree(place.path());
    let ended = crate::command::call(["demo", "--rows", "100", "--out", text(place.path())]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert_eq!(tree(place.path()), before);
}
