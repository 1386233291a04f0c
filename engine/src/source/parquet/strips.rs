//! Reading wide row groups in bounded memory.
//!
//! Owns what decoding takes, as far as footers tell, and the way around it: rows in blocks, and the columns of a block strip by
//! strip. Must not know units or the order columns are asked for in.

use std::fs::File;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

/// A page of usual size, in bytes.
const PAGE_BYTES: i64 = 1 << 20;
/// Buffers and decompressor of one column, in bytes.
const DECODER_BYTES: i64 = 48 << 10;
/// The part of the memory limit that decoders of all columns side by side may take. Beyond it columns are read in strips.
const DECODERS_SHARE: usize = 4;
/// The part of the memory limit for the decoders of one strip.
const STRIP_SHARE: usize = 16;
/// The part of the memory limit for the rows of one block.
const BLOCK_SHARE: usize = 8;
/// Every page of a block is decoded once more for each block that begins in it: blocks are not to be tiny ...
const FEWEST_BLOCK_ROWS: usize = 1 << 8;
/// ... nor larger than needed to make that rare.
const MOST_BLOCK_ROWS: usize = 1 << 16;

/// What a reader of some columns holds, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ReaderNeed {
    /// Decoders of all columns.
    pub decoder_bytes: usize,
    /// Decoder of the column that takes most.
    pub column_bytes: usize,
    /// Compressed bytes fetched at once; none of a local file.
    pub fetched_bytes: usize,
    /// A decoded row.
    pub row_bytes: usize,
}

impl ReaderNeed {
    /// What the greater of two row groups takes.
    pub fn max(self, other: Self) -> Self {
        Self {
            decoder_bytes: self.decoder_bytes.max(other.decoder_bytes),
            column_bytes: self.column_bytes.max(other.column_bytes),
            fetched_bytes: self.fetched_bytes.max(other.fetched_bytes),
            row_bytes: self.row_bytes.max(other.row_bytes),
        }
    }

    /// How to read in strips, when reading all columns side by side would take too much of `limit_bytes`. What is fetched from
    /// afar is fetched whole.
    pub fn strips(&self, limit_bytes: usize) -> Option<Strips> {
        let fits = self.decoder_bytes <= limit_bytes / DECODERS_SHARE;
        (!fits && self.fetched_bytes == 0).then(|| Strips {
            bytes: limit_bytes / STRIP_SHARE,
            block_rows: (limit_bytes / BLOCK_SHARE / self.row_bytes.max(1))
                .clamp(FEWEST_BLOCK_ROWS, MOST_BLOCK_ROWS),
        })
    }

    /// All a reader holds besides the batch it hands out.
    pub fn bytes(&self, limit_bytes: usize) -> usize {
        match self.strips(limit_bytes) {
            None => self.decoder_bytes.saturating_add(self.fetched_bytes),
            Some(strips) => strips
                .bytes
                .max(self.column_bytes)
                .saturating_add(strips.block_rows.saturating_mul(self.row_bytes)),
        }
    }
}

/// What decoding one column chunk takes: a page, and the dictionary where there is one.
pub(super) fn decoder_bytes(chunk: &ColumnChunkMetaData) -> usize {
    let dictionary = chunk.dictionary_page_offset().map_or(0, |at| {
        let compressed = chunk.data_page_offset().saturating_sub(at).max(0);
        let ratio = chunk.uncompressed_size() / chunk.compressed_size().max(1);
        compressed.saturating_mul(ratio.max(1)).min(PAGE_BYTES)
    });
    let page = chunk
        .uncompressed_size()
        .saturating_sub(dictionary)
        .clamp(0, PAGE_BYTES);
    usize::try_from(dictionary + page + DECODER_BYTES).unwrap_or(usize::MAX)
}

/// Bounds of reading in strips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strips {
    /// Decoders of one strip, in bytes, unless a single column takes more.
    bytes: usize,
    /// Rows decoded at a time.
    block_rows: usize,
}

