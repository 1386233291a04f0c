//! A place for one run: a table, a recipe, an output and a temporary directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use arrow::array::RecordBatch;

use crate::command::{Ended, millpond, spawn, text, wait};
use crate::rows::{RECIPE, orders, write_table};
use crate::tree::tree;

/// A directory with a table, a recipe, and the places a run writes to.
pub struct Bench {
    /// Everything is below.
    pub place: tempfile::TempDir,
    /// What is read; the recipe says it when this is empty.
    pub source: String,
    /// The recipe as YAML.
    pub recipe: String,
    /// Variables of the command.
    pub environment: Vec<(String, String)>,
    /// Further arguments.
    pub more: Vec<String>,
}

impl Bench {
    /// A small table.
    pub fn new() -> Self {
        Self::with_table(&orders(600, 1, 5))
    }

    /// This table.
    pub fn with_table(batch: &RecordBatch) -> Self {
        let place = tempfile::tempdir().unwrap();
        let source = write_table(&place.path().join("rows"), batch);
        fs::create_dir(place.path().join("temp")).unwrap();
        Self {
            source,
            place,
            recipe: RECIPE.to_owned(),
            environment: Vec::new(),
            more: Vec::new(),
        }
    }

    /// A path below the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Where the run writes to.
    pub fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// The recipe with one text in place of another, which must be there.
    pub fn rewrite(mut self, old: &str, new: &str) -> Self {
        assert!(self.recipe.contains(old), "{old}");
        self.recipe = self.recipe.replace(old, new);
        self
    }

    /// Another source.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// Further arguments.
    pub fn more(mut self, arguments: &[&str]) -> Self {
        self.more.extend(arguments.iter().map(|a| (*a).to_owned()));
        self
    }

    /// Runs the command to its end.
    pub fn run(&self) -> Ended {
        wait(spawn(&mut self.command()))
    }

    /// The command, ready to be started.
    pub fn command(&self) -> Command {
        self.start(millpond())
    }

    /// The arguments of a run after those of `command`.
    pub fn start(&self, mut command: Command) -> Command {
        fs::write(self.path("recipe.yaml"), &self.recipe).unwrap();
        command.args(["run", text(&self.path("recipe.yaml"))]);
        if !self.source.is_empty() {
            command.args(["--source", &self.source]);
        }
        command.args(["--out", text(&self.out())]);
        command
            .args(["--temp-dir", text(&self.path("temp")), "--quiet"])
            .args(&self.more);
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }

    /// Runs, expects this exit code and one line holding all `words`, and everything on disk as it was.
    pub fn refuses(&self, code: i32, words: &[&str]) -> Ended {
        fs::write(self.path("recipe.yaml"), &self.recipe).unwrap();
        let before = tree(self.place.path());
        let ended = self.run();
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        let lines: Vec<_> = ended.stderr.lines().collect();
        assert!(
            lines.len() == 1 && lines[0].starts_with("error: "),
            "{}",
            ended.stderr
        );
        // Names stand in quotes of either kind.
        let told = ended.stderr.replace('`', "\"");
        for word in words {
            assert!(
                told.contains(&word.replace('`', "\"")),
                "no `{word}` in: {}",
                ended.stderr
            );
        }
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
        let after = tree(self.place.path());
        assert_eq!(
            before.keys().collect::<Vec<_>>(),
            after.keys().collect::<Vec<_>>(),
            "left behind"
        );
        assert!(before == after, "a file was changed");
        ended
    }
}
