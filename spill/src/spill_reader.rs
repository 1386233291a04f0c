//! Decodes a spill file. Owns projection, batch size and the way back to the exact types; verification of bytes is below
//! it, order of files above it.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::budget::MemoryBudget;
use crate::carrier::{Carrier, unload};
use crate::checked_file::CheckedFile;
use crate::compact::project;
use crate::error::SpillError;
use crate::lease::Lease;
use crate::spill_file::FileFacts;
use crate::spill_writer::SpillPages;

/// Iterates the rows of a spill file in order. Ends after the first error.
///
/// Memory held: one decoded page and one dictionary per column read, counted in the budget, besides the batch
/// handed out, which the receiver counts.
pub struct SpillReader {
    decoder: Option<ParquetRecordBatchReader>,
    file: CheckedFile,
    /// Rows still to come.
    left: u64,
    batch_rows: u64,
    /// Where the wanted columns are among those read.
    order: Vec<usize>,
    /// The wanted columns as they are in the file, and as they were before.
    file_schema: SchemaRef,
    rows_schema: SchemaRef,
    ready: VecDeque<RecordBatch>,
    _lease: Lease,
}

/// Working memory per column read besides its dictionary, in pages: a compressed and a decoded one, each perhaps twice as large as it
/// should be.
const COLUMN_PAGES: usize = 4;

impl SpillReader {
    pub(crate) fn open(
        file: CheckedFile,
        carrier: &Carrier,
        indices: &[usize],
        batch_rows: usize,
        facts: FileFacts,
        budget: &MemoryBudget,
    ) -> Result<Self, SpillError> {
        let mut wanted = indices.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let order = indices
            .iter()
            .filter_map(|i| wanted.binary_search(i).ok())
            .collect();
        let mut rows_schema = carrier.projected_rows(indices)?;
        let mut file_schema = carrier.projected_file(indices)?;
        let mut held = 0;
        let decoder = if wanted.is_empty() {
            // Nothing to decode: the rows are only counted.
            None
        } else {
            let failed = |source: ParquetError| failure_of(&file, source);
            let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone()).map_err(failed)?;
            rows_schema = with_interned(&rows_schema, builder.schema());
            file_schema = with_interned(&file_schema, builder.schema());
            let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
            held = working_bytes(builder.metadata(), &mask, facts.pages);
            let builder = builder.with_projection(mask).with_batch_size(batch_rows);
            Some(builder.build().map_err(failed)?)
        };
        Ok(Self {
            decoder,
            file,
            left: facts.rows,
            batch_rows: batch_rows as u64,
            order,
            file_schema,
            rows_schema,
            ready: VecDeque::new(),
            _lease: budget.lease_regardless("spill reader", held),
        })
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>, SpillError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.left = self.left.saturating_sub(batch.num_rows() as u64);
                return Ok(Some(batch));
            }
            if self.left == 0 {
                return Ok(None);
            }
            let Some(decoder) = &mut self.decoder else {
                let rows = self.left.min(self.batch_rows);
                self.left -= rows;
                return rows_only(&self.rows_schema, rows).map(Some);
            };
            match decoder.next() {
                Some(Ok(batch)) => {
                    let batch = project(&batch, &self.file_schema, &self.order)?;
                    unload(batch, &self.rows_schema, &mut self.ready)?;
                }
                Some(Err(source)) => {
                    let failure = self.file.take_failure();
                    return Err(failure.unwrap_or(SpillError::Arrow {
                        operation: "decode a spill file",
                        source,
                    }));
                }
                None => {
                    return Err(SpillError::Corrupt {
                        path: self.file.path().to_owned(),
                        offset: 0,
                        detail: "it holds fewer rows than were written",
                    });
                }
            }
        }
    }
}

impl Iterator for SpillReader {
    type Item = Result<RecordBatch, SpillError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance();
        if item.is_err() {
            self.left = 0;
            self.ready.clear();
        }
        item.transpose()
    }
}

/// A batch of `rows` rows without columns.
pub(crate) fn rows_only(schema: &SchemaRef, rows: u64) -> Result<RecordBatch, SpillError> {
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), Vec::new(), &options)
        .map_err(SpillError::arrow("count rows"))
}

/// The failure of the file behind an error of the decoder, or that error.
fn failure_of(file: &CheckedFile, source: ParquetError) -> SpillError {
    file.take_failure().unwrap_or_else(|| SpillError::Parquet {
        path: file.path().to_owned(),
        source,
    })
}

/// `schema` with the texts that are dictionaries in a file of schema `found`.
fn with_interned(schema: &Schema, found: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        match found.field_with_name(field.name()).map(Field::data_type) {
            Ok(found @ DataType::Dictionary(_, values)) if values.as_ref() == field.data_type() => {
                Arc::new(field.as_ref().clone().with_data_type(found.clone()))
            }
            _ => Arc::clone(field),
        }
    });
    Arc::new(Schema::new_with_metadata(
        fields.collect::<Fields>(),
        schema.metadata().clone(),
    ))
}

/// An upper estimate of what the decoder holds besides its output: pages and dictionaries, and never more than the largest row
/// group read.
fn working_bytes(metadata: &ParquetMetaData, mask: &ProjectionMask, pages: SpillPages) -> usize {
    let group_bytes = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter().enumerate();
        let read = columns.filter(|(leaf, _)| mask.leaf_included(*leaf));
        read.map(|(_, column)| {
            let both = column.uncompressed_size() + column.compressed_size();
            let dictionary = column
                .dictionary_page_offset()
                .map_or(0, |start| column.data_page_offset() - start);
            let bytes = |size: i64| usize::try_from(size).unwrap_or(0);
            bytes(both).min(COLUMN_PAGES * pages.bytes() + 2 * bytes(dictionary))
        })
        .sum()
    });
    group_bytes.max().unwrap_or(0)
}
