//! Columns of any number type as rows of `f32`. Owns the conversion: null becomes NaN, true 1, false 0, all else the nearest `f32`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Schema};

use crate::error::{Error, ErrorKind, Result};

/// Rows converted at a time, so that the rows being filled stay in the nearest cache.
const TILE_ROWS: usize = 64;

/// Which columns become which places of a row.
#[derive(Debug, Clone)]
pub(super) struct RowShape {
    /// Indices of the columns to read, ascending, each once.
    columns: Vec<usize>,
    /// For each place of a row, which of `columns` fills it.
    places: Vec<usize>,
}

impl RowShape {
    /// Rows made of the columns called `names`, in that order.
    pub(super) fn try_new(schema: &Schema, names: &[&str]) -> Result<Self> {
        let mut wanted = Vec::with_capacity(names.len());
        for &name in names {
            let Some((index, field)) = schema.column_with_name(name) else {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!("the dataset has no column {name:?}"),
                ));
            };
            let data_type = field.data_type();
            if !(data_type.is_numeric() || *data_type == DataType::Boolean) {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!(
                        "column {name:?} is {data_type}, which is not a number and cannot be part of a matrix"
                    ),
                ));
            }
            wanted.push(index);
        }
        let mut columns = wanted.clone();
        columns.sort_unstable();
        columns.dedup();
        let places = wanted
            .iter()
            .filter_map(|index| columns.binary_search(index).ok())
            .collect();
        Ok(Self { columns, places })
    }

    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Values per row.
    pub(super) fn width(&self) -> usize {
        self.places.len()
    }

    /// Appends the rows of `batch`, which has just the columns of [`columns`](Self::columns).
    pub(super) fn append(&self, batch: &RecordBatch, rows: &mut Vec<f32>) -> Result<()> {
        let mut sources = Vec::with_capacity(self.places.len());
        for &place in &self.places {
            let Some(column) = batch.columns().get(place) else {
                return Err(Error::new(
                    ErrorKind::Manifest,
                    "a shard lacks a column of the first shard",
                ));
            };
            let column = match column.data_type() {
                DataType::Float32 => Arc::clone(column),
                _ => cast(column, &DataType::Float32).map_err(|e| {
                    Error::with_source(
                        ErrorKind::Schema,
                        "cannot make a matrix of 32-bit floats",
                        e,
                    )
                })?,
            };
            sources.push(column.as_primitive::<Float32Type>().clone());
        }
        let width = self.width();
        let start = rows.len();
        rows.resize(start + batch.num_rows() * width, f32::NAN);
        let filled = rows.get_mut(start..).unwrap_or_default();
        for (tile, first) in filled
            .chunks_mut((TILE_ROWS * width).max(1))
            .zip((0..batch.num_rows()).step_by(TILE_ROWS))
        {
            for (place, source) in sources.iter().enumerate() {
                let values = source.values().get(first..).unwrap_or_default();
                let row_values = tile.iter_mut().skip(place).step_by(width);
                match source.nulls().filter(|nulls| nulls.null_count() > 0) {
                    None => row_values.zip(values).for_each(|(to, from)| *to = *from),
                    Some(nulls) => {
                        for ((to, from), row) in row_values.zip(values).zip(first..) {
                            if nulls.is_valid(row) {
                                *to = *from;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
