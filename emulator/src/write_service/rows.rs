//! The rows of an append: protobuf or Arrow, turned into the table's wire schema.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field};
use arrow_ipc::reader::StreamDecoder;
use bytes::Bytes;
use prost_types::DescriptorProto;
use tokio::runtime::Handle;

use super::append_request::Rows;
use super::missing_values::MissingValues;
use crate::catalog::{Catalog, Table};
use crate::cells::{self, Cell, CellError, ProtoReader, ProtoSchemaError};
use crate::default_cells::DefaultCells;
use crate::query::{QueryError, statements::column_defaults};
use crate::schema::FieldSchema;
use crate::write_streams::Changes;
use crate::{geography, interval, wire};

/// Why an append holds no rows that can be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum RowsError {
    #[error("the first request of a connection must have a writer schema")]
    NoSchema,
    #[error("Rows must be specified.")]
    NoRows,
    #[error(transparent)]
    NoDescriptor(#[from] cells::NotADescriptor),
    #[error("the default of a missing value cannot be computed: {0}")]
    Default(#[from] QueryError),
    #[error("{CHANGE_SEQUENCE} is not supported by this emulator")]
    Sequence,
    #[error(transparent)]
    Proto(#[from] ProtoSchemaError),
    #[error("Input schema has more fields than BigQuery schema, extra fields: '{field}'")]
    ExtraColumn { field: String },
    #[error("the Arrow column {column} has type {from}, which does not become {to}")]
    ColumnType {
        column: String,
        from: DataType,
        to: DataType,
    },
    #[error("the Arrow data cannot be decoded: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// Rows that do not fit; none of the request's rows is written.
    #[error(
        "Errors found while processing rows. Please refer to the row_errors field for details. The list may not be complete because of the size limitations."
    )]
    Rows(Vec<CellError>),
}

impl RowsError {
    /// Whether the writer has columns that the table does not.
    pub fn is_extra_field(&self) -> bool {
        matches!(
            self,
            Self::ExtraColumn { .. } | Self::Proto(ProtoSchemaError::ExtraField { .. })
        )
    }
}

/// The schema that a writer sends its rows with; it is sent once and holds until another comes.
#[derive(Debug, Clone, Default)]
pub(super) struct WriterSchema {
    proto: Option<Arc<DescriptorProto>>,
    arrow: Option<Bytes>,
}

/// Where rows go, and what stands for values that they do not have.
pub(super) struct Destination<'a> {
    pub catalog: &'a Catalog,
    pub table: &'a Table,
    pub missing: &'a MissingValues,
}

impl Destination<'_> {
    fn columns(&self) -> &[FieldSchema] {
        let known = self.table.metadata.as_ref();
        known.map_or(&[], |metadata| metadata.schema.as_slice())
    }
}

/// Rows to add, or changes of rows that a table has already.
pub(super) enum Arrived {
    Rows(RecordBatch),
    Changes(Changes),
}

impl WriterSchema {
    /// Reads the rows of a request. Blocks, on a thread of a runtime.
    pub fn read(
        &mut self,
        rows: Option<Rows>,
        destination: &Destination<'_>,
    ) -> Result<Arrived, RowsError> {
        match rows {
            Some(Rows::ProtoRows(data)) => {
                if let Some(bytes) = data.writer_schema.and_then(|s| s.proto_descriptor) {
                    self.proto = Some(Arc::new(cells::descriptor(&bytes)?));
                }
                let descriptor = self.proto.as_ref().ok_or(RowsError::NoSchema)?;
                let rows = data.rows.ok_or(RowsError::NoRows)?.serialized_rows;
                proto_rows(descriptor, &rows, destination)
            }
            Some(Rows::ArrowRows(data)) => {
                if let Some(written) = data.writer_schema {
                    self.arrow = Some(written.serialized_schema);
                }
                let written = self.arrow.clone().ok_or(RowsError::NoSchema)?;
                let rows = data.rows.ok_or(RowsError::NoRows)?.serialized_record_batch;
                arrow_rows(written, rows, destination).map(Arrived::Rows)
            }
            None => Err(RowsError::NoRows),
        }
    }
}

