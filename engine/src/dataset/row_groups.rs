//! Opening shards and reading row groups of them. Owns the check that a file is what the manifest says, and the meaning of
//! a file that cannot be read.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::ShardEntry;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8192;

/// Which part of a shard to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowGroup {
    /// Every row group, in order.
    All,
    /// One row group by its index.
    One(usize),
}

/// A shard whose footer has been read.
pub(super) struct OpenShard {
    path: PathBuf,
    builder: ParquetRecordBatchReaderBuilder<File>,
}

/// Opens a shard of the dataset in `directory`, and makes sure of its length and row count.
pub(super) fn open_shard(directory: &Path, shard: &ShardEntry) -> Result<OpenShard> {
    shard.check_length(directory)?;
    let path = directory.join(&shard.path);
    let file = File::open(&path).map_err(|e| unreadable(&path, e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|e: ParquetError| unreadable(&path, e))?;
    let rows = builder.metadata().file_metadata().num_rows();
    if u64::try_from(rows) != Ok(shard.rows) {
        return Err(Error::new(
            ErrorKind::Manifest,
            format!(
                "{} has {rows} rows, the manifest says {}",
                path.display(),
                shard.rows
            ),
        ));
    }
    Ok(OpenShard { path, builder })
}

impl OpenShard {
    pub(super) fn schema(&self) -> &SchemaRef {
        self.builder.schema()
    }

    /// Number of row groups.
    pub(super) fn row_groups(&self) -> usize {
        self.builder.metadata().num_row_groups()
    }

    /// Passes the shard on if its columns are `schema`.
    pub(super) fn check_schema(self, schema: &SchemaRef) -> Result<Self> {
        if self.builder.schema().fields() != schema.fields() {
            return Err(Error::new(
                ErrorKind::Manifest,
                format!(
                    "{} has other columns than the first shard",
                    self.path.display()
                ),
            ));
        }
        Ok(self)
    }

    /// Reads the columns with the given indices (in schema order), or all.
    pub(super) fn read(self, group: RowGroup, columns: Option<&[usize]>) -> Result<ShardReader> {
        let Self { path, mut builder } = self;
        if let RowGroup::One(index) = group {
            builder = builder.with_row_groups(vec![index]);
        }
        if let Some(columns) = columns {
            let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
            builder = builder.with_projection(mask);
        }
        let reader = builder
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|e| unreadable(&path, e))?;
        Ok(ShardReader { path, reader })
    }
}

/// Batches of a part of a shard.
pub(super) struct ShardReader {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

impl std::fmt::Debug for ShardReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardReader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Iterator for ShardReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.map_err(|e| unreadable(&self.path, e)))
    }
}

fn unreadable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::with_source(
        ErrorKind::Manifest,
        format!("cannot read {}", path.display()),
        error,
    )
}
