//! One Parquet file being written. Owns its checksum, computed from the bytes as they pass, and the meaning of a failure.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::DEFAULT_PAGE_SIZE;

use crate::error::{Error, ErrorKind, Result};
use crate::output_dir::kind_of;

use super::layout::Layout;

/// Texts and bytes in one row group beyond which it ends early, in bytes. Only chunks that end early themselves come near.
const MOST_LONG_BYTES: u64 = 128 << 20;

/// What the Parquet writer sets aside for one packed column, in bytes.
const SET_ASIDE_BYTES: usize = DEFAULT_PAGE_SIZE;

/// Writes chunks to one Parquet file.
#[derive(Debug)]
pub(super) struct ShardWriter<W: Write + Send> {
    writer: ArrowWriter<Checksummed<W>>,
    failure: Arc<OnceLock<io::ErrorKind>>,
    name: String,
    rows: u64,
    long_bytes: u64,
    /// Address space the writer takes up front for packed columns, in bytes.
    set_aside_bytes: usize,
}

/// What is to be remembered of a finished file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) crc32c: u32,
}

impl<W: Write + Send> ShardWriter<W> {
    /// Starts a file; `name` is for error texts.
    pub(super) fn try_new(
        file: W,
        name: String,
        schema: &SchemaRef,
        layout: &Layout,
    ) -> Result<Self> {
        let failure = Arc::new(OnceLock::new());
        let file = Checksummed {
            file,
            bytes: 0,
            crc32c: 0,
            failure: Arc::clone(&failure),
        };
        let properties = layout.properties().clone();
        let writer = ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(properties))
            .map_err(|e| {
                let kind = match e {
                    ParquetError::External(_) => ErrorKind::Sink,
                    // The rest can only be about the types of the columns.
                    _ => ErrorKind::Schema,
                };
                Error::with_source(kind, format!("cannot write {name}"), e)
            })?;
        Ok(Self {
            writer,
            failure,
            name,
            rows: 0,
            long_bytes: 0,
            set_aside_bytes: layout.packed_columns() * SET_ASIDE_BYTES,
        })
    }

    /// Encodes a chunk that holds `long_bytes` bytes of texts.
    pub(super) fn write(&mut self, chunk: &RecordBatch, long_bytes: u64) -> Result<()> {
        let mut written = self.writer.write(chunk);
        self.long_bytes = self.long_bytes.saturating_add(long_bytes);
        if self.writer.in_progress_rows() == 0 {
            self.long_bytes = 0;
        } else if written.is_ok() && self.long_bytes >= MOST_LONG_BYTES {
            written = self.writer.flush();
            self.long_bytes = 0;
        }
        written.map_err(|e| write_error(&self.failure, &self.name, e))?;
        self.rows += chunk.num_rows() as u64;
        Ok(())
    }

    /// Writes what is left and the footer.
    pub(super) fn close(self) -> Result<(W, Digest)> {
        let Self {
            writer,
            failure,
            name,
            rows,
            ..
        } = self;
        let file = writer
            .into_inner()
            .map_err(|e| write_error(&failure, &name, e))?;
        let digest = Digest {
            rows,
            bytes: file.bytes,
            crc32c: file.crc32c,
        };
        Ok((file.file, digest))
    }

    /// Bytes of encoded pages that are not in the file yet, dictionaries included.
    pub(super) fn memory_bytes(&self) -> usize {
        // The writer counts what it has set aside for each packed column, which is never touched beyond the page at hand.
        let open_row_group = self.writer.in_progress_rows() > 0;
        let untouched = if open_row_group {
            self.set_aside_bytes
        } else {
            0
        };
        self.writer
            .memory_size()
            .saturating_sub(untouched)
            .max(self.writer.in_progress_size())
    }
}

/// The Parquet writer reports some failures of the file as text only, so their kind is kept aside.
fn write_error(failure: &OnceLock<io::ErrorKind>, name: &str, error: ParquetError) -> Error {
    let kind = failure.get().map_or(ErrorKind::Sink, |kind| kind_of(*kind));
    Error::with_source(kind, format!("cannot write {name}"), error)
}

/// Counts and hashes what is written.
#[derive(Debug)]
struct Checksummed<W> {
    file: W,
    bytes: u64,
    crc32c: u32,
    failure: Arc<OnceLock<io::ErrorKind>>,
}

impl<W: Write> Write for Checksummed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.write(bytes) {
            Ok(written) => {
                let bytes = bytes.get(..written).unwrap_or(bytes);
                self.bytes += written as u64;
                self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
                Ok(written)
            }
            Err(e) => {
                if e.kind() != io::ErrorKind::Interrupted {
                    // Only the first matters.
                    let _ = self.failure.set(e.kind());
                }
                Err(e)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
