//! What one session reads of one table: columns, filter, encoding. Made once per session, shared by its streams.
//!
//! Must not know about requests, stream names or time.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;

use crate::arrow_message::{self, BufferCompression};
use crate::catalog::Table;
use crate::projection::Projection;
use crate::row_restriction::RowFilter;
use crate::wire;

/// A session's choice of columns and rows, resolved against the table.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    /// The table as it was when the session was made.
    pub table: Arc<Table>,
    /// The schema of what is sent, in table order.
    pub schema: SchemaRef,
    /// `schema` as an IPC message.
    pub schema_message: Bytes,
    /// How buffers are compressed.
    pub compression: BufferCompression,
    /// Parquet leaves to decode, ascending.
    pub leaves: Vec<usize>,
    /// Logical bytes of those leaves over the whole table.
    pub selected_bytes: u64,
    /// Bytes an open decoder of those leaves keeps, at most, in the row group where it is most.
    pub decoder_bytes: u64,
    output: Vec<Placed>,
    filter: Option<(RowFilter, Vec<Placed>, SchemaRef)>,
}

/// A wire field and where its column stands in a decoded batch.
#[derive(Debug)]
struct Placed {
    position: usize,
    field: arrow::datatypes::FieldRef,
}

impl ReadPlan {
    /// Combines the selected columns with those the filter reads.
    ///
    /// # Errors
    /// [`ArrowError`] when the schema cannot be encoded.
    pub fn try_new(
        table: Arc<Table>,
        selected: &Projection,
        filter: Option<RowFilter>,
        compression: BufferCompression,
    ) -> Result<Self, ArrowError> {
        let filter_columns = filter.as_ref().map_or(&[][..], |f| f.columns.as_slice());
        let filtered = Projection::of_columns(&table.schema, filter_columns);
        let mut leaves: Vec<usize> = selected.leaves().chain(filtered.leaves()).collect();
        leaves.sort_unstable();
        leaves.dedup();
        let mut decoded: Vec<usize> = [selected, &filtered]
            .into_iter()
            .flat_map(|p| p.columns.iter().map(|c| c.index))
            .collect();
        decoded.sort_unstable();
        decoded.dedup();
        let place = |projection: &Projection| {
            projection
                .columns
                .iter()
                .map(|c| Placed {
                    position: decoded.partition_point(|i| *i < c.index),
                    field: Arc::clone(&c.field),
                })
                .collect::<Vec<_>>()
        };
        let schema: SchemaRef = Arc::new(selected.schema());
        let selected_bytes = leaves.iter().filter_map(|l| table.leaf_bytes.get(*l)).sum();
        Ok(Self {
            schema_message: arrow_message::schema_message(&schema)?,
            compression,
            selected_bytes,
            decoder_bytes: table.decoder_bytes(&leaves),
            output: place(selected),
            filter: filter.map(|f| {
                (
                    f,
                    place(&filtered),
                    Arc::new(filtered.schema()) as SchemaRef,
                )
            }),
            leaves,
            schema,
            table,
        })
    }

    /// Whether rows are filtered, so that offsets count what passes.
    pub fn is_filtered(&self) -> bool {
        self.filter.is_some()
    }

    /// Turns a decoded batch into what is sent of it.
    ///
    /// # Errors
    /// [`ConvertError`] when a value does not fit its wire type or the filter fails on a row.
    pub fn convert(&self, decoded: &RecordBatch) -> Result<RecordBatch, ConvertError> {
        let Some((filter, placed, schema)) = &self.filter else {
            return Ok(assemble(decoded, &self.output, &self.schema)?);
        };
        let read = assemble(decoded, placed, schema)?;
        let mask = filter.evaluate(&read)?;
        // Filtering first keeps the conversion of wide columns to the rows that pass.
        let passed = RowFilter::apply(decoded, &mask)?;
        Ok(assemble(&passed, &self.output, &self.schema)?)
    }

    /// Decoded bytes of one row, from the table's sizes: a first guess for the size of a batch.
    pub fn estimated_row_bytes(&self) -> u64 {
        let per_row = self.selected_bytes / self.table.rows.max(1);
        // Offsets and validity weigh about this much per leaf.
        per_row + 2 * self.leaves.len() as u64 + 1
    }
}

/// Why a decoded batch could not be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConvertError {
    #[error(transparent)]
    Type(#[from] ArrowError),
    #[error(transparent)]
    Filter(#[from] datafusion::common::DataFusionError),
}

fn assemble(
    decoded: &RecordBatch,
    placed: &[Placed],
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let columns = placed
        .iter()
        .map(|p| {
            let column = decoded
                .columns()
                .get(p.position)
                .ok_or_else(|| missing(decoded.schema_ref(), &p.field))?;
            wire::to_wire(column, &p.field)
        })
        .collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(decoded.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn missing(decoded: &Schema, field: &arrow::datatypes::Field) -> ArrowError {
    ArrowError::SchemaError(format!(
        "column {} is not among the {} decoded columns",
        field.name(),
        decoded.fields().len()
    ))
}