/// Reads chosen columns of some row groups of one file, block by block.
pub(super) struct StripReader {
    pub metadata: ArrowReaderMetadata,
    /// In ascending order.
    pub row_groups: Vec<usize>,
    /// Top-level columns in ascending order.
    pub roots: Vec<usize>,
    /// What is read of them.
    pub leaves: Vec<usize>,
    pub strips: Strips,
}

impl StripReader {
    /// The rows in order, in batches of at most `batch_rows`, the columns in the order of the file.
    pub fn read(
        self,
        file: File,
        batch_rows: usize,
    ) -> impl Iterator<Item = Result<RecordBatch, ParquetError>> {
        let batch_rows = batch_rows.max(1);
        self.blocks()
            .into_iter()
            .flat_map(move |block| match self.decode(&file, block) {
                Ok(rows) => {
                    let starts = (0..rows.num_rows()).step_by(batch_rows);
                    let pieces: Vec<_> = starts
                        .map(|at| Ok(rows.slice(at, batch_rows.min(rows.num_rows() - at))))
                        .collect();
                    pieces
                }
                Err(e) => vec![Err(e)],
            })
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        for &group in &self.row_groups {
            let Some(metadata) = self.metadata.metadata().row_groups().get(group) else {
                continue;
            };
            let rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
            let starts = (0..rows).step_by(self.strips.block_rows);
            blocks.extend(starts.map(|start| Block {
                group,
                start,
                rows: self.strips.block_rows.min(rows - start),
            }));
        }
        blocks
    }

    fn decode(&self, file: &File, block: Block) -> Result<RecordBatch, ParquetError> {
        let mut fields: Vec<FieldRef> = Vec::with_capacity(self.roots.len());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.roots.len());
        let group = self.metadata.metadata().row_group(block.group);
        for strip in cut(&self.roots, &self.root_bytes(group), self.strips.bytes) {
            let schema = self.metadata.parquet_schema();
            let in_strip = |leaf: &usize| strip.contains(&schema.get_column_root_idx(*leaf));
            let leaves = self.leaves.iter().copied().filter(in_strip);
            let mask = ProjectionMask::leaves(schema, leaves);
            let selection = RowSelection::from(vec![
                RowSelector::skip(block.start),
                RowSelector::select(block.rows),
            ]);
            let mut reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
                file.try_clone()?,
                self.metadata.clone(),
            )
            .with_projection(mask)
            .with_row_groups(vec![block.group])
            .with_row_selection(selection)
            .with_batch_size(block.rows)
            .build()?;
            let batch = reader
                .next()
                .transpose()?
                .filter(|batch| batch.num_rows() == block.rows)
                .ok_or_else(|| {
                    ParquetError::General(format!(
                        "row group {} holds fewer rows than its footer says",
                        block.group
                    ))
                })?;
            fields.extend(batch.schema().fields().iter().cloned());
            columns.extend(batch.columns().iter().cloned());
        }
        Ok(RecordBatch::try_new(Schema::new(fields).into(), columns)?)
    }

    /// What the decoders of each top-level column take.
    fn root_bytes(&self, group: &RowGroupMetaData) -> Vec<usize> {
        let schema = group.schema_descr();
        let mut bytes = vec![0_usize; schema.root_schema().get_fields().len()];
        for leaf in &self.leaves {
            let (Some(chunk), Some(bytes)) = (
                group.columns().get(*leaf),
                bytes.get_mut(schema.get_column_root_idx(*leaf)),
            ) else {
                continue;
            };
            *bytes = bytes.saturating_add(decoder_bytes(chunk));
        }
        bytes
    }
}

/// Consecutive rows of one row group.
#[derive(Debug, Clone, Copy)]
struct Block {
    group: usize,
    start: usize,
    rows: usize,
}

