//! The columns of an output row: what is carried through unchanged, then the features.
//!
//! Owns their order and types. Must not know where batches come from or go to.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millpond_features::{FittedFeatures, Roles, TransformCounts};

use crate::error::{Error, ErrorKind, Result};

/// How input rows become output rows.
#[derive(Debug, Clone)]
pub(crate) struct OutputLayout {
    carried: Vec<Arc<Field>>,
    schema: SchemaRef,
}

impl OutputLayout {
    /// The layout of `carried` columns of `input` followed by the features.
    ///
    /// # Errors
    /// Config when a feature has the name of a carried column.
    pub fn try_new(carried: &[String], input: &Schema, features: &FittedFeatures) -> Result<Self> {
        let carried: Vec<Arc<Field>> = carried
            .iter()
            .filter_map(|name| input.field_with_name(name).ok())
            .map(|f| {
                Arc::new(Field::new(
                    f.name(),
                    plain_type(f.data_type()),
                    f.is_nullable(),
                ))
            })
            .collect();
        let mut fields = carried.clone();
        for field in features.output_fields() {
            if fields.iter().any(|f| f.name() == field.name()) {
                return Err(name_clash(field.name()));
            }
            fields.push(Arc::clone(field));
        }
        Ok(Self {
            carried,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    /// The schema of output batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Transforms one batch, which must hold the carried columns and the features' inputs.
    ///
    /// # Errors
    /// Schema when a column is missing or has another type, Data when a value is refused.
    pub fn transform(
        &self,
        batch: &RecordBatch,
        features: &FittedFeatures,
        counts: &mut TransformCounts,
    ) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in &self.carried {
            let column = batch.column_by_name(field.name()).ok_or_else(|| {
                Error::new(
                    ErrorKind::Schema,
                    format!("column \"{}\" is missing from the input", field.name()),
                )
            })?;
            columns.push(to_type(column, field.data_type(), field.name())?);
        }
        columns.extend(
            features
                .transform(batch, counts)
                .map_err(|e| Error::with_source(ErrorKind::Data, "transform", e))?,
        );
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| Error::with_source(ErrorKind::Data, "transformed batch", e))
    }
}

/// The error for a feature called like a column that is carried through.
pub(crate) fn name_clash(name: &str) -> Error {
    Error::config(format!(
        "two output columns are called \"{name}\"; give the feature set a prefix or a suffix"
    ))
}

/// `column` as `data_type`.
pub(crate) fn to_type(column: &ArrayRef, data_type: &DataType, name: &str) -> Result<ArrayRef> {
    if column.data_type() == data_type {
        return Ok(Arc::clone(column));
    }
    cast(column, data_type)
        .map_err(|e| Error::with_source(ErrorKind::Schema, format!("column \"{name}\""), e))
}

/// The type written for a carried column: text is plain text, however it is represented while it is read.
pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) => DataType::LargeList(plain_field(item)),
        DataType::FixedSizeList(item, length) => {
            DataType::FixedSizeList(plain_field(item), *length)
        }
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        other => other.clone(),
    }
}

/// A field inside of a carried column. What a service notes beside the type is about its own types.
fn plain_field(field: &Arc<Field>) -> Arc<Field> {
    let plain = plain_type(field.data_type());
    Arc::new(Field::new(field.name(), plain, field.is_nullable()))
}

/// The carried columns of a recipe in output order, each once: keys, label, weight, pass-through.
pub(crate) fn carried_columns(roles: &Roles) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let all = roles
        .key
        .iter()
        .chain(&roles.label)
        .chain(&roles.weight)
        .chain(&roles.pass_through);
    for name in all {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
