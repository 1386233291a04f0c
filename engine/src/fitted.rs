//! The fitted recipe: everything learned, as one readable file that can be applied anywhere.
//!
//! Owns `fitted.json` and the Parquet tables beside it. What a step has learned is the features crate's own business.

mod tables;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millpond_features::{
    CategoryTable, FeaturesArtifact, FittedFeatures, INSIDE_OF, Roles, TransformCounts,
};
use serde::{Deserialize, Serialize};

use self::tables::{FileTable, write_table};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{OutputLayout, carried_columns, to_type};
use crate::output_dir::kind_of;
use crate::plan::{DerivedColumns, SqlExpressions};
use crate::recipe::Recipe;
use crate::source::Snapshot;
use crate::source::nested;

/// The version of the file format this engine writes, and the only one it reads.
const FORMAT_VERSION: u32 = 1;
const FORMAT: &str = "millpond-fitted";
/// The artefact's file name.
pub(crate) const FITTED_FILE: &str = "fitted.json";
/// The directory of vocabularies that are too long to be readable.
const TABLES_DIR: &str = "fitted";

/// A column as written in the artefact.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ColumnRecord {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
    nullable: bool,
    /// The top-level column it is inside of, when the name is a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inside_of: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RolesRecord {
    key: Vec<String>,
    label: Vec<String>,
    weight: Vec<String>,
    pass_through: Vec<String>,
}

/// `fitted.json`.
#[derive(Debug, Serialize, Deserialize)]
struct FittedRecord {
    format: String,
    format_version: u32,
    millpond_version: String,
    source: String,
    snapshot: Snapshot,
    train_rows: u64,
    split_sql: String,
    roles: RolesRecord,
    recipe: Recipe,
    input_schema: Vec<ColumnRecord>,
    required_columns: Vec<String>,
    output_schema: Vec<ColumnRecord>,
    features: serde_json::Value,
    tables: BTreeMap<String, String>,
}

/// Says that the artefact at `path` cannot be used.
fn unusable_artefact(path: &Path, why: &str) -> Error {
    Error::new(
        ErrorKind::Manifest,
        format!("\"{}\" cannot be used: {why}", path.display()),
    )
}

impl FittedRecord {
    /// Reads `fitted.json` without the tables beside it.
    fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|e| crate::source::files::io_error(&e, path))?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let unusable = |why: String| unusable_artefact(path, &why);
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| unusable(e.to_string()))?;
        if value.get("format").and_then(|f| f.as_str()) != Some(FORMAT) {
            return Err(unusable("it is not a fitted recipe".into()));
        }
        let version = value
            .get("format_version")
            .and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(FORMAT_VERSION)) {
            return Err(unusable(format!(
                "format version {} was written by another millpond; this one reads version {FORMAT_VERSION}",
                version.map_or_else(|| "?".to_owned(), |v| v.to_string())
            )));
        }
        serde_json::from_value(value).map_err(|e| unusable(e.to_string()))
    }
}

/// What the engine knows of a fit besides the features.
pub(crate) struct FittedContext {
    pub source: String,
    pub snapshot: Snapshot,
    pub train_rows: u64,
    pub split_sql: String,
    pub recipe: Recipe,
    pub roles: Roles,
    /// Source columns the features and carried columns are made of, as the source delivers them.
    pub input_schema: SchemaRef,
    /// Those of them without which no feature can be computed.
    pub required_columns: Vec<String>,
}

/// What a batch of one schema needs done to it.
#[derive(Debug)]
struct Prepared {
    input: SchemaRef,
    derived: DerivedColumns,
    layout: OutputLayout,
}

/// A recipe with everything it learned: turns raw rows into feature rows, with the same bits as the run that fitted it.
///
/// ```no_run
/// # fn serve(batch: &arrow::array::RecordBatch) -> Result<(), millpond::Error> {
/// let fitted = millpond::FittedRecipe::open("out/fitted.json")?;
/// let features = fitted.transform(batch)?;
/// assert_eq!(features.num_rows(), batch.num_rows());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FittedRecipe {
    record: FittedRecord,
    roles: Roles,
    features: FittedFeatures,
    input_schema: SchemaRef,
    prepared: Mutex<Option<Arc<Prepared>>>,
}

