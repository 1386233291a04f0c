//! A fixed number of rows of one split, gathered from batches of any size.
//!
//! Owns where one chunk ends and the next begins, which depends on the rows alone.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::error::{Error, ErrorKind, Result};

use super::column::{ColumnChunk, column_chunk};

/// Texts and bytes in one chunk beyond which it ends early, so that a few huge values do not fill the memory.
const MOST_LONG_BYTES: u64 = 8 << 20;

/// Rows on their way to the writer.
#[derive(Debug)]
pub(super) struct Chunk {
    columns: Vec<Box<dyn ColumnChunk>>,
    /// As gathered: texts of every kind become plain ones.
    schema: SchemaRef,
    rows: usize,
    most_rows: usize,
    long_bytes: u64,
    /// Columns whose values have no fixed width.
    long_columns: Vec<usize>,
}

impl Chunk {
    pub(super) fn new(schema: &Schema, most_rows: usize) -> Self {
        let columns: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| column_chunk(field.data_type(), most_rows))
            .collect();
        let fields: Vec<_> = schema
            .fields()
            .iter()
            .zip(&columns)
            .map(|(field, column)| {
                Field::new(field.name(), column.data_type(), field.is_nullable())
            })
            .collect();
        let long_columns = columns
            .iter()
            .enumerate()
            .filter_map(|(i, column)| column.is_long().then_some(i))
            .collect();
        Self {
            columns,
            schema: Arc::new(Schema::new(fields)),
            rows: 0,
            most_rows,
            long_bytes: 0,
            long_columns,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the chunk has to be taken before more can be appended.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.most_rows || self.long_bytes >= MOST_LONG_BYTES
    }

    /// Appends as many of `rows` of `batch` as fit, at least one if the chunk is not full; returns how many.
    pub(super) fn append(&mut self, batch: &RecordBatch, rows: &[u32]) -> Result<usize> {
        let room = self.most_rows.saturating_sub(self.rows).min(rows.len());
        let mut rows = rows.get(..room).unwrap_or(rows);
        if !self.long_columns.is_empty() {
            let (taken, long_bytes) = self.fitting(batch, rows);
            rows = rows.get(..taken).unwrap_or(rows);
            self.long_bytes = long_bytes;
        }
        for (column, source) in self.columns.iter_mut().zip(batch.columns()) {
            column.append(source, rows)?;
        }
        self.rows += rows.len();
        Ok(rows.len())
    }

    /// How many of `rows` there are up to and including the one that reaches [`MOST_LONG_BYTES`], and the bytes then held.
    fn fitting(&self, batch: &RecordBatch, rows: &[u32]) -> (usize, u64) {
        let mut bytes = vec![0_u64; rows.len()];
        for (column, source) in self.long_columns.iter().filter_map(|&i| {
            let column = self.columns.get(i)?;
            Some((column, batch.columns().get(i)?))
        }) {
            column.add_row_bytes(source, rows, &mut bytes);
        }
        let mut total = self.long_bytes;
        for (before, bytes) in bytes.into_iter().enumerate() {
            total = total.saturating_add(bytes);
            if total >= MOST_LONG_BYTES {
                return (before + 1, total);
            }
        }
        (rows.len(), total)
    }

    /// The rows gathered and the bytes of texts among them; the chunk is then empty.
    pub(super) fn take(&mut self) -> Result<(RecordBatch, u64)> {
        let columns = self
            .columns
            .iter_mut()
            .map(|column| column.take())
            .collect::<Result<Vec<_>>>()?;
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|e| Error::with_source(ErrorKind::Sink, "cannot gather rows", e))?;
        self.rows = 0;
        Ok((rows, std::mem::take(&mut self.long_bytes)))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.columns
            .iter()
            .map(|column| column.memory_bytes())
            .sum()
    }
}