/// Cuts `roots` into runs whose decoders take at most `most_bytes`, at least one column each.
fn cut<'a>(roots: &'a [usize], root_bytes: &[usize], most_bytes: usize) -> Vec<&'a [usize]> {
    let mut runs = Vec::new();
    let mut rest = roots;
    while !rest.is_empty() {
        let mut taken = 0;
        let mut bytes = 0_usize;
        for root in rest {
            bytes = bytes.saturating_add(root_bytes.get(*root).copied().unwrap_or(0));
            if taken > 0 && bytes > most_bytes {
                break;
            }
            taken += 1;
        }
        let (run, after) = rest.split_at(taken);
        runs.push(run);
        rest = after;
    }
    runs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray};
    use arrow::compute::concat_batches;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ArrowReaderOptions;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn wide(rows: usize, columns: usize) -> RecordBatch {
        let numbers = (0..columns).map(|c| {
            let values = (0..rows).map(|r| (r % 7 > 0).then_some((r * c) as f64));
            let values = Arc::new(Float64Array::from_iter(values)) as ArrayRef;
            (format!("n{c}"), values)
        });
        let texts: StringArray = (0..rows).map(|r| Some(format!("t{}", r % 11))).collect();
        let texts = ("text".to_owned(), Arc::new(texts) as ArrayRef);
        RecordBatch::try_from_iter(numbers.chain([texts])).unwrap()
    }

    #[test]
    fn strips_give_the_rows_that_were_written() {
        let table = wide(2_500, 9);
        let mut file = tempfile::tempfile().unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(1_000))
            .set_data_page_row_count_limit(300)
            .set_write_batch_size(100)
            .build();
        let mut writer = ArrowWriter::try_new(&mut file, table.schema(), Some(properties)).unwrap();
        writer.write(&table).unwrap();
        writer.close().unwrap();
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap();
        let roots = vec![0, 2, 3, 5, 8, 9];
        for (bytes, block_rows, batch_rows) in
            [(0, 256, 100), (1 << 40, 333, 4_096), (100 << 10, 1_000, 1)]
        {
            let reader = StripReader {
                metadata: metadata.clone(),
                row_groups: vec![1, 2],
                leaves: roots.clone(),
                roots: roots.clone(),
                strips: Strips { bytes, block_rows },
            };
            let batches: Vec<_> = reader
                .read(file.try_clone().unwrap(), batch_rows)
                .map(Result::unwrap)
                .collect();
            assert!(batches.iter().all(|b| b.num_rows() <= batch_rows));
            let found = concat_batches(&batches.first().unwrap().schema(), &batches).unwrap();
            assert_eq!(found, table.project(&roots).unwrap().slice(1_000, 1_500));
        }
    }

    #[test]
    fn columns_are_read_side_by_side_while_they_fit() {
        let need = ReaderNeed {
            decoder_bytes: 300 << 20,
            column_bytes: 1 << 20,
            fetched_bytes: 0,
            row_bytes: 16_000,
        };
        assert_eq!(need.strips(2 << 30), None);
        assert_eq!(need.bytes(2 << 30), 300 << 20);
        let strips = need.strips(1 << 30).unwrap();
        assert_eq!((strips.bytes, strips.block_rows), (64 << 20, 8_388));
        assert!(need.bytes(1 << 30) < 200 << 20);
        let remote = ReaderNeed {
            fetched_bytes: 50 << 20,
            ..need
        };
        assert_eq!(
            (remote.strips(1 << 30), remote.bytes(1 << 30)),
            (None, 350 << 20)
        );
    }

    #[test]
    fn a_strip_has_at_least_one_column() {
        let bytes = [5, 1, 1, 9, 1];
        let runs = cut(&[0, 1, 2, 3, 4], &bytes, 3);
        assert_eq!(runs, [&[0][..], &[1, 2], &[3], &[4]]);
        assert!(cut(&[], &bytes, 3).is_empty());
    }
}
