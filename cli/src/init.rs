//! `millpond init`.

use std::fs::OpenOptions;
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::Path;

use millpond::{ErrorKind, Names, ProfileOptions, SourceSpec};

use crate::args::{InitArgs, emulator_of_environment};
use crate::failure::Failure;
use crate::{console, runtime, signals};

/// Writes a commented recipe for a table.
pub(crate) fn init(args: InitArgs) -> Result<(), Failure> {
    if let Some(path) = &args.output
        && path.exists()
    {
        return Err(exists(path));
    }
    let mut options = ProfileOptions::new(args.label);
    options.key = Names(args.key);
    options.index = args.index;
    options.sample_rows = args.sample_rows;
    options.force_categorical = Names(args.force_categorical);
    options.drop = Names(args.drop);
    options.null_threshold = args.null_threshold;
    options.limit = args.limit;
    options.credentials = args.credentials.file;
    options.emulator = args.emulator.or_environment(emulator_of_environment());
    let source = SourceSpec::Address(args.source);
    let text = runtime::block_on(
        None,
        signals::unless_signalled(async { Ok(millpond::init(&source, &options).await?) }),
    )?;
    let Some(path) = args.output else {
        console::print(&text);
        return Ok(());
    };
    write_new(&path, &text)?;
    console::note(&format!(
        "wrote {path}; next: millpond run {path} --out out",
        path = path.display()
    ));
    Ok(())
}

/// Writes a file that must not exist, so that nobody's changes are lost.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|e| match e.kind() {
            IoErrorKind::AlreadyExists => exists(path),
            _ => Failure::writing(path, &e),
        })?;
    file.write_all(text.as_bytes())
        .map_err(|e| Failure::writing(path, &e))
}

fn exists(path: &Path) -> Failure {
    Failure::new(
        ErrorKind::Config,
        format!(
            "{} exists already, remove it or name another file",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_existing_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.yaml");
        write_new(&path, "a: 1\n").unwrap();
        assert!(write_new(&path, "b: 2\n").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a: 1\n");
    }
}