impl FittedRecipe {
    /// Reads `fitted.json` and the tables beside it.
    ///
    /// # Errors
    /// NotFound when there is no such file, Manifest when it is not an artefact of a version this engine reads.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).map_err(|e| crate::source::files::io_error(&e, path))?;
        let dir = path.parent().unwrap_or_else(|| Path::new("."));
        Self::from_json(&text, path, &|file| {
            Ok(Arc::new(FileTable::open(&dir.join(file))?))
        })
    }

    /// Reads the text of an artefact that came from `path`; `table` opens the side tables it lists.
    pub(crate) fn from_json(
        text: &str,
        path: &Path,
        table: &dyn Fn(&Path) -> Result<Arc<dyn CategoryTable>>,
    ) -> Result<Self> {
        let record = FittedRecord::parse(text, path)?;
        let unusable = |why: String| unusable_artefact(path, &why);
        let mut tables: BTreeMap<String, Arc<dyn CategoryTable>> = BTreeMap::new();
        for (name, file) in &record.tables {
            let inside = Path::new(file);
            if inside
                .components()
                .any(|c| !matches!(c, std::path::Component::Normal(_)))
            {
                return Err(unusable(format!(
                    "table path \"{file}\" leaves the directory"
                )));
            }
            tables.insert(name.clone(), table(inside)?);
        }
        let artifact = FeaturesArtifact {
            json: record.features.clone(),
            tables,
        };
        let features = FittedFeatures::from_artifact(&artifact, &SqlExpressions::try_new()?)
            .map_err(|e| {
                Error::with_source(
                    ErrorKind::Manifest,
                    format!("\"{}\" cannot be used", path.display()),
                    e,
                )
            })?;
        Self::assemble(record, features).map_err(|e| unusable(e.to_string()))
    }

    /// The columns of the output of the run that wrote the artefact at `path`, without reading its tables.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn output_schema_at(path: &Path) -> Result<SchemaRef> {
        let record = FittedRecord::read(path)?;
        Ok(Arc::new(from_records(&record.output_schema)?))
    }

    /// A fitted recipe of this run.
    pub(crate) fn new(context: FittedContext, features: FittedFeatures) -> Result<Self> {
        let layout = OutputLayout::try_new(
            &carried_columns(&context.roles),
            &full_input(&context)?,
            &features,
        )?;
        let record = FittedRecord {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            millpond_version: env!("CARGO_PKG_VERSION").to_owned(),
            source: context.source,
            snapshot: context.snapshot,
            train_rows: context.train_rows,
            split_sql: context.split_sql,
            roles: RolesRecord {
                key: context.roles.key,
                label: context.roles.label,
                weight: context.roles.weight,
                pass_through: context.roles.pass_through,
            },
            recipe: context.recipe,
            input_schema: to_records(&context.input_schema),
            required_columns: context.required_columns,
            output_schema: to_records(layout.schema()),
            features: serde_json::Value::Null,
            tables: BTreeMap::new(),
        };
        Self::assemble(record, features)
    }

    fn assemble(record: FittedRecord, features: FittedFeatures) -> Result<Self> {
        let input_schema = Arc::new(from_records(&record.input_schema)?);
        let roles = Roles {
            key: record.roles.key.clone(),
            label: record.roles.label.clone(),
            weight: record.roles.weight.clone(),
            pass_through: record.roles.pass_through.clone(),
        };
        Ok(Self {
            record,
            roles,
            features,
            input_schema,
            prepared: Mutex::new(None),
        })
    }

    /// The columns of the run's output, carried ones first.
    ///
    /// # Errors
    /// When the artefact names a type this engine does not know.
    pub fn output_schema(&self) -> Result<SchemaRef> {
        Ok(Arc::new(from_records(&self.record.output_schema)?))
    }

    /// Names of the feature columns, in output order.
    #[must_use]
    pub fn feature_names(&self) -> Vec<&str> {
        self.features
            .output_fields()
            .iter()
            .map(|f| f.name().as_str())
            .collect()
    }

    /// The label column, when the recipe has one.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.roles.label.first().map(String::as_str)
    }

    /// The raw columns [`transform`](Self::transform) reads, with their types. Carried columns (keys, label, weight,
    /// pass-through) may be missing from a batch; the others may not.
    #[must_use]
    pub fn input_schema(&self) -> SchemaRef {
        Arc::clone(&self.input_schema)
    }

    /// The recipe that was fitted.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.record.recipe
    }

    /// Turns raw rows into feature rows: derived columns, then the carried columns that are present, then all features.
    /// Columns are found by name, or inside of structs by their path; further columns are ignored. `where` is not applied: every row given is transformed.
    ///
    /// # Errors
    /// Schema when a column is missing or cannot be read as its type, Data when a value is refused.
    pub fn transform(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut fields = Vec::new();
        let mut columns = Vec::new();
        for field in self.input_schema.fields() {
            match nested::column(batch, field.name()) {
                Some(column) => {
                    columns.push(to_type(&column, field.data_type(), field.name())?);
                    fields.push(Arc::clone(field));
                }
                None if self.is_optional(field.name()) => {}
                None => {
                    return Err(Error::new(
                        ErrorKind::Schema,
                        format!("column \"{}\" is missing from the input", field.name()),
                    ));
                }
            }
        }
        let schema = Arc::new(Schema::new(fields));
        let options =
            arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let raw = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
            .map_err(|e| Error::with_source(ErrorKind::Schema, "input batch", e))?;
        let prepared = self.prepared(&schema)?;
        let full = prepared.derived.add_to(raw)?;
        prepared
            .layout
            .transform(&full, &self.features, &mut TransformCounts::default())
    }

    /// Whether a missing column is forgiven: no feature is made of it.
    fn is_optional(&self, name: &str) -> bool {
        !self.record.required_columns.iter().any(|c| c == name)
    }

    /// The compiled derivations for batches of `schema`; the last one is remembered.
    fn prepared(&self, schema: &SchemaRef) -> Result<Arc<Prepared>> {
        let mut slot = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = slot.as_ref().filter(|p| p.input == *schema) {
            return Ok(Arc::clone(prepared));
        }
        let features = self.features.input_columns();
        let derived = DerivedColumns::try_new(
            &self.record.recipe.derive.0,
            schema,
            &SqlExpressions::try_new()?,
            &|name| {
                features.contains(&name)
                    || schema.fields().len() == self.input_schema.fields().len()
            },
        )?;
        let layout = self.layout(derived.schema())?;
        let prepared = Arc::new(Prepared {
            input: Arc::clone(schema),
            derived,
            layout,
        });
        *slot = Some(Arc::clone(&prepared));
        Ok(prepared)
    }

    /// Whether some feature cannot be computed without this source column.
    pub(crate) fn requires(&self, column: &str) -> bool {
        !self.is_optional(column)
    }

    /// The derivations that can be computed from a table of `schema`.
    pub(crate) fn derivations_for(&self, schema: &SchemaRef) -> Result<Vec<(String, String)>> {
        let features = self.features.input_columns();
        let derived = DerivedColumns::try_new(
            &self.record.recipe.derive.0,
            schema,
            &SqlExpressions::try_new()?,
            &|name| features.contains(&name),
        )?;
        let all = self.record.recipe.derive.0.iter();
        Ok(all.filter(|(name, _)| derived.has(name)).cloned().collect())
    }

    /// The columns to read for features and for those of `carried` that the table or the derivations have.
    pub(crate) fn columns_in(
        &self,
        schema: &Schema,
        derive: &[(String, String)],
        carried: &[String],
    ) -> Vec<String> {
        let there = |name: &str| {
            schema.field_with_name(name).is_ok() || derive.iter().any(|(d, _)| d == name)
        };
        let mut columns: Vec<String> = carried.iter().filter(|c| there(c)).cloned().collect();
        for name in self.features.input_columns() {
            if !columns.iter().any(|c| c == name) {
                columns.push(name.to_owned());
            }
        }
        columns
    }

    pub(crate) fn layout(&self, input: &Schema) -> Result<OutputLayout> {
        OutputLayout::try_new(&carried_columns(&self.roles), input, &self.features)
    }

    pub(crate) fn features(&self) -> &FittedFeatures {
        &self.features
    }

    pub(crate) fn roles(&self) -> &Roles {
        &self.roles
    }

    /// The files of the artefact. `fitted.json` comes last.
    pub(crate) fn to_files(&self) -> Result<Vec<FittedFile>> {
        let artifact = self
            .features
            .to_artifact()
            .map_err(|e| Error::with_source(ErrorKind::Sink, FITTED_FILE, e))?;
        let mut files = Vec::new();
        let mut tables = BTreeMap::new();
        for (index, (name, table)) in artifact.tables.iter().enumerate() {
            let file = format!("{TABLES_DIR}/{index:04}-{}.parquet", file_stem(name));
            files.push(FittedFile {
                name: file.clone(),
                content: Content::Table(Arc::clone(table)),
            });
            tables.insert(name.to_owned(), file);
        }
        let record = FittedRecord {
            features: artifact.json,
            tables,
            format: self.record.format.clone(),
            format_version: self.record.format_version,
            millpond_version: self.record.millpond_version.clone(),
            source: self.record.source.clone(),
            snapshot: self.record.snapshot.clone(),
            train_rows: self.record.train_rows,
            split_sql: self.record.split_sql.clone(),
            roles: RolesRecord {
                key: self.roles.key.clone(),
                label: self.roles.label.clone(),
                weight: self.roles.weight.clone(),
                pass_through: self.roles.pass_through.clone(),
            },
            recipe: self.record.recipe.clone(),
            input_schema: self.record.input_schema.clone(),
            required_columns: self.record.required_columns.clone(),
            output_schema: self.record.output_schema.clone(),
        };
        let mut json = serde_json::to_vec_pretty(&record)
            .map_err(|e| Error::with_source(ErrorKind::Manifest, "fitted.json", e))?;
        json.push(b'\n');
        files.push(FittedFile {
            name: FITTED_FILE.to_owned(),
            content: Content::Json(json),
        });
        Ok(files)
    }
}

