//! Rows that arrive one value at a time, as JSON, CSV or protobuf, turned into Arrow columns.
//!
//! Every value is a [`Cell`] first, whatever it came from; [`column`] gives a column its type by the table's own.
//! A value that does not fit is an error that names its row. Must not know where rows come from or go to.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    Float64Array, Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch,
    RecordBatchOptions, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef, TimeUnit};

use crate::picoseconds;

mod column_names;
mod from_json;
mod from_proto;
mod moments;
mod text;

pub(crate) use column_names::{NotADescriptor, descriptor};
pub(crate) use from_json::{JsonReading, JsonRows, UnknownFields, json_row};
pub(crate) use from_proto::{ProtoReader, ProtoSchemaError};

use text::Scalar;

/// One value of one row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    /// A number of the type's own unit: days of a date, microseconds of a timestamp.
    Int(i64),
    Float(f64),
    /// Seconds since 1970, as JSON writes a timestamp.
    Seconds(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Cell>),
    /// Values by the position of their field; those left out at the end are null.
    Record(Vec<Cell>),
}

/// A value that does not fit its column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CellError {
    /// Position of the row among those given.
    pub row: usize,
    /// What is wrong, naming the column.
    pub message: String,
}

/// Turns rows, each a record, into a batch of the wire schema.
///
/// # Errors
/// The [`CellError`]s of every row that does not fit, in the order of the rows, one for each row.
pub(crate) fn batch(schema: &SchemaRef, rows: &[Cell]) -> Result<RecordBatch, Vec<CellError>> {
    let cells: Vec<Option<&Cell>> = rows.iter().map(Some).collect();
    let mut errors = Vec::new();
    let columns = fields(schema.fields(), &cells, "", &mut errors);
    if !errors.is_empty() {
        errors.sort_by_key(|e| e.row);
        errors.dedup_by_key(|e| e.row);
        return Err(errors);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|e| {
        vec![CellError {
            row: 0,
            message: e.to_string(),
        }]
    })
}

/// Which row each value of a nested column belongs to.
struct Rows<'a> {
    cells: &'a [Option<&'a Cell>],
    /// `None` at the top, where positions are rows.
    owners: Option<&'a [usize]>,
}

impl Rows<'_> {
    fn owner(&self, at: usize) -> usize {
        self.owners.and_then(|o| o.get(at)).copied().unwrap_or(at)
    }
}

fn fields(
    fields: &Fields,
    records: &[Option<&Cell>],
    parent: &str,
    errors: &mut Vec<CellError>,
) -> Vec<ArrayRef> {
    let rows = Rows {
        cells: records,
        owners: None,
    };
    children(fields, &rows, parent, errors)
}

fn children(
    fields: &Fields,
    rows: &Rows<'_>,
    parent: &str,
    errors: &mut Vec<CellError>,
) -> Vec<ArrayRef> {
    fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let cells: Vec<Option<&Cell>> = rows
                .cells
                .iter()
                .map(|record| match record {
                    Some(Cell::Record(values)) => Some(values.get(index).unwrap_or(&Cell::Null)),
                    // Of a record that is null itself nothing is required.
                    _ => None,
                })
                .collect();
            let path = if parent.is_empty() {
                field.name().clone()
            } else {
                format!("{parent}.{}", field.name())
            };
            let below = Rows {
                cells: &cells,
                owners: rows.owners,
            };
            column(field, &below, &path, errors)
        })
        .collect()
}

/// The column of one field. `None` among the cells is a value whose record does not exist.
fn column(field: &Field, rows: &Rows<'_>, path: &str, errors: &mut Vec<CellError>) -> ArrayRef {
    if let DataType::List(item) = field.data_type() {
        return list(field, item, rows, path, errors);
    }
    if !field.is_nullable() {
        for (at, cell) in rows.cells.iter().enumerate() {
            if matches!(cell, Some(Cell::Null)) {
                errors.push(CellError {
                    row: rows.owner(at),
                    message: format!("Missing required field: {path}."),
                });
            }
        }
    }
    match field.data_type() {
        DataType::Struct(fields) if !is_range(field) => {
            record(fields, field.is_nullable(), rows, path, errors)
        }
        _ => scalar(field, rows, path, errors),
    }
}

fn is_range(field: &Field) -> bool {
    crate::wire::sql_type(field) == Some("range")
}

fn record(
    fields: &Fields,
    nullable: bool,
    rows: &Rows<'_>,
    path: &str,
    errors: &mut Vec<CellError>,
) -> ArrayRef {
    for (at, cell) in rows.cells.iter().enumerate() {
        if !matches!(cell, None | Some(Cell::Null | Cell::Record(_))) {
            errors.push(CellError {
                row: rows.owner(at),
                message: format!("This field: {path} is a record."),
            });
        }
    }
    let columns = children(fields, rows, path, errors);
    let valid: NullBuffer = rows
        .cells
        .iter()
        .map(|cell| matches!(cell, Some(Cell::Record(_))) || !nullable)
        .collect::<Vec<bool>>()
        .into();
    let len = rows.cells.len();
    let nulls = (valid.null_count() > 0).then_some(valid);
    StructArray::try_new_with_length(fields.clone(), columns, nulls, len).map_or_else(
        |e| {
            // A required value that is missing has been named already.
            if errors.is_empty() {
                errors.push(CellError {
                    row: 0,
                    message: format!("Field {path}: {e}"),
                });
            }
            Arc::new(StructArray::new_null(fields.clone(), len)) as ArrayRef
        },
        |array| Arc::new(array) as ArrayRef,
    )
}