/// The pseudo column that tells what becomes of the row with a row's key.
const CHANGE_TYPE: &str = "_CHANGE_TYPE";

/// The one that tells which of several changes is the last.
const CHANGE_SEQUENCE: &str = "_CHANGE_SEQUENCE_NUMBER";

fn proto_rows(
    descriptor: &DescriptorProto,
    rows: &[Bytes],
    destination: &Destination<'_>,
) -> Result<Arrived, RowsError> {
    let schema = &destination.table.schema;
    let names = |wanted: &str| {
        let mut fields = descriptor.field.iter();
        fields.any(|field| field.name().eq_ignore_ascii_case(wanted))
    };
    if names(CHANGE_SEQUENCE) {
        return Err(RowsError::Sequence);
    }
    let changes = names(CHANGE_TYPE);
    let mut fields = schema.fields().to_vec();
    if changes {
        fields.push(Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, false)));
    }
    let reader = ProtoReader::try_new(descriptor, &fields.into())?;
    if rows.is_empty() {
        return Err(RowsError::NoRows);
    }
    let Destination {
        catalog, missing, ..
    } = destination;
    let defaults = DefaultCells::try_new(catalog, destination.columns(), rows.len(), |column| {
        missing.is_default(&column.name)
    })?;
    let mut errors = Vec::new();
    let mut deleted: Vec<bool> = Vec::new();
    let mut read: Vec<Cell> = Vec::with_capacity(rows.len());
    for (row, bytes) in rows.iter().enumerate() {
        let cell = reader
            .row(bytes)
            .and_then(|cell| defaults.filled(cell, row, |_, value| *value == Cell::Null))
            .and_then(|mut cell| {
                if changes {
                    deleted.push(is_deleted(&mut cell)?);
                }
                Ok(cell)
            });
        match cell {
            Ok(cell) => read.push(cell),
            Err(message) => errors.push(CellError { row, message }),
        }
    }
    if !errors.is_empty() {
        return Err(RowsError::Rows(errors));
    }
    let rows = cells::batch(schema, &read).map_err(RowsError::Rows)?;
    Ok(if changes {
        Arrived::Changes(Changes { rows, deleted })
    } else {
        Arrived::Rows(rows)
    })
}

/// Takes the kind of change off a row's end.
fn is_deleted(row: &mut Cell) -> Result<bool, String> {
    let kind = match row {
        Cell::Record(cells) => cells.pop(),
        _ => None,
    };
    match kind {
        // Rows that are inserted take the place of those with their key.
        Some(Cell::Text(kind)) if ["UPSERT", "INSERT"].contains(&kind.as_str()) => Ok(false),
        Some(Cell::Text(kind)) if kind == "DELETE" => Ok(true),
        Some(Cell::Text(kind)) => Err(format!(
            "Invalid {CHANGE_TYPE} {kind:?}: it must be UPSERT or DELETE"
        )),
        _ => Err(format!("Missing required field: {CHANGE_TYPE}.")),
    }
}

