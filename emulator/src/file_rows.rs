//! The rows of one Parquet file, batch after batch: columns stored as Arrow holds them are shared, the others decoded.
//!
//! Owns the check that a file is still the one that was listed. Blocks; must not know about streams, wire types or messages.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, Schema};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::catalog::DataFile;
use crate::plain_column::PlainColumn;

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FileError {
    /// A file of the table is not the one the session was made from.
    #[error("{} changed after the session was created", path.display())]
    Changed { path: PathBuf },
    #[error("cannot read {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot decode {}", path.display())]
    Parquet { path: PathBuf, source: ParquetError },
    #[error("cannot decode rows of {}: {source}", path.display())]
    Decode { path: PathBuf, source: ArrowError },
    #[error("{} ended {missing} rows before its footer says", path.display())]
    EndedEarly { path: PathBuf, missing: usize },
}

/// A file being read: everything of a stream's reader that weighs much and can be made again.
pub(crate) struct FileRows {
    path: PathBuf,
    /// `_PARTITIONTIME` of its rows, microseconds since 1970.
    pub partition_time: Option<i64>,
    batch_rows: usize,
    /// Rows that were not given yet.
    left: usize,
    /// The columns that must be decoded, or all when there is no other.
    decoded: Option<ParquetRecordBatchReader>,
    plain: Vec<(FieldRef, PlainColumn)>,
}

impl FileRows {
    /// The rows `rows` of one file, by the file's own row numbers. Row groups outside are not touched.
    ///
    /// # Errors
    /// [`FileError`] when the file was replaced or cannot be read.
    pub fn open(
        file: &DataFile,
        rows: Range<u64>,
        leaves: &[usize],
        batch_rows: usize,
    ) -> Result<Self, FileError> {
        let path = &file.path;
        let io_error = |source| FileError::Io {
            path: path.clone(),
            source,
        };
        let found = fs::metadata(path).map_err(io_error)?;
        let modified = found.modified().map_err(io_error)?;
        if found.len() != file.len || modified != file.modified {
            return Err(FileError::Changed { path: path.clone() });
        }
        let source = File::open(path).map_err(io_error)?;
        let first_group = file.group_ends.partition_point(|end| *end <= rows.start);
        let last_group = file.group_ends.partition_point(|end| *end < rows.end);
        let group_start = first_group
            .checked_sub(1)
            .and_then(|group| file.group_ends.get(group))
            .copied()
            .unwrap_or(0);
        let groups = first_group..last_group + 1;
        let skip = (rows.start - group_start) as usize;
        let left = (rows.end - rows.start) as usize;
        // Whoever reads seeks first, so one cursor does for all.
        let shared = Arc::new(source.try_clone().map_err(io_error)?);
        let (mut plain, mut others) = (Vec::new(), Vec::new());
        for leaf in leaves {
            match plain_column(file, &shared, *leaf, groups.clone(), skip) {
                Some(column) => plain.push(column),
                None => others.push(*leaf),
            }
        }
        let decoded = if plain.is_empty() || !others.is_empty() {
            let builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(source, file.metadata.clone());
            let mask = ProjectionMask::leaves(builder.parquet_schema(), others);
            let mut builder = builder
                .with_projection(mask)
                .with_batch_size(batch_rows)
                .with_row_groups(groups.collect())
                .with_limit(left);
            if skip > 0 {
                builder = builder.with_offset(skip);
            }
            Some(builder.build().map_err(|source| FileError::Parquet {
                path: path.clone(),
                source,
            })?)
        } else {
            None
        };
        Ok(Self {
            path: path.clone(),
            partition_time: file.partition_time,
            batch_rows,
            left,
            decoded,
            plain,
        })
    }

    /// The next rows, columns in no certain order; `None` after the last.
    ///
    /// # Errors
    /// [`FileError`] when the file is damaged or shorter than its footer says.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, FileError> {
        if self.left == 0 {
            return Ok(None);
        }
        let decoded = match self.decoded.as_mut().map(Iterator::next) {
            None => None,
            Some(Some(batch)) => Some(batch.map_err(|source| self.decode_error(source))?),
            Some(None) => {
                return Err(FileError::EndedEarly {
                    path: self.path.clone(),
                    missing: self.left,
                });
            }
        };
        let shared = self.next_plain(decoded.as_ref().map(RecordBatch::num_rows));
        let (rows, shared) = shared.map_err(|source| FileError::Parquet {
            path: self.path.clone(),
            source,
        })?;
        self.left = self.left.saturating_sub(rows);
        let mut batch = (Vec::new(), Vec::new());
        if let Some(decoded) = decoded {
            if shared.is_empty() {
                return Ok(Some(decoded));
            }
            batch = (
                decoded.schema_ref().fields().to_vec(),
                decoded.columns().to_vec(),
            );
        }
        let (mut fields, mut columns) = batch;
        fields.extend(self.plain.iter().map(|(field, _)| Arc::clone(field)));
        columns.extend(shared);
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .map(Some)
            .map_err(|source| self.decode_error(source))
    }

    /// The next rows of the columns that are shared: as many as were decoded of the others, if there are others.
    fn next_plain(
        &mut self,
        decoded: Option<usize>,
    ) -> Result<(usize, Vec<ArrayRef>), ParquetError> {
        let rows = match decoded {
            Some(rows) => rows,
            None => self.rows_in_pages()?,
        };
        let columns = self.plain.iter_mut().map(|(_, column)| column.next(rows));
        Ok((rows, columns.collect::<Result<_, _>>()?))
    }

    /// Rows for a batch that ends where pages do, or well before, so that none of its columns lies in two of them; as many as
    /// wanted where pages of some column are too short for that.
    fn rows_in_pages(&mut self) -> Result<usize, ParquetError> {
        let mut shortest = self.left;
        for (_, column) in &mut self.plain {
            shortest = shortest.min(column.rows_at_hand()?);
        }
        if shortest < self.batch_rows / 2 {
            return Ok(self.batch_rows.min(self.left));
        }
        let batches = (shortest + self.batch_rows / 2) / self.batch_rows.max(1);
        Ok(shortest.div_ceil(batches.max(1)))
    }

    fn decode_error(&self, source: ArrowError) -> FileError {
        FileError::Decode {
            path: self.path.clone(),
            source,
        }
    }
}

/// A column without children that can be shared, and its field in decoded batches.
fn plain_column(
    file: &DataFile,
    source: &Arc<File>,
    leaf: usize,
    groups: Range<usize>,
    skip: usize,
) -> Option<(FieldRef, PlainColumn)> {
    let metadata = file.metadata.metadata();
    let column = metadata
        .file_metadata()
        .schema_descr()
        .get_column_root_idx(leaf);
    let field = file.metadata.schema().fields().get(column)?;
    let found = PlainColumn::find(source, metadata, leaf, field.data_type(), groups, skip)?;
    Some((Arc::clone(field), found))
}

#[cfg(test)]
mod tests;