fn list(
    field: &Field,
    item: &Arc<Field>,
    rows: &Rows<'_>,
    path: &str,
    errors: &mut Vec<CellError>,
) -> ArrayRef {
    let mut lengths = Vec::with_capacity(rows.cells.len());
    let mut values: Vec<Option<&Cell>> = Vec::new();
    let mut owners = Vec::new();
    for (at, cell) in rows.cells.iter().enumerate() {
        let row = rows.owner(at);
        match cell {
            Some(Cell::List(items)) => {
                lengths.push(items.len());
                for value in items {
                    if *value == Cell::Null {
                        errors.push(CellError {
                            row,
                            message: format!(
                                "Only optional fields can be set to NULL. Field: {path}; Value: NULL"
                            ),
                        });
                    }
                    values.push(Some(value));
                    owners.push(row);
                }
            }
            None | Some(Cell::Null) => lengths.push(0),
            Some(_) => {
                lengths.push(0);
                errors.push(CellError {
                    row,
                    message: format!(
                        "Array specified for non-repeated field or value for repeated field: {path}."
                    ),
                });
            }
        }
    }
    let below = Rows {
        cells: &values,
        owners: Some(&owners),
    };
    // The SQL type of the elements is written on the list field.
    let element = Field::new(item.name(), item.data_type().clone(), true)
        .with_metadata(field.metadata().clone());
    let elements = column(&element, &below, path, errors);
    let empty = || ListArray::new_null(Arc::clone(item), rows.cells.len());
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(Arc::clone(item), offsets, elements, None);
    Arc::new(list.unwrap_or_else(|_| empty()))
}

/// Collects scalars of one Rust type, with errors for what does not convert.
fn gather<T>(
    rows: &Rows<'_>,
    path: &str,
    errors: &mut Vec<CellError>,
    convert: impl Fn(&Cell) -> Result<T, String>,
) -> Vec<Option<T>> {
    rows.cells
        .iter()
        .enumerate()
        .map(|(at, cell)| match cell {
            None | Some(Cell::Null) => None,
            Some(cell) => match convert(cell) {
                Ok(value) => Some(value),
                Err(what) => {
                    errors.push(CellError {
                        row: rows.owner(at),
                        message: format!("{what} Field: {path}; Value: {}", text::shown(cell)),
                    });
                    None
                }
            },
        })
        .collect()
}

fn scalar(field: &Field, rows: &Rows<'_>, path: &str, errors: &mut Vec<CellError>) -> ArrayRef {
    match field.data_type() {
        DataType::Boolean => Arc::new(BooleanArray::from(gather(
            rows,
            path,
            errors,
            text::boolean,
        ))),
        DataType::Int64 => Arc::new(Int64Array::from(gather(rows, path, errors, text::integer))),
        DataType::Float64 => Arc::new(Float64Array::from(gather(rows, path, errors, text::float))),
        DataType::Binary => {
            let values = gather(rows, path, errors, text::bytes);
            Arc::new(BinaryArray::from_iter(values))
        }
        DataType::Date32 => Arc::new(Date32Array::from(gather(rows, path, errors, text::date))),
        DataType::Time64(_) => Arc::new(Time64MicrosecondArray::from(gather(
            rows,
            path,
            errors,
            text::time,
        ))),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let convert = if zone.is_some() {
                text::timestamp
            } else {
                text::datetime
            };
            let values = gather(rows, path, errors, convert);
            Arc::new(TimestampMicrosecondArray::from(values).with_timezone_opt(zone.clone()))
        }
        DataType::Decimal128(precision, scale) => {
            let values = gather(rows, path, errors, |c| {
                text::decimal128(c, *precision, *scale)
            });
            let array = Decimal128Array::from(values);
            Arc::new(
                array
                    .clone()
                    .with_precision_and_scale(*precision, *scale)
                    .unwrap_or(array),
            )
        }
        DataType::Decimal256(precision, scale) => {
            let values = gather(rows, path, errors, |c| {
                text::decimal256(c, *precision, *scale)
            });
            let array = Decimal256Array::from(values);
            Arc::new(
                array
                    .clone()
                    .with_precision_and_scale(*precision, *scale)
                    .unwrap_or(array),
            )
        }
        DataType::Interval(_) => Arc::new(IntervalMonthDayNanoArray::from(gather(
            rows,
            path,
            errors,
            text::interval,
        ))),
        DataType::Struct(ends) => range(ends, rows, path, errors),
        _ => {
            let sql_type = crate::wire::sql_type(field);
            let values = gather(rows, path, errors, |c| match sql_type {
                Some("geography") => text::geography(c),
                Some("json") => text::json(c),
                Some(picoseconds::SQL_TYPE) => text::picoseconds(c),
                _ => text::string(c),
            });
            Arc::new(StringArray::from(values))
        }
    }
}

/// A RANGE column: both ends of a text such as `[2020-01-01, UNBOUNDED)`, or of a record.
fn range(ends: &Fields, rows: &Rows<'_>, path: &str, errors: &mut Vec<CellError>) -> ArrayRef {
    let split = gather(rows, path, errors, text::range);
    let valid: Vec<bool> = split.iter().map(Option::is_some).collect();
    let mut columns = Vec::with_capacity(2);
    for (index, field) in ends.iter().enumerate() {
        let cells: Vec<Option<&Cell>> = split
            .iter()
            .map(|pair: &Option<Scalar>| pair.as_ref().and_then(|pair| pair.get(index)))
            .collect();
        let below = Rows {
            cells: &cells,
            owners: rows.owners,
        };
        columns.push(scalar(field, &below, path, errors));
    }
    let len = valid.len();
    StructArray::try_new_with_length(ends.clone(), columns, Some(valid.into()), len).map_or_else(
        |_| Arc::new(StructArray::new_null(ends.clone(), len)) as ArrayRef,
        |array| Arc::new(array) as ArrayRef,
    )
}

#[cfg(test)]
mod tests;
