//! Commands as they are typed into a shell.

use std::path::Path;

/// How this program is called, and how arguments are quoted.
#[derive(Debug)]
pub(crate) struct Shell {
    program: String,
}

impl Shell {
    /// The program under the name by which it was started: a path when it is not on the search path.
    pub fn of_this_process() -> Self {
        let program = std::env::args()
            .next()
            .unwrap_or_else(|| "millpond".to_owned());
        Self::new(&program)
    }

    pub fn new(program: &str) -> Self {
        Self {
            program: quoted(program),
        }
    }

    /// The program as it is typed.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// A path as one argument; globs stay for the program to expand.
    pub fn quote(&self, path: &Path) -> String {
        quoted(&path.display().to_string())
    }
}

/// Text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '/' | '.' | '_' | '-' | '=' | ':' | ',' | '+' | '@' | '%')
    };
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(
            quoted("./millpond-demo/clicks.yaml"),
            "./millpond-demo/clicks.yaml"
        );
        assert_eq!(quoted("a b/*.parquet"), "'a b/*.parquet'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
