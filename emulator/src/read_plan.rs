//! What one session reads of one table: columns, filter, encoding. Made once per session, shared by its streams.
//!
//! Must not know about requests, stream names or time.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{FieldRef, Fields, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;

use crate::arrow_message::{self, BufferCompression};
use crate::avro;
use crate::catalog::{DataFile, PARTITION_TIME, Table};
use crate::picoseconds::{self, Precision};
use crate::projection::Projection;
use crate::response_compression::ResponseCompression;
use crate::row_restriction::RowFilter;
use crate::wire;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Arrow(BufferCompression),
    Avro,
}

impl Default for Format {
    fn default() -> Self {
        Self::Arrow(BufferCompression::None)
    }
}

/// A session's choice of columns and rows, resolved against the table.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    /// The table as it was when the session was made.
    pub table: Arc<Table>,
    /// The schema of what is sent, in table order.
    pub schema: SchemaRef,
    /// `schema` as an IPC message, or as Avro's JSON.
    pub schema_message: Bytes,
    /// How rows are written.
    pub format: Format,
    /// `schema` before picoseconds were taken off.
    kept: SchemaRef,
    /// How a response's rows are compressed as a whole.
    pub response_compression: ResponseCompression,
    /// Parquet leaves to decode, ascending.
    pub leaves: Vec<usize>,
    /// Logical bytes of those leaves over the whole table.
    pub selected_bytes: u64,
    /// Bytes an open decoder of those leaves keeps, at most, in the row group where it is most.
    pub decoder_bytes: u64,
    output: Vec<Placed>,
    filter: Option<(RowFilter, Vec<Placed>, SchemaRef)>,
}

/// A wire field; its column is found in a decoded batch by name.
#[derive(Debug)]
struct Placed {
    field: arrow::datatypes::FieldRef,
    /// Not a column of the files: its value follows from the file alone.
    pseudo: bool,
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
        format: Format,
        precision: Precision,
    ) -> Result<Self, ArrowError> {
        let columns = table.schema.fields().len();
        let filter_columns: Vec<usize> = filter
            .iter()
            .flat_map(|f| f.columns.iter().copied())
            .filter(|index| *index < columns)
            .collect();
        let filtered = Projection::of_columns(&table.schema, &filter_columns);
        let mut leaves: Vec<usize> = selected.leaves().chain(filtered.leaves()).collect();
        leaves.sort_unstable();
        leaves.dedup();
        let place = |fields: &Fields, pseudo_from: usize| {
            let placed = |(index, field): (usize, &FieldRef)| Placed {
                field: Arc::clone(field),
                pseudo: index >= pseudo_from,
            };
            fields.iter().enumerate().map(placed).collect::<Vec<_>>()
        };
        let filter = match filter {
            None => None,
            Some(filter) => {
                let read: SchemaRef = Arc::new(table.filter_schema().project(&filter.columns)?);
                let placed = place(read.fields(), filter_columns.len());
                Some((filter, placed, read))
            }
        };
        let kept: SchemaRef = Arc::new(selected.schema());
        let schema: SchemaRef = match precision {
            // Those that are kept as text are no other type for whoever reads them here.
            Precision::Kept => Arc::clone(&kept),
            other => Arc::new(picoseconds::sent_schema(&kept, other)),
        };
        let selected_bytes = leaves.iter().filter_map(|l| table.leaf_bytes.get(*l)).sum();
        Ok(Self {
            schema_message: match format {
                Format::Arrow(_) => arrow_message::schema_message(&schema)?,
                Format::Avro => Bytes::from(avro::schema_json(&schema)),
            },
            format,
            response_compression: ResponseCompression::None,
            selected_bytes,
            decoder_bytes: table.decoder_bytes(&leaves),
            output: place(kept.fields(), usize::MAX),
            kept,
            filter,
            leaves,
            schema,
            table,
        })
    }

    /// The same, with responses compressed as a whole.
    pub fn compressing_responses(self, response_compression: ResponseCompression) -> Self {
        Self {
            response_compression,
            ..self
        }
    }

    /// Everything that decides the bytes of messages, but for the rows of the stream and the size aimed at.
    pub fn identity(&self) -> String {
        let files: Vec<_> = self.table.files.iter().map(DataFile::identity).collect();
        let filter = self.filter.as_ref().map(|(filter, _, _)| filter);
        format!(
            "{files:?} {:?} {:?} {:?} {filter:?}",
            self.schema_message, self.format, self.response_compression
        )
    }

    /// Whether rows are filtered, so that offsets count what passes.
    pub fn is_filtered(&self) -> bool {
        self.filter.is_some()
    }

    /// Turns a decoded batch into what is sent of it. All its rows are of one file, which has `partition_time`.
    ///
    /// # Errors
    /// [`ConvertError`] when a value does not fit its wire type or the filter fails on a row.
    pub fn convert(
        &self,
        decoded: &RecordBatch,
        partition_time: Option<i64>,
    ) -> Result<RecordBatch, ConvertError> {
        let Some((filter, placed, schema)) = &self.filter else {
            return self.sent(decoded);
        };
        let read = assemble(decoded, placed, schema, partition_time)?;
        let mask = filter.evaluate(&read)?;
        // Filtering first keeps the conversion of wide columns to the rows that pass.
        let passed = RowFilter::apply(decoded, &mask)?;
        self.sent(&passed)
    }

    fn sent(&self, decoded: &RecordBatch) -> Result<RecordBatch, ConvertError> {
        let rows = assemble(decoded, &self.output, &self.kept, None)?;
        Ok(picoseconds::sent(rows, &self.schema)?)
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
    partition_time: Option<i64>,
) -> Result<RecordBatch, ArrowError> {
    let rows = decoded.num_rows();
    let columns = placed
        .iter()
        .map(|p| {
            if p.pseudo {
                return pseudo_column(&p.field, partition_time, rows);
            }
            match decoded.column_by_name(p.field.name()) {
                Some(column) => wire::to_wire(column, &p.field),
                // The column is younger than the file.
                None => wire::absent(&p.field, rows),
            }
        })
        .collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// `_PARTITIONTIME` or `_PARTITIONDATE`: the same in every row of a file.
fn pseudo_column(
    field: &FieldRef,
    partition_time: Option<i64>,
    rows: usize,
) -> Result<ArrayRef, ArrowError> {
    let time = TimestampMicrosecondArray::from(vec![partition_time; rows]).with_timezone("UTC");
    let time: ArrayRef = Arc::new(time);
    if field.name() == PARTITION_TIME {
        return Ok(time);
    }
    cast(&time, field.data_type())
}
