//! The rows of an append: protobuf or Arrow, turned into the table's wire schema.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow_ipc::reader::StreamDecoder;
use bytes::Bytes;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use prost_types::DescriptorProto;
use proto::append_rows_request::Rows;

use crate::cells::{self, Cell, CellError, ProtoReader, ProtoSchemaError};
use crate::{geography, interval, wire};

/// Why an append holds no rows that can be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum RowsError {
    #[error("the first request of a connection must have a writer schema")]
    NoSchema,
    #[error("the request has no rows")]
    NoRows,
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

impl WriterSchema {
    /// Reads the rows of a request for a table of `schema`.
    pub fn read(
        &mut self,
        rows: Option<Rows>,
        schema: &SchemaRef,
    ) -> Result<RecordBatch, RowsError> {
        match rows {
            Some(Rows::ProtoRows(data)) => {
                if let Some(descriptor) = data.writer_schema.and_then(|s| s.proto_descriptor) {
                    self.proto = Some(Arc::new(descriptor));
                }
                let descriptor = self.proto.as_ref().ok_or(RowsError::NoSchema)?;
                let rows = data.rows.ok_or(RowsError::NoRows)?.serialized_rows;
                proto_rows(descriptor, &rows, schema)
            }
            Some(Rows::ArrowRows(data)) => {
                if let Some(written) = data.writer_schema {
                    self.arrow = Some(written.serialized_schema);
                }
                let written = self.arrow.clone().ok_or(RowsError::NoSchema)?;
                let rows = data.rows.ok_or(RowsError::NoRows)?.serialized_record_batch;
                arrow_rows(written, rows, schema)
            }
            None => Err(RowsError::NoRows),
        }
    }
}

fn proto_rows(
    descriptor: &DescriptorProto,
    rows: &[Bytes],
    schema: &SchemaRef,
) -> Result<RecordBatch, RowsError> {
    let reader = ProtoReader::try_new(descriptor, schema.fields())?;
    let mut errors = Vec::new();
    let mut read: Vec<Cell> = Vec::with_capacity(rows.len());
    for (row, bytes) in rows.iter().enumerate() {
        match reader.row(bytes) {
            Ok(cell) => read.push(cell),
            Err(message) => errors.push(CellError { row, message }),
        }
    }
    if !errors.is_empty() {
        return Err(RowsError::Rows(errors));
    }
    cells::batch(schema, &read).map_err(RowsError::Rows)
}

fn arrow_rows(written: Bytes, rows: Bytes, schema: &SchemaRef) -> Result<RecordBatch, RowsError> {
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
            None => wire::absent(
                &field.as_ref().clone().with_nullable(true),
                batch.num_rows(),
            )?,
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
        (from, to) => wire::leaf_type(from).as_ref() == Some(to),
    }
}