/// A file of an artefact that has not been written yet.
pub(crate) struct FittedFile {
    /// Its path below the output directory.
    pub name: String,
    content: Content,
}

enum Content {
    Json(Vec<u8>),
    Table(Arc<dyn CategoryTable>),
}

impl FittedFile {
    /// Writes the content, holding no more of it in memory than a row group.
    pub fn write_to(&self, out: &mut (dyn Write + Send)) -> Result<()> {
        match &self.content {
            Content::Json(json) => out
                .write_all(json)
                .map_err(|e| Error::with_source(kind_of(e.kind()), self.name.as_str(), e)),
            Content::Table(table) => write_table(table.as_ref(), out),
        }
    }
}

fn full_input(context: &FittedContext) -> Result<Schema> {
    let derived = DerivedColumns::try_new(
        &context.recipe.derive.0,
        &context.input_schema,
        &SqlExpressions::try_new()?,
        &|_| true,
    )?;
    Ok(derived.schema().as_ref().clone())
}

/// A name from the data as a harmless part of a file name; the index before it keeps names apart.
pub(crate) fn file_stem(name: &str) -> String {
    name.chars()
        .take(60)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

fn to_records(schema: &Schema) -> Vec<ColumnRecord> {
    schema
        .fields()
        .iter()
        .map(|f| ColumnRecord {
            name: f.name().clone(),
            data_type: f.data_type().to_string(),
            nullable: f.is_nullable(),
            inside_of: f.metadata().get(INSIDE_OF).cloned(),
        })
        .collect()
}

fn from_records(records: &[ColumnRecord]) -> Result<Schema> {
    let fields = records
        .iter()
        .map(|r| {
            let data_type: DataType = r.data_type.parse().map_err(|e| {
                Error::with_source(
                    ErrorKind::Manifest,
                    format!("column \"{}\" has unknown type \"{}\"", r.name, r.data_type),
                    e,
                )
            })?;
            let inside = r.inside_of.iter();
            let inside = inside.map(|root| (INSIDE_OF.to_owned(), root.clone()));
            Ok(Field::new(&r.name, data_type, r.nullable).with_metadata(inside.collect()))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Schema::new(fields))
}
