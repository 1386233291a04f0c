//! Which columns a feature set takes: names, globs, types, roles. Knows schemas, never data.

use arrow::datatypes::{DataType, Field, Schema};
use globset::{GlobBuilder, GlobMatcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::roles::{Role, Roles};

/// The metadata key of a column that is inside of another one and known by its dotted path; the value is the name of the
/// top-level column.
///
/// Such a column is taken when it is named outright or by a glob with a dot (`user.geo.*`), never by a type or by a glob that
/// does not speak of paths: its values are those of another column.
pub const INSIDE_OF: &str = "millpond:inside_of";

/// A choice of columns.
///
/// In a recipe: a name or glob (`"i*"`), a list of them, or a filter (`{type: numeric, except: [id]}`).
/// Columns come in the order of the list, and for each glob or filter in schema order, each once.
/// Columns with a role (label, key, weight, pass-through) are taken only when named outright or asked for by role, columns
/// inside of structs only when named outright or by a glob with a dot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Selector {
    /// One name or glob.
    Name(String),
    /// Several names or globs.
    Names(Vec<String>),
    /// Columns that pass every condition given.
    Filter(ColumnFilter),
}

/// Conditions on a column, joined by "and". An empty filter takes every feature column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnFilter {
    /// Names or globs, one of which must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<NameList>,
    /// Kind of type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ColumnKind>,
    /// Role; default: feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Names or globs of columns to leave out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<NameList>,
}

/// One name or a list of names; each may be a glob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NameList {
    /// One name or glob.
    One(String),
    /// Several names or globs.
    Many(Vec<String>),
}

/// A family of column types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Integers, floats, decimals.
    Numeric,
    /// Signed and unsigned integers.
    Integer,
    /// 16, 32 and 64-bit floats.
    Float,
    /// Strings, dictionary-encoded ones included.
    String,
    /// Booleans.
    Boolean,
    /// Dates, times and timestamps.
    Temporal,
}

/// Why a selector cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SelectionProblem {
    /// A literal name that the schema lacks, and the nearest name it has.
    UnknownColumn {
        column: String,
        nearest: Option<String>,
    },
    /// A glob that cannot be read.
    BadGlob { glob: String, reason: String },
    /// Nothing matches.
    Nothing { selector: String },
}

impl ColumnKind {
    /// Whether the type belongs to the family.
    pub fn holds(self, data_type: &DataType) -> bool {
        match self {
            Self::Numeric => data_type.is_numeric(),
            Self::Integer => data_type.is_integer(),
            Self::Float => data_type.is_floating(),
            Self::String => match data_type {
                DataType::Dictionary(_, value) => value.is_string(),
                other => other.is_string(),
            },
            Self::Boolean => matches!(data_type, DataType::Boolean),
            Self::Temporal => {
                data_type.is_temporal()
                    && !matches!(data_type, DataType::Duration(_) | DataType::Interval(_))
            }
        }
    }
}

impl NameList {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

impl From<&str> for Selector {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Selector {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl<const N: usize> From<[&str; N]> for Selector {
    fn from(names: [&str; N]) -> Self {
        Self::Names(names.iter().map(|&name| name.to_owned()).collect())
    }
}

impl From<Vec<String>> for Selector {
    fn from(names: Vec<String>) -> Self {
        Self::Names(names)
    }
}

impl From<ColumnKind> for Selector {
    fn from(kind: ColumnKind) -> Self {
        Self::Filter(ColumnFilter {
            kind: Some(kind),
            ..ColumnFilter::default()
        })
    }
}

impl From<ColumnFilter> for Selector {
    fn from(filter: ColumnFilter) -> Self {
        Self::Filter(filter)
    }
}

/// A name as written: a column of exactly this name, which exists, or a glob.
enum Pattern<'a> {
    Exact(&'a str),
    Glob(GlobMatcher),
    /// A glob with a dot, which speaks of paths.
    PathGlob(GlobMatcher),
}

impl Pattern<'_> {
    fn read<'a>(text: &'a str, schema: &Schema) -> Result<Pattern<'a>, SelectionProblem> {
        // A column may be called `a[0]`: an existing name is never taken for a glob.
        if schema.column_with_name(text).is_some() {
            return Ok(Pattern::Exact(text));
        }
        if !text.contains(['*', '?', '[', '{']) {
            return Err(SelectionProblem::UnknownColumn {
                column: text.to_owned(),
                nearest: nearest(
                    text,
                    schema.fields().iter().map(|field| field.name().as_str()),
                ),
            });
        }
        GlobBuilder::new(text)
            .literal_separator(false)
            .build()
            .map(|glob| match text.contains('.') {
                true => Pattern::PathGlob(glob.compile_matcher()),
                false => Pattern::Glob(glob.compile_matcher()),
            })
            .map_err(|error| SelectionProblem::BadGlob {
                glob: text.to_owned(),
                reason: error.kind().to_string(),
            })
    }

