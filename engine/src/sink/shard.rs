//! One Parquet file being written. Owns its checksum, computed from the bytes as they pass, and the meaning of a failure.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use crate::error::{Error, ErrorKind, Result};
use crate::output_dir::kind_of;

use super::layout::Layout;

/// Gathers chunks into row groups and writes these to one Parquet file.
///
/// A group waits as plain values and is encoded column by column when it is full.
#[derive(Debug)]
pub(super) struct ShardWriter<W: Write + Send> {
    writer: SerializedFileWriter<Checksummed<W>>,
    layout: Arc<Layout>,
    failure: Arc<OnceLock<io::ErrorKind>>,
    name: String,
    group: Vec<RecordBatch>,
    group_rows: usize,
    long_bytes: u64,
    rows: u64,
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
    pub(super) fn try_new(file: W, name: String, layout: &Arc<Layout>) -> Result<Self> {
        let failure = Arc::new(OnceLock::new());
        let file = Checksummed {
            file,
            bytes: 0,
            crc32c: 0,
            failure: Arc::clone(&failure),
        };
        let writer = SerializedFileWriter::new(
            file,
            Arc::clone(layout.parquet_schema()),
            Arc::clone(layout.properties()),
        )
        .map_err(|e| write_error(&failure, &name, e))?;
        Ok(Self {
            writer,
            layout: Arc::clone(layout),
            failure,
            name,
            group: Vec::new(),
            group_rows: 0,
            long_bytes: 0,
            rows: 0,
        })
    }

    /// Adds a chunk that holds `long_bytes` bytes of texts. Encodes the row group when that was its last chunk.
    pub(super) fn write(&mut self, chunk: RecordBatch, long_bytes: u64) -> Result<()> {
        self.rows += chunk.num_rows() as u64;
        self.group_rows += chunk.num_rows();
        self.long_bytes = self.long_bytes.saturating_add(long_bytes);
        self.group.push(chunk);
        if self.group_rows >= self.layout.group_rows()
            || self.long_bytes >= self.layout.most_long_bytes()
        {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes what is left and the footer.
    pub(super) fn close(mut self) -> Result<(W, Digest)> {
        if !self.group.is_empty() {
            self.write_group()?;
        }
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

    /// Bytes of chunks that are not in the file yet, and of what is kept for the footer.
    pub(super) fn memory_bytes(&self) -> usize {
        let chunks: usize = self
            .group
            .iter()
            .flat_map(RecordBatch::columns)
            .map(|column| column.get_buffer_memory_size())
            .sum();
        let groups = self.writer.flushed_row_groups().len();
        chunks + self.layout.footer_bytes(groups)
    }

    fn write_group(&mut self) -> Result<()> {
        let group = std::mem::take(&mut self.group);
        self.group_rows = 0;
        self.long_bytes = 0;
        let encoder = self.layout.encoder();
        encoder
            .write(&mut self.writer, &group)
            .map_err(|e| write_error(&self.failure, &self.name, e))
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
