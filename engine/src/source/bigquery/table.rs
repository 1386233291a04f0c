//! Names of BigQuery tables: reading what the user wrote and writing what the service wants.
//!
//! Owns the allow-lists for project, dataset, table and column names. Must not know sessions or clients.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Longest column name BigQuery accepts, in characters.
const LONGEST_COLUMN: usize = 300;
/// Longest table or dataset name BigQuery accepts, in bytes.
const LONGEST_NAME: usize = 1024;

/// A table: project (perhaps scoped by a domain, as in `example.com:shop`), dataset and table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName {
    project: String,
    dataset: String,
    table: String,
}

impl TableName {
    /// Reads `project.dataset.table`, with or without `bigquery://` before it.
    ///
    /// # Errors
    /// Config when a part is missing or holds a character that such names cannot have, or for a wildcard or a partition.
    pub fn parse(written: &str) -> Result<Self> {
        let text = written.strip_prefix("bigquery://").unwrap_or(written);
        // The domain of a project holds dots too, so the parts are cut off from the end.
        let mut parts = text.rsplitn(3, '.');
        let (Some(table), Some(dataset), Some(project)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(Error::config(format!(
                "table {written:?} has no three parts: write bigquery://project.dataset.table"
            )));
        };
        if table.contains('*') {
            return Err(Error::config(format!(
                "table {written:?} is a wildcard, which must end with its only star"
            )));
        }
        if let Some((whole, _)) = table.split_once('$') {
            return Err(Error::config(format!(
                "table {written:?} names a partition: name {project}.{dataset}.{whole} and choose the rows with where"
            )));
        }
        let checks = [
            ("project", project, is_project(project)),
            ("dataset", dataset, is_dataset(dataset)),
            ("table", table, is_table(table)),
        ];
        for (part, name, valid) in checks {
            if !valid {
                return Err(Error::config(format!(
                    "{part} {name:?} of table {written:?} is not a valid {part} name"
                )));
            }
        }
        Ok(Self {
            project: project.to_owned(),
            dataset: dataset.to_owned(),
            table: table.to_owned(),
        })
    }

    /// A table from its parts; nothing when one is no such name.
    pub fn from_parts(project: &str, dataset: &str, table: &str) -> Option<Self> {
        (is_project(project) && is_dataset(dataset) && is_table(table)).then(|| Self {
            project: project.to_owned(),
            dataset: dataset.to_owned(),
            table: table.to_owned(),
        })
    }

    /// The project the table belongs to.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The dataset the table belongs to.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// Its name in the dataset.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The table as SQL names it. No part can hold a backtick.
    pub fn quoted(&self) -> String {
        format!("`{self}`")
    }

    /// The resource name of the table in the Storage Read API.
    pub fn path(&self) -> String {
        format!(
            "projects/{}/datasets/{}/tables/{}",
            self.project, self.dataset, self.table
        )
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.project, self.dataset, self.table)
    }
}

/// Whether `name` can be a project, with or without a domain before it.
pub(super) fn is_project(name: &str) -> bool {
    let (domain, id) = name.split_once(':').unwrap_or(("a", name));
    let plain = |text: &str, also: &[u8]| {
        let bytes = text.as_bytes();
        bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.len() <= LONGEST_NAME
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || also.contains(b))
    };
    plain(domain, b"-.") && plain(id, b"-_")
}

/// Whether `name` can be a dataset.
pub(super) fn is_dataset(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_table(name: &str) -> bool {
    !name.trim().is_empty()
        && name.len() <= LONGEST_NAME
        && name.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ') || is_plain_beyond_ascii(c)
        })
}

/// The column's name between backticks, as SQL wants it.
///
/// # Errors
/// Config when the name holds a character no BigQuery column can have: such names are refused, never escaped.
pub(super) fn quote_column(name: &str) -> Result<String> {
    if is_column(name) {
        Ok(format!("`{name}`"))
    } else {
        Err(Error::new(
            ErrorKind::Config,
            format!("column {name:?} is not a valid BigQuery column name"),
        ))
    }
}

/// Whether `name` can be a column, flexible names included.
pub(super) fn is_column(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= LONGEST_COLUMN
        && name.chars().all(|c| {
            c.is_ascii_alphanumeric()
                || matches!(
                    c,
                    '_' | '-' | ' ' | '&' | '%' | '=' | '+' | ':' | '\'' | '<' | '>' | '#' | '|'
                )
                || is_plain_beyond_ascii(c)
        })
}

/// Letters, marks and digits of other scripts; not the invisible characters that hide or break text.
fn is_plain_beyond_ascii(c: char) -> bool {
    !c.is_ascii()
        && !c.is_control()
        && !matches!(
            c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}'
        )
}

#[cfg(test)]
mod tests;
