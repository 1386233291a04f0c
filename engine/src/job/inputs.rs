//! A recipe bound to the schema of its source: every name resolved, every type checked, before a row is read.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use globset::{Glob, GlobSet, GlobSetBuilder};
use millpond_features::{
    CategoryError, DatePartsError, FeaturePlan, PlanError, Roles, SplitError, Splitter,
};

use crate::error::{Error, ErrorKind, Result};
use crate::layout::carried_columns;
use crate::plan::{RowQuery, Session, SqlExpressions, columns_named, full_schema, unknown_column};
use crate::recipe::Recipe;
use crate::source::Source;
use crate::source::nested::root_of;
use crate::source::pseudo::without_pseudo;
use crate::type_advice::{instead, is_writable, type_name};

/// What a job reads and computes.
pub(super) struct Inputs {
    /// The table with derived columns, without dropped ones.
    pub schema: SchemaRef,
    pub roles: Roles,
    pub carried: Vec<String>,
    pub features: FeaturePlan,
    pub splitter: Splitter,
    pub split_columns: Vec<String>,
}

impl Inputs {
    /// Binds `recipe` to `source`.
    ///
    /// # Errors
    /// Schema for columns that are missing or of the wrong type, Config for everything else that is wrong.
    pub fn bind(recipe: &Recipe, source: &Arc<dyn Source>, session: &Session) -> Result<Self> {
        let source_schema = source.schema();
        unique_names(&source_schema, source.name())?;
        let visible = visible(&source_schema, recipe)?;
        let schema = full_schema(session, &visible, &recipe.derive.0)?;
        let roles = Roles {
            label: recipe.label.iter().cloned().collect(),
            key: recipe.key.0.clone(),
            weight: recipe.weight.iter().cloned().collect(),
            pass_through: recipe.pass_through.0.clone(),
        };
        let carried = carried_columns(&roles);
        for (role, names) in [
            ("label", &roles.label),
            ("key", &roles.key),
            ("weight", &roles.weight),
            ("pass_through", &roles.pass_through),
        ] {
            for name in names {
                if schema.field_with_name(name).is_err() {
                    let e = unknown_column(name, &schema, source.name());
                    return Err(Error::new(e.kind(), format!("{role}: {}", e.context())));
                }
            }
        }
        for name in &carried {
            check_writable(name, &schema)?;
        }
        let splitter = recipe
            .split
            .bind(&schema)
            .map_err(|e| split_error(&e, &schema))?;
        let features = FeaturePlan::try_new(
            &recipe.features,
            &without_pseudo(&schema),
            &roles,
            recipe.dtype,
            &SqlExpressions::try_new()?,
        )
        .map_err(|e| plan_error(&e, &schema))?;
        let split_columns = recipe
            .split
            .columns()
            .iter()
            .map(|c| (*c).to_owned())
            .collect();
        Ok(Self {
            schema,
            roles,
            carried,
            features,
            splitter,
            split_columns,
        })
    }

    /// The columns everything after the source needs.
    pub fn all_columns(&self) -> Vec<String> {
        self.with_split(
            self.carried
                .iter()
                .cloned()
                .chain(self.features.input_columns().into_iter().map(str::to_owned)),
        )
    }

    /// `columns` and the split's own, each once, in the table's order.
    pub fn with_split(&self, columns: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut wanted: Vec<String> = columns.into_iter().collect();
        wanted.extend(self.split_columns.iter().cloned());
        self.schema
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .filter(|name| wanted.contains(name))
            .collect()
    }

    /// The query for `columns` under the recipe's `where` and `derive`.
    pub fn query(&self, recipe: &Recipe, columns: Vec<String>) -> RowQuery {
        RowQuery {
            filter: recipe.filter.clone(),
            derive: recipe.derive.0.clone(),
            columns,
        }
    }

    /// The source columns that `wanted` (source or derived columns) are made of, in the source's order.
    pub fn source_columns(
        &self,
        wanted: &[String],
        recipe: &Recipe,
        source: &Arc<dyn Source>,
        session: &Session,
    ) -> Result<Vec<String>> {
        let mut needed: Vec<String> = wanted.to_vec();
        for (index, (name, sql)) in recipe.derive.0.iter().enumerate().rev() {
            if !needed.contains(name) {
                continue;
            }
            needed.retain(|n| n != name);
            let before = full_schema(
                session,
                &source.schema(),
                recipe.derive.0.get(..index).unwrap_or_default(),
            )?;
            needed.extend(columns_named(
                session,
                sql,
                &before,
                &format!("derive.{name}"),
            )?);
        }
        Ok(source
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .filter(|name| needed.contains(name))
            .collect())
    }
}