    fn read_all<'a>(
        names: Option<&'a NameList>,
        schema: &Schema,
    ) -> Result<Vec<Pattern<'a>>, SelectionProblem> {
        names
            .map_or(&[][..], NameList::as_slice)
            .iter()
            .map(|text| Pattern::read(text, schema))
            .collect()
    }

    fn matches(&self, column: &Field) -> bool {
        match self {
            Self::Exact(name) => name == column.name(),
            Self::Glob(glob) => !is_inside(column) && glob.is_match(column.name()),
            Self::PathGlob(glob) => glob.is_match(column.name()),
        }
    }

    fn names_outright(&self, column: &str) -> bool {
        matches!(self, Self::Exact(name) if *name == column)
    }
}

impl Selector {
    /// Indices into the schema of the columns chosen, in order and without repeats; never empty.
    pub(crate) fn resolve(
        &self,
        schema: &Schema,
        roles: &Roles,
    ) -> Result<Vec<usize>, SelectionProblem> {
        let chosen = match self {
            Self::Name(name) => by_names(std::slice::from_ref(name), schema, roles)?,
            Self::Names(names) => by_names(names, schema, roles)?,
            Self::Filter(filter) => filter.resolve(schema, roles)?,
        };
        if chosen.is_empty() {
            return Err(SelectionProblem::Nothing {
                selector: self.written(),
            });
        }
        Ok(chosen)
    }

    fn written(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn by_names(
    names: &[String],
    schema: &Schema,
    roles: &Roles,
) -> Result<Vec<usize>, SelectionProblem> {
    let mut chosen = Vec::new();
    for text in names {
        let pattern = Pattern::read(text, schema)?;
        let mut hits = 0;
        for (index, field) in schema.fields().iter().enumerate() {
            let name = field.name();
            if pattern.names_outright(name)
                || (pattern.matches(field) && roles.role(name) == Role::Feature)
            {
                hits += 1;
                push_once(&mut chosen, index);
            }
        }
        if hits == 0 {
            return Err(SelectionProblem::Nothing {
                selector: format!("\"{text}\""),
            });
        }
    }
    Ok(chosen)
}

impl ColumnFilter {
    fn resolve(&self, schema: &Schema, roles: &Roles) -> Result<Vec<usize>, SelectionProblem> {
        let named = Pattern::read_all(self.name.as_ref(), schema)?;
        let except = Pattern::read_all(self.except.as_ref(), schema)?;
        let takes = |field: &Field| {
            let name = field.name();
            let name_fits = match self.name {
                None => !is_inside(field),
                Some(_) => named.iter().any(|pattern| pattern.matches(field)),
            };
            let role = roles.role(name);
            let role_fits = match self.role {
                Some(wanted) => role == wanted,
                None => {
                    role == Role::Feature
                        || named.iter().any(|pattern| pattern.names_outright(name))
                }
            };
            name_fits
                && role_fits
                && self.kind.is_none_or(|kind| kind.holds(field.data_type()))
                && !except.iter().any(|pattern| pattern.matches(field))
        };
        let fields = schema.fields().iter().enumerate();
        Ok(fields
            .filter(|(_, field)| takes(field))
            .map(|(index, _)| index)
            .collect())
    }
}

fn is_inside(column: &Field) -> bool {
    column.metadata().contains_key(INSIDE_OF)
}

fn push_once(chosen: &mut Vec<usize>, index: usize) {
    if !chosen.contains(&index) {
        chosen.push(index);
    }
}

/// The candidate most like `word`, when one is like it at all.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= 1 + word.len().max(candidate.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}
