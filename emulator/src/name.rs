//! Names of projects, datasets and tables, checked by allow-list.
//!
//! A name becomes a directory name, so nothing in this crate builds a path from text that has not passed through here.
//! Must not know about files or about the wire.

use std::fmt;

/// Longest accepted part of a name, in bytes: what every common file system takes as one directory name.
const MAX_PART_BYTES: usize = 255;

/// Which part of a table name is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamePart {
    /// The project id.
    Project,
    /// The dataset id.
    Dataset,
    /// The table id.
    Table,
}

impl fmt::Display for NamePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Project => "project",
            Self::Dataset => "dataset",
            Self::Table => "table",
        })
    }
}

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text does not have the form `projects/P/datasets/D/tables/T`.
    #[error("resource {resource:?} does not have the form projects/P/datasets/D/tables/T")]
    MalformedResource {
        /// The text as received.
        resource: String,
    },
    /// A part is empty.
    #[error("{part} id is empty")]
    Empty {
        /// The part.
        part: NamePart,
    },
    /// A part is longer than a directory name may be.
    #[error("{part} id has {bytes} bytes, at most {MAX_PART_BYTES} are accepted")]
    TooLong {
        /// The part.
        part: NamePart,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A part holds a character outside the allow-list.
    #[error("{part} id {id:?} holds the character {character:?}, which is not allowed")]
    ForbiddenCharacter {
        /// The part.
        part: NamePart,
        /// The id as received.
        id: String,
        /// The first character that is not allowed.
        character: char,
    },
}

/// A table's full name. Every part has passed the allow-list, so each is safe as one directory name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    project: String,
    dataset: String,
    table: String,
}

impl TableName {
    /// Checks the three parts.
    ///
    /// # Errors
    /// [`NameError`] when a part is empty, too long, or holds a character outside the allow-list: ASCII letters, digits,
    /// `_` and `-` in a project; ASCII letters, digits and `_` in a dataset; letters and digits of any script, `_`, `-` and
    /// the space in a table.
    pub fn try_new(project: &str, dataset: &str, table: &str) -> Result<Self, NameError> {
        check(NamePart::Project, project)?;
        check(NamePart::Dataset, dataset)?;
        check(NamePart::Table, table)?;
        Ok(Self {
            project: project.to_owned(),
            dataset: dataset.to_owned(),
            table: table.to_owned(),
        })
    }

    /// Reads `projects/P/datasets/D/tables/T`.
    ///
    /// # Errors
    /// As [`TableName::try_new`], and [`NameError::MalformedResource`] for any other form.
    pub fn from_resource(resource: &str) -> Result<Self, NameError> {
        let parts: Vec<&str> = resource.split('/').collect();
        match parts.as_slice() {
            ["projects", project, "datasets", dataset, "tables", table] => {
                Self::try_new(project, dataset, table)
            }
            _ => Err(NameError::MalformedResource {
                resource: resource.to_owned(),
            }),
        }
    }

    /// The form `projects/P/datasets/D/tables/T`.
    #[must_use]
    pub fn to_resource(&self) -> String {
        format!(
            "projects/{}/datasets/{}/tables/{}",
            self.project, self.dataset, self.table
        )
    }

    /// The project id.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The dataset id.
    #[must_use]
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// The table id.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Whether it lies in a dataset that lists leave out.
    pub(crate) fn is_hidden(&self) -> bool {
        is_hidden_dataset(&self.dataset)
    }
}

/// Whether lists leave the dataset out, as they do the one of queries' results.
pub(crate) fn is_hidden_dataset(id: &str) -> bool {
    id.starts_with('_')
}

impl fmt::Display for TableName {
    /// The form the service's messages use: `project:dataset.table`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}", self.project, self.dataset, self.table)
    }
}

/// The beginning that the names of several tables of one dataset have in common; empty for all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TablePrefix {
    project: String,
    dataset: String,
    prefix: String,
}

impl TablePrefix {
    /// Checks the parts as [`TableName::try_new`] does.
    ///
    /// # Errors
    /// As there, but for an empty prefix.
    pub fn try_new(project: &str, dataset: &str, prefix: &str) -> Result<Self, NameError> {
        check(NamePart::Project, project)?;
        check(NamePart::Dataset, dataset)?;
        if !prefix.is_empty() {
            check(NamePart::Table, prefix)?;
        }
        Ok(Self {
            project: project.to_owned(),
            dataset: dataset.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    pub fn project(&self) -> &str {
        &self.project
    }

    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// The form `projects/P/datasets/D/tables/PREFIX*`.
    pub fn to_resource(&self) -> String {
        format!(
            "projects/{}/datasets/{}/tables/{}*",
            self.project, self.dataset, self.prefix
        )
    }

    /// What is left of a table's id after the prefix, if it begins with that.
    pub fn suffix<'t>(&self, table: &'t str) -> Option<&'t str> {
        table.strip_prefix(self.prefix.as_str())
    }
}

impl fmt::Display for TablePrefix {
    /// `project:dataset.prefix*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}*", self.project, self.dataset, self.prefix)
    }
}

/// Checks one part of a name against its allow-list.
pub(crate) fn check(part: NamePart, id: &str) -> Result<(), NameError> {
    if id.is_empty() {
        return Err(NameError::Empty { part });
    }
    if id.len() > MAX_PART_BYTES {
        return Err(NameError::TooLong {
            part,
            bytes: id.len(),
        });
    }
    let allowed = |c: char| match part {
        NamePart::Project => c.is_ascii_alphanumeric() || c == '-' || c == '_',
        NamePart::Dataset => c.is_ascii_alphanumeric() || c == '_',
        NamePart::Table => c.is_alphanumeric() || matches!(c, '_' | '-' | ' '),
    };
    match id.chars().find(|c| !allowed(*c)) {
        Some(character) => Err(NameError::ForbiddenCharacter {
            part,
            id: id.to_owned(),
            character,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hostile_names_never_become_a_path() {
        for hostile in [
            "..",
            "a/b",
            "../x",
            "a\0b",
            "/etc",
            "",
            "a.b",
            "a\\b",
            "a`b",
            "a;b",
            "a'b",
            "a%2fb",
            &"x".repeat(300),
        ] {
            assert!(
                TableName::try_new("p", "d", hostile).is_err(),
                "{hostile:?}"
            );
            assert!(
                TableName::try_new("p", hostile, "t").is_err(),
                "{hostile:?}"
            );
            assert!(
                TableName::try_new(hostile, "d", "t").is_err(),
                "{hostile:?}"
            );
        }
    }

    #[test]
    fn a_resource_survives_the_round_trip() {
        let text = "projects/my-project/datasets/shop_1/tables/clicks 2026-01";
        let name = TableName::from_resource(text).unwrap();
        assert_eq!(name.to_resource(), text);
        assert_eq!(name.to_string(), "my-project:shop_1.clicks 2026-01");
        for malformed in [
            "projects/p/datasets/d",
            "projects/p/datasets/d/tables/t/x",
            "p.d.t",
            "/projects/p/datasets/d/tables/t",
        ] {
            assert!(matches!(
                TableName::from_resource(malformed),
                Err(NameError::MalformedResource { .. })
            ));
        }
    }
}
