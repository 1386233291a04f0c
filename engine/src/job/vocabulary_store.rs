//! Where the categories of a fit go when memory is short: spill files, under the job's budget and quota.
//!
//! Owns the way between the features' contract and the spill directory. Must not know what the rows mean.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millpond_features::{
    CategoryStore, CategoryTable, FittedFeatures, Reservation, StoreError, TableBatches,
    TableWriter,
};
use millpond_spill::{
    Claim, MemoryBudget, SpillCompression, SpillDir, SpillError, SpillFile, SpillPages, SpillWriter,
};

use super::cancellation::Cancellation;
use crate::error::{Error, ErrorKind, Result};

/// Rows decoded at a time. A merge holds so many of every run.
const BATCH_ROWS: usize = 2048;

/// How the counted part of the memory is divided between vocabularies and everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VocabularyShares {
    /// Categories being counted by one slot; what is above goes to the store.
    pub counting_bytes: usize,
    /// All fitted vocabularies together; of larger ones only the codes stay in memory.
    pub fitted_bytes: usize,
}

impl VocabularyShares {
    /// The shares of a budget for `slots` slots: a quarter for all that count, and another for what was learned. Spilling
    /// costs time and the size of the share memory, so neither should be small; but rows in flight, kept rows and output
    /// files must find the rest.
    pub fn of(budget: &MemoryBudget, slots: usize) -> Self {
        let counted = budget.shares().counted_bytes;
        Self {
            counting_bytes: counted / 4 / slots.max(1),
            fitted_bytes: counted / 4,
        }
    }
}

/// Keeps categories in a spill directory.
pub(super) struct VocabularyStore {
    pub spill: Arc<SpillDir>,
    pub budget: MemoryBudget,
    /// Merging and numbering take a while: they look here with every batch.
    pub cancellation: Cancellation,
}

impl fmt::Debug for VocabularyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VocabularyStore")
            .field("spill", &self.spill.path())
            .finish_non_exhaustive()
    }
}

impl CategoryStore for VocabularyStore {
    fn begin(&self, schema: &SchemaRef) -> Result<Box<dyn TableWriter>, StoreError> {
        let writer = SpillWriter::create(
            &self.spill,
            schema,
            &self.budget,
            SpillCompression::Lz4,
            SpillPages::Small,
        );
        Ok(Box::new(RunWriter {
            writer: writer.map_err(spill_failed)?,
            schema: Arc::clone(schema),
            cancellation: self.cancellation.clone(),
        }))
    }

    fn reserve(&self, bytes: usize) -> Result<Box<dyn Reservation>, StoreError> {
        let mut claim = self.budget.claim("vocabularies");
        claim.resize(bytes).map_err(|e| {
            StoreError::new(Error::with_source(
                ErrorKind::MemoryBudget,
                "a vocabulary does not fit; raise --memory, or set min_frequency or max_categories on fewer columns",
                e,
            ))
        })?;
        Ok(Box::new(Claimed(claim)))
    }
}

/// Claims the memory of vocabularies that were read from an artefact.
///
/// # Errors
/// MemoryBudget when they do not fit.
pub(super) fn claim_vocabularies(
    features: &FittedFeatures,
    budget: &MemoryBudget,
) -> Result<Claim> {
    let mut claim = budget.claim("vocabularies");
    claim.resize(features.memory_bytes()).map_err(|e| {
        Error::with_source(
            ErrorKind::MemoryBudget,
            "the vocabularies of the fitted recipe do not fit; raise --memory",
            e,
        )
    })?;
    Ok(claim)
}

/// Memory of a vocabulary.
#[derive(Debug)]
struct Claimed(#[expect(dead_code, reason = "held for its drop")] Claim);

impl Reservation for Claimed {}

struct RunWriter {
    writer: SpillWriter,
    schema: SchemaRef,
    cancellation: Cancellation,
}

impl TableWriter for RunWriter {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), StoreError> {
        self.cancellation.check().map_err(StoreError::new)?;
        self.writer.write(rows).map_err(spill_failed)
    }

    fn finish(self: Box<Self>) -> Result<Arc<dyn CategoryTable>, StoreError> {
        Ok(Arc::new(Run {
            file: self.writer.finish().map_err(spill_failed)?,
            schema: self.schema,
            cancellation: self.cancellation,
        }))
    }
}

