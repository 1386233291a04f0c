//! The demo's directory: refused when it holds anything, removed again when the demo fails.

use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};

use millpond::ErrorKind;

use crate::failure::Failure;

/// The directory while the demo may still fail.
#[derive(Debug)]
pub(super) struct Stage {
    root: PathBuf,
    /// Whether the directory itself was made here.
    made: bool,
    kept: bool,
}

impl Stage {
    /// Makes the directory, which must be absent or empty, and the table's below it.
    pub fn set(root: &Path) -> Result<Self, Failure> {
        let made = match fs::read_dir(root) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(Failure::new(
                        ErrorKind::Config,
                        format!(
                            "directory {} is not empty; remove it or name another with --out",
                            root.display()
                        ),
                    ));
                }
                false
            }
            Err(e) if e.kind() == IoErrorKind::NotFound => true,
            Err(e) if e.kind() == IoErrorKind::NotADirectory => {
                return Err(Failure::new(
                    ErrorKind::Config,
                    format!(
                        "{} is not a directory; name another with --out",
                        root.display()
                    ),
                ));
            }
            Err(e) => return Err(Failure::writing(root, &e)),
        };
        let stage = Self {
            root: root.to_owned(),
            made,
            kept: false,
        };
        let table = stage.table();
        fs::create_dir_all(&table).map_err(|e| Failure::writing(&table, &e))?;
        Ok(stage)
    }

    /// What the emulator serves.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The table's files.
    pub fn table(&self) -> PathBuf {
        self.data().join("demo").join("shop").join("clicks")
    }

    /// The run's results.
    pub fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    /// Writes the recipe beside the data.
    pub fn write_recipe(&self, text: &str) -> Result<(), Failure> {
        let path = self.root.join("clicks.yaml");
        fs::write(&path, text).map_err(|e| Failure::writing(&path, &e))
    }

    /// Everything went well: the directory stays. Gives its path.
    pub fn keep(mut self) -> PathBuf {
        self.kept = true;
        self.root.clone()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // The directory was empty, so all that is in it is the demo's. A failure to remove it has nobody to be told to.
        if self.made {
            let _ = fs::remove_dir_all(&self.root);
        } else {
            for path in [self.data(), self.out()] {
                let _ = fs::remove_dir_all(path);
            }
            let _ = fs::remove_file(self.root.join("clicks.yaml"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failed_demo_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("new");
        let stage = Stage::set(&root).unwrap();
        stage.write_recipe("a: 1\n").unwrap();
        assert!(stage.table().is_dir());
        drop(stage);
        assert!(!root.exists());

        let stage = Stage::set(dir.path()).unwrap();
        stage.write_recipe("a: 1\n").unwrap();
        drop(stage);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_finished_demo_stays() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("new");
        assert_eq!(Stage::set(&root).unwrap().keep(), root);
        assert!(root.join("data/demo/shop/clicks").is_dir());
    }

    #[test]
    fn what_is_there_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine.txt");
        fs::write(&file, "x").unwrap();
        assert!(Stage::set(dir.path()).is_err());
        assert!(Stage::set(&file).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "x");
    }
}