/// A typical width in bytes of a row of `columns` while it is in memory. Text is assumed to be short.
pub(super) fn row_bytes(schema: &Schema, columns: &[String]) -> usize {
    columns
        .iter()
        .filter_map(|c| schema.field_with_name(c).ok())
        .map(|f| value_bytes(f.data_type()))
        .sum::<usize>()
        .max(1)
}

fn value_bytes(data_type: &DataType) -> usize {
    const TEXT: usize = 24;
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|f| value_bytes(f.data_type())).sum(),
        DataType::List(_) | DataType::LargeList(_) | DataType::Map(..) => 4 * TEXT,
        DataType::Dictionary(keys, _) => value_bytes(keys),
        other => other.primitive_width().unwrap_or(TEXT),
    }
}

/// The source's columns that the recipe does not drop.
fn visible(schema: &SchemaRef, recipe: &Recipe) -> Result<SchemaRef> {
    if recipe.drop.is_empty() {
        return Ok(Arc::clone(schema));
    }
    let mut globs = GlobSetBuilder::new();
    for pattern in recipe.drop.iter() {
        let glob = Glob::new(pattern).map_err(|e| {
            Error::with_source(ErrorKind::Config, format!("drop: \"{pattern}\""), e)
        })?;
        if !schema
            .fields()
            .iter()
            .any(|f| glob.compile_matcher().is_match(f.name()))
        {
            let e = unknown_column(pattern, schema, "the source");
            return Err(Error::new(e.kind(), format!("drop: {}", e.context())));
        }
        globs.add(glob);
    }
    let dropped: GlobSet = globs
        .build()
        .map_err(|e| Error::with_source(ErrorKind::Config, "drop", e))?;
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .filter(|f| !dropped.is_match(f.name()))
        .filter(|f| root_of(f).is_none_or(|root| !dropped.is_match(root)))
        .cloned()
        .collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// Columns are found by name everywhere, so names must tell them apart.
fn unique_names(schema: &Schema, source: &str) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for field in schema.fields() {
        if !seen.insert(field.name()) {
            return Err(Error::new(
                ErrorKind::Schema,
                format!("{source} has two columns called \"{}\"", field.name()),
            ));
        }
    }
    Ok(())
}

/// What is carried through is written to Parquet, which has no interval of months, days and nanoseconds.
fn check_writable(name: &str, schema: &Schema) -> Result<()> {
    let Ok(field) = schema.field_with_name(name) else {
        return Ok(());
    };
    if is_writable(field.data_type()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Schema,
        format!(
            "column \"{name}\" of type {} cannot be carried through, because Parquet cannot hold an INTERVAL; derive a text or parts of it, such as date_part('day', ...)",
            type_name(field)
        ),
    ))
}

fn plan_error(error: &PlanError, schema: &Schema) -> Error {
    let (kind, column) = match error {
        PlanError::UnknownColumn { .. } => (ErrorKind::Schema, None),
        PlanError::UnsupportedType { column, .. } => (ErrorKind::Schema, Some(column)),
        PlanError::Category {
            column,
            source: CategoryError::UnsupportedType { .. },
            ..
        }
        | PlanError::DateParts {
            column,
            source: DatePartsError::NotADate { .. },
        } => (ErrorKind::Schema, Some(column)),
        _ => (ErrorKind::Config, None),
    };
    with_advice(kind, "features", error.to_string(), column, schema)
}

fn split_error(error: &SplitError, schema: &Schema) -> Error {
    let (kind, column) = match error {
        SplitError::UnknownColumn { .. } => (ErrorKind::Schema, None),
        SplitError::UnsupportedKey { column, .. } | SplitError::NotATime { column, .. } => {
            (ErrorKind::Schema, Some(column))
        }
        _ => (ErrorKind::Config, None),
    };
    with_advice(kind, "split", error.to_string(), column, schema)
}

/// The error for `said` of `column`, with its type in BigQuery's words and what to write instead, where that is known.
fn with_advice(
    kind: ErrorKind,
    context: &str,
    said: String,
    column: Option<&String>,
    schema: &Schema,
) -> Error {
    let field = column.and_then(|name| schema.field_with_name(name).ok());
    let said = match field.and_then(|field| Some((field, instead(field)?))) {
        Some((field, instead)) => format!("{said} ({} column: {instead})", type_name(field)),
        None => said,
    };
    Error::with_source(
        kind,
        context,
        Box::<dyn std::error::Error + Send + Sync>::from(said),
    )
}