/// Rows in a spill file, which is removed with the last of its readers.
#[derive(Debug)]
struct Run {
    file: SpillFile,
    schema: SchemaRef,
    cancellation: Cancellation,
}

impl CategoryTable for Run {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn rows(&self) -> u64 {
        self.file.rows()
    }

    fn read(&self) -> Result<TableBatches, StoreError> {
        let batches = self.file.read(None, BATCH_ROWS).map_err(spill_failed)?;
        let cancellation = self.cancellation.clone();
        Ok(Box::new(batches.map(move |batch| {
            cancellation.check().map_err(StoreError::new)?;
            batch.map_err(spill_failed)
        })))
    }
}

/// A failure of the disk, as an engine error that is found again behind those of the features.
fn spill_failed(error: SpillError) -> StoreError {
    StoreError::new(Error::with_source(
        ErrorKind::Disk,
        "cannot keep categories",
        error,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{LargeStringArray, UInt64Array};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn store(root: &std::path::Path, quota_bytes: Option<u64>) -> VocabularyStore {
        VocabularyStore {
            spill: Arc::new(SpillDir::create(root, quota_bytes).unwrap()),
            budget: MemoryBudget::new(64 << 20),
            cancellation: Cancellation::new(),
        }
    }

    fn rows(from: u64) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("category", DataType::LargeUtf8, false),
            Field::new("count", DataType::UInt64, false),
        ]);
        let texts = LargeStringArray::from_iter_values(
            (from..from + 5000).map(|n| format!("{:032x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))),
        );
        let counts = UInt64Array::from_iter_values(from..from + 5000);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(texts), Arc::new(counts)]).unwrap()
    }

    #[test]
    fn rows_come_back_any_number_of_times_and_leave_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path(), None);
        let mut writer = store.begin(&rows(0).schema()).unwrap();
        writer.write(&rows(0)).unwrap();
        writer.write(&rows(5000)).unwrap();
        let table = writer.finish().unwrap();
        assert_eq!(table.rows(), 10_000);
        for _ in 0..2 {
            let batches: Vec<RecordBatch> = table.read().unwrap().map(Result::unwrap).collect();
            let found = arrow::compute::concat_batches(&table.schema(), &batches).unwrap();
            assert_eq!(found.slice(0, 5000), rows(0));
            assert_eq!(found.slice(5000, 5000), rows(5000));
        }
        assert!(store.spill.live_bytes() > 0);
        drop(table);
        assert_eq!(store.spill.live_bytes(), 0);
    }

    #[test]
    fn failures_keep_their_kind_behind_the_features() {
        let root = tempfile::tempdir().unwrap();
        let small = store(root.path(), Some(20_000));
        let mut writer = small.begin(&rows(0).schema()).unwrap();
        let written = (0..50).try_for_each(|n| writer.write(&rows(n * 5000)));
        let refused = written
            .and_then(|()| writer.finish().map(drop))
            .unwrap_err();
        let kind = |e: &StoreError| Error::find_in(e.failure()).unwrap().kind();
        assert_eq!(kind(&refused), ErrorKind::Disk);
        assert!(refused.to_string().contains("spill_quota"), "{refused}");

        let budget = &small.budget;
        let held = small.reserve(budget.shares().counted_bytes).unwrap();
        assert_eq!(budget.usage().operator_bytes, budget.shares().counted_bytes);
        let refused = small.reserve(1 << 20).unwrap_err();
        assert_eq!(kind(&refused), ErrorKind::MemoryBudget);
        drop(held);
        assert_eq!(budget.usage().operator_bytes, 0);
        drop(small.reserve(1 << 20).unwrap());
    }
}
