//! Recipes as YAML: reading with errors that say what to write instead, writing, and the JSON schema for editors.
//!
//! Owns the way from text to [`Recipe`] and back. Must not know what a recipe does.
//! Text becomes a JSON value first, because the selectors and steps choose their form by looking at the value; then
//! the value becomes the recipe, and the path to whatever is wrong is kept all the way.

use std::io::ErrorKind as IoErrorKind;
use std::path::Path;

use bytesize::ByteSize;
use millpond_features::ColumnFilter;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::{Options, UserMessageFormatter};

use super::{BigQuerySqlSpec, QuerySpec, Recipe, TableSpec};
use crate::error::{Error, ErrorKind, Result};

mod explain;
#[cfg(test)]
mod tests;

/// A recipe is a page of text. Anything far larger is another file named by mistake, and is not read.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

impl Recipe {
    /// Reads a recipe from YAML text and [checks](Recipe::check) what can be checked without a table.
    ///
    /// # Errors
    /// Of kind [`Config`](ErrorKind::Config): syntax errors with line and column, otherwise the path of the key that is wrong,
    /// with the nearest known name: `features[1].steps[0]: unknown step "standardscaler", did you mean "standard_scaler"?`.
    pub fn from_yaml(text: &str) -> Result<Self> {
        let value = parse(text)?;
        let Value::Object(keys) = &value else {
            return Err(Error::config(if value.is_null() {
                "the recipe is empty, it needs at least the keys `split` and `features`".to_owned()
            } else {
                format!(
                    "the recipe is {}, expected keys such as `source`, `label`, `split` and `features`",
                    kind_of(&value)
                )
            }));
        };
        if let Some(source) = keys.get("source") {
            check_source(source)?;
        }
        if let Some(Value::Array(sets)) = keys.get("features") {
            for (index, set) in sets.iter().enumerate() {
                check_columns(index, set)?;
            }
        }
        let recipe: Self = read("", value)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Reads a recipe from a YAML file of at most 4 MiB.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when there is no such file, otherwise as [`from_yaml`](Self::from_yaml), with the path in front.
    pub fn from_yaml_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata = std::fs::metadata(path).map_err(|e| unreadable(path, e))?;
        if metadata.is_dir() {
            return Err(Error::config(format!(
                "recipe {} is a directory, name a YAML file",
                path.display()
            )));
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(Error::config(format!(
                "recipe {} has {} bytes, more than the {MAX_FILE_BYTES} a recipe may have",
                path.display(),
                metadata.len()
            )));
        }
        let bytes = std::fs::read(path).map_err(|e| unreadable(path, e))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            Error::config(format!(
                "recipe {} is not UTF-8 text at byte {}",
                path.display(),
                e.utf8_error().valid_up_to()
            ))
        })?;
        Self::from_yaml(&text).map_err(|e| Error::new(e.kind(), format!("{}: {e}", path.display())))
    }

    /// The recipe as YAML text; reading it gives the same recipe.
    ///
    /// # Errors
    /// Of kind [`Config`](ErrorKind::Config) when a value has no YAML form.
    pub fn to_yaml(&self) -> Result<String> {
        let fail = |e: &dyn std::error::Error| {
            Error::config(format!("cannot write the recipe as YAML: {e}"))
        };
        let mut value = serde_json::to_value(self).map_err(|e| fail(&e))?;
        if let (Some(size), Some(keys)) = (self.memory, value.as_object_mut()) {
            keys.insert("memory".to_owned(), Value::String(exact_size(size)));
        }
        let options = serde_saphyr::ser_options! { yaml_12: false };
        let mut text = String::new();
        serde_saphyr::to_fmt_writer_with_options(&mut text, &value, options)
            .map_err(|e| fail(&e))?;
        Ok(text)
    }

    /// The JSON schema of recipes, for editors that complete and check YAML while it is written.
    #[must_use]
    pub fn json_schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        if let Some(root) = schema.as_object_mut() {
            root.insert("title".to_owned(), Value::from("Millpond recipe"));
        }
        schema
    }
}

/// YAML to a JSON value. Duplicate keys are refused and size bombs stopped by the parser's own limits.
fn parse(text: &str) -> Result<Value> {
    // Only true and false are booleans: a column called `y`, `no` or `on` stays a name.
    let options: Options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| {
        let message = e.render_with_formatter(&UserMessageFormatter);
        Error::config(format!("YAML: {}", message.replace(['\n', '\r'], " ")))
    })
}

/// `value` as a `T`; what is wrong is told with its path below `base`.
fn read<T: DeserializeOwned>(base: &str, value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value)
        .map_err(|e| Error::config(explain::explain(base, e.path(), &e.inner().to_string())))
}

/// The source is one of three forms told apart by their keys. Reading the form meant, before the whole recipe is read,
/// names the key that is wrong where "no form matches" would not.
fn check_source(source: &Value) -> Result<()> {
    match source {
        Value::String(_) | Value::Null => Ok(()),
        Value::Object(keys) if keys.contains_key("query") || keys.contains_key("tables") => {
            read::<QuerySpec>("source", source.clone()).map(|_| ())
        }
        Value::Object(keys) if keys.contains_key("bigquery_sql") => {
            read::<BigQuerySqlSpec>("source", source.clone()).map(|_| ())
        }
        Value::Object(_) => read::<TableSpec>("source", source.clone()).map(|_| ()),
        other => Err(Error::config(format!(
            "source: found {}, expected an address such as `bigquery://project.dataset.table` or `./rows/*.parquet`, \
             or a map with the key `table`, `query` or `bigquery_sql`",
            kind_of(other)
        ))),
    }
}

/// The same for a feature set's columns.
fn check_columns(index: usize, set: &Value) -> Result<()> {
    let place = format!("features[{index}].columns");
    match set.get("columns") {
        None | Some(Value::String(_)) => Ok(()),
        Some(filter @ Value::Object(_)) => read::<ColumnFilter>(&place, filter.clone()).map(|_| ()),
        Some(names @ Value::Array(_)) => read::<Vec<String>>(&place, names.clone()).map(|_| ()),
        Some(other) => Err(Error::config(format!(
            "{place}: found {}, expected a name or glob such as \"i*\", a list of them, or a filter such as {{type: numeric}}",
            kind_of(other)
        ))),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// A byte count in the largest unit that divides it; the usual rounded form would not read back as the same count.
fn exact_size(size: ByteSize) -> String {
    let bytes = size.as_u64();
    let units = [
        (1_u64 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    units
        .into_iter()
        .find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit))
        .map_or_else(
            || format!("{bytes}B"),
            |(unit, name)| format!("{}{name}", bytes / unit),
        )
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        IoErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Config,
    };
    Error::with_source(
        kind,
        format!("cannot read recipe {}", path.display()),
        error,
    )
}
