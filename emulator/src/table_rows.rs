//! The rows of a table, batch after batch, for everything that reads them without a session.
//!
//! Blocks on the file system. Must not know about requests.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use crate::catalog::Table;
use crate::picoseconds::Precision;
use crate::projection::{Projection, UnknownField};
use crate::read_plan::{Format, ReadPlan};
use crate::stream_reader::{ReadError, StreamReader};

/// Bytes of a batch, about.
const BATCH_BYTES: usize = 1 << 20;

/// Why rows cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RowsError {
    #[error(transparent)]
    UnknownField(#[from] UnknownField),
    #[error(transparent)]
    Schema(#[from] ArrowError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Rows of a table in storage order.
pub(crate) struct TableRows {
    reader: StreamReader,
    left: u64,
}

impl TableRows {
    /// At most `limit` rows from row `start` on, with the selected columns, or all when none is named.
    pub fn try_new(
        table: Arc<Table>,
        selected: &[String],
        start: u64,
        limit: u64,
    ) -> Result<Self, RowsError> {
        let projection = Projection::resolve(&table.schema, selected)?;
        let rows = table.rows;
        let (format, precision) = (Format::default(), Precision::Kept);
        let plan = ReadPlan::try_new(table, &projection, None, format, precision)?;
        let reader = StreamReader::try_new(Arc::new(plan), 0..rows, start.min(rows), BATCH_BYTES)?;
        Ok(Self {
            reader,
            left: limit,
        })
    }
}

impl Iterator for TableRows {
    type Item = Result<RecordBatch, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        match self.reader.next_batch() {
            Ok(Some(batch)) => {
                let rows = usize::try_from(self.left).unwrap_or(usize::MAX);
                let batch = batch.slice(0, rows.min(batch.num_rows()));
                self.left -= batch.num_rows() as u64;
                Some(Ok(batch))
            }
            Ok(None) => {
                self.left = 0;
                None
            }
            Err(e) => {
                self.left = 0;
                Some(Err(e.into()))
            }
        }
    }
}