fn arrow_rows(
    written: Bytes,
    rows: Bytes,
    destination: &Destination<'_>,
) -> Result<RecordBatch, RowsError> {
    let schema = &destination.table.schema;
    let mut decoder = StreamDecoder::new();
    decoder.decode(&mut Buffer::from(written))?;
    let mut body = Buffer::from(rows);
    let batch = decoder.decode(&mut body)?.ok_or(RowsError::NoRows)?;
    let own = batch.schema();
    for field in own.fields() {
        let Some((_, target)) = crate::projection::find(schema.fields(), field.name()) else {
            return Err(RowsError::ExtraColumn {
                field: field.name().clone(),
            });
        };
        if !becomes(field.data_type(), target.data_type()) {
            return Err(RowsError::ColumnType {
                column: field.name().clone(),
                from: field.data_type().clone(),
                to: target.data_type().clone(),
            });
        }
    }
    let mut errors = Vec::new();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = match crate::projection::find(own.fields(), field.name()) {
            Some((index, _)) => wire::to_wire(
                &interval::from_arrow(batch.column(index))?,
                &field.as_ref().clone().with_nullable(true),
            )?,
            None => left_out(field, batch.num_rows(), destination)?,
        };
        let column = if wire::sql_type(field) == Some("geography") {
            places(&column, field.name(), &mut errors)
        } else {
            column
        };
        if !field.is_nullable() {
            let missing = (0..column.len()).filter(|row| column.is_null(*row));
            errors.extend(missing.map(|row| CellError {
                row,
                message: format!("Missing required field: {}.", field.name()),
            }));
        }
        columns.push(column);
    }
    if !errors.is_empty() {
        errors.sort_by_key(|e| e.row);
        errors.dedup_by_key(|e| e.row);
        return Err(RowsError::Rows(errors));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}

/// A column that the writer does not have: its default where that is asked for, else null.
fn left_out(
    field: &Field,
    rows: usize,
    destination: &Destination<'_>,
) -> Result<ArrayRef, RowsError> {
    let mut columns = destination.columns().iter();
    let known = columns.find(|c| c.name.eq_ignore_ascii_case(field.name()));
    let default = known.filter(|c| column_defaults::of(c).is_some());
    match default {
        Some(column) if rows > 0 && destination.missing.is_default(&column.name) => {
            let columns = std::slice::from_ref(column);
            let values = column_defaults::values(destination.catalog, columns, rows);
            let values = Handle::current().block_on(values)?;
            Ok(Arc::clone(values.column(0)))
        }
        _ => Ok(wire::absent(&field.clone().with_nullable(true), rows)?),
    }
}

/// Places in BigQuery's form; those that are none are named.
fn places(column: &ArrayRef, name: &str, errors: &mut Vec<CellError>) -> ArrayRef {
    let Some(texts) = column.as_string_opt::<i32>() else {
        return Arc::clone(column);
    };
    let places: StringArray = texts
        .iter()
        .enumerate()
        .map(|(row, text)| match geography::from_text(text?) {
            Ok(place) => Some(place),
            Err(what) => {
                let message = format!("{what} Field: {name}");
                errors.push(CellError { row, message });
                None
            }
        })
        .collect();
    Arc::new(places)
}

/// Whether values of an Arrow type are values of the wire type, at most of another width.
fn becomes(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Dictionary(_, _), _) => false,
        (DataType::Null, _) => true,
        (DataType::Struct(own), DataType::Struct(children)) => own.iter().all(|f| {
            crate::projection::find(children, f.name())
                .is_some_and(|(_, c)| becomes(f.data_type(), c.data_type()))
        }),
        (DataType::List(own) | DataType::LargeList(own), DataType::List(item)) => {
            becomes(own.data_type(), item.data_type())
        }
        (
            DataType::Decimal128(_, _) | DataType::Decimal256(_, _),
            DataType::Decimal128(_, _) | DataType::Decimal256(_, _),
        ) => true,
        // A time without a zone is one of UTC.
        (DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_))) => true,
        (from, to) => wire::leaf_type(from).as_ref() == Some(to),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;
    use arrow::datatypes::{TimeUnit, TimestampMicrosecondType};

    use super::*;

    #[test]
    fn times_without_a_zone_are_those_of_utc_and_not_the_other_way_round() {
        let local = DataType::Timestamp(TimeUnit::Microsecond, None);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert!(becomes(&local, &utc));
        assert!(!becomes(&utc, &local));
        let given: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(5), None]));
        let taken = wire::to_wire(&given, &Field::new("at", utc.clone(), true)).ok();
        let taken = taken.filter(|taken| taken.data_type() == &utc);
        let taken = taken.map(|t| {
            t.as_primitive::<TimestampMicrosecondType>()
                .iter()
                .collect()
        });
        assert_eq!(taken, Some(vec![Some(5), None]));
    }
}
