//! What columns hold where a row has no value of its own: their defaults.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use tokio::runtime::Handle;

use crate::catalog::Catalog;
use crate::cells::Cell;
use crate::query::{QueryError, statements::column_defaults};
use crate::schema::FieldSchema;
use crate::value_text;

/// The defaults of a table's columns for a number of rows.
#[derive(Debug, Default)]
pub(crate) struct DefaultCells {
    /// Positions in the table, names, and the values of each.
    columns: Vec<(usize, String, ArrayRef)>,
}

impl DefaultCells {
    /// Computes the defaults of those columns that have one and are `wanted`, for so many rows. Blocks, on a thread of a runtime.
    ///
    /// # Errors
    /// [`QueryError`] for a default that cannot be computed.
    pub fn try_new(
        catalog: &Catalog,
        known: &[FieldSchema],
        rows: usize,
        wanted: impl Fn(&FieldSchema) -> bool,
    ) -> Result<Self, QueryError> {
        let (places, columns): (Vec<usize>, Vec<FieldSchema>) = known
            .iter()
            .enumerate()
            .filter(|(_, c)| column_defaults::of(c).is_some() && wanted(c))
            .map(|(place, c)| (place, c.clone()))
            .unzip();
        if columns.is_empty() || rows == 0 {
            return Ok(Self::default());
        }
        let values = column_defaults::values(catalog, &columns, rows);
        let values = Handle::current().block_on(values)?;
        let arrays = values.columns().iter().cloned();
        let named = places.into_iter().zip(columns).zip(arrays);
        Ok(Self {
            columns: named.map(|((at, c), array)| (at, c.name, array)).collect(),
        })
    }

    /// A row with the defaults of the columns that are `missing`, by name and what the row has there.
    ///
    /// # Errors
    /// A message when a default is no single value.
    pub fn filled(
        &self,
        cell: Cell,
        row: usize,
        missing: impl Fn(&str, &Cell) -> bool,
    ) -> Result<Cell, String> {
        let Cell::Record(mut cells) = cell else {
            return Ok(cell);
        };
        for (place, name, values) in &self.columns {
            if let Some(slot) = cells.get_mut(*place)
                && missing(name, slot)
            {
                *slot = cell_of(values, row, name)?;
            }
        }
        Ok(Cell::Record(cells))
    }
}

fn cell_of(values: &ArrayRef, row: usize, name: &str) -> Result<Cell, String> {
    if values.is_null(row) {
        return Ok(Cell::Null);
    }
    match values.data_type() {
        DataType::Binary => Ok(Cell::Bytes(values.as_binary::<i32>().value(row).to_vec())),
        DataType::List(_) | DataType::Struct(_) => Err(format!(
            "the default of column {name} is no single value, which is not supported by this emulator"
        )),
        _ => Ok(Cell::Text(value_text::scalar(values, row))),
    }
}
