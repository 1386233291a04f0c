//! The vocabulary tables of an artefact as Parquet files, written and read a batch at a time.
//!
//! Owns the settings of these files. Must not know what the categories are for.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millpond_features::{CategoryTable, StoreError, TableBatches};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::error::{Error, ErrorKind, Result};
use crate::output_dir::kind_of;

/// Rows of a row group: what the writer holds at a time, encoded.
const GROUP_ROWS: usize = 128 << 10;
/// Rows decoded at a time.
const BATCH_ROWS: usize = 8192;

/// Writes a table to `out`. The bytes depend on the rows alone.
///
/// # Errors
/// Disk when there is no room, Sink when it cannot be encoded or written otherwise, and the kind of whatever kept the rows when they cannot be read.
pub(super) fn write_table(table: &dyn CategoryTable, out: &mut (dyn Write + Send)) -> Result<()> {
    let failed = |e: ParquetError| {
        let io = match &e {
            ParquetError::External(inner) => inner.downcast_ref::<std::io::Error>(),
            _ => None,
        };
        let kind = io.map_or(ErrorKind::Sink, |io| kind_of(io.kind()));
        Error::with_source(kind, "vocabulary table", e)
    };
    let level = ZstdLevel::try_new(1).map_err(failed)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        // No category occurs twice.
        .set_column_dictionary_enabled("category".into(), false)
        .build();
    let mut writer = ArrowWriter::try_new(out, table.schema(), Some(properties)).map_err(failed)?;
    for batch in table.read().map_err(|e| store_failed(&e))? {
        let batch = batch.map_err(|e| store_failed(&e))?;
        writer.write(&batch).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(())
}

fn store_failed(error: &StoreError) -> Error {
    Error::find_in(error.failure())
        .unwrap_or_else(|| Error::with_source(ErrorKind::Disk, "vocabulary table", error.clone()))
}

/// A vocabulary table in a Parquet file, opened anew at every reading.
#[derive(Debug)]
pub(super) struct FileTable {
    path: PathBuf,
    schema: SchemaRef,
    rows: u64,
}

impl FileTable {
    /// # Errors
    /// NotFound when there is no such file, Manifest when it is not a Parquet file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let builder = open(path)?;
        let rows = builder.metadata().file_metadata().num_rows();
        Ok(Self {
            path: path.to_owned(),
            schema: Arc::clone(builder.schema()),
            rows: u64::try_from(rows).unwrap_or(0),
        })
    }
}

impl CategoryTable for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn read(&self) -> Result<TableBatches, StoreError> {
        let builder = open(&self.path).map_err(StoreError::new)?;
        let batches = builder.with_batch_size(BATCH_ROWS).build();
        let path = self.path.clone();
        let batches = batches.map_err(|e| StoreError::new(unusable(&path, e)))?;
        Ok(Box::new(batches.map(
            move |batch| -> Result<RecordBatch, StoreError> {
                batch.map_err(|e| StoreError::new(unusable(&path, e)))
            },
        )))
    }
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|e| crate::source::files::io_error(&e, path))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| unusable(path, e))
}

fn unusable(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let what = format!("\"{}\" cannot be used", path.display());
    Error::with_source(ErrorKind::Manifest, what, error)
}
