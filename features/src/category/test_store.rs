//! A store in memory, which counts what it is given and fails when told to.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, LargeStringArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef};

use super::store::{
    CategoryStore, CategoryTable, Reservation, StoreError, TableBatches, TableWriter,
};

/// Keeps everything, and gives it back cut and masked differently from what it was given.
#[derive(Debug)]
pub(crate) struct TestStore {
    pub(crate) tables: AtomicUsize,
    pub(crate) reserved: Arc<AtomicUsize>,
    pub(crate) most_bytes: usize,
    /// Operations that still succeed.
    pub(crate) left: AtomicUsize,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self {
            tables: AtomicUsize::new(0),
            reserved: Arc::default(),
            most_bytes: usize::MAX,
            left: AtomicUsize::new(usize::MAX),
        }
    }

    /// Fails after so many operations.
    pub(crate) fn failing_after(operations: usize) -> Self {
        Self {
            left: AtomicUsize::new(operations),
            ..Self::new()
        }
    }

    fn work(&self) -> Result<(), StoreError> {
        let taken = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        taken.map(|_| ()).map_err(|_| full())
    }
}

pub(crate) fn full() -> StoreError {
    StoreError::new(std::fmt::Error)
}

impl CategoryStore for Arc<TestStore> {
    fn begin(&self, schema: &SchemaRef) -> Result<Box<dyn TableWriter>, StoreError> {
        self.work()?;
        self.tables.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Writer {
            store: Arc::clone(self),
            batches: vec![RecordBatch::new_empty(Arc::clone(schema))],
        }))
    }

    fn reserve(&self, bytes: usize) -> Result<Box<dyn Reservation>, StoreError> {
        if self.reserved.fetch_add(bytes, Ordering::SeqCst) + bytes > self.most_bytes {
            self.reserved.fetch_sub(bytes, Ordering::SeqCst);
            return Err(full());
        }
        Ok(Box::new(Held {
            bytes,
            of: Arc::clone(&self.reserved),
        }))
    }
}

struct Writer {
    store: Arc<TestStore>,
    batches: Vec<RecordBatch>,
}

impl TableWriter for Writer {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), StoreError> {
        self.store.work()?;
        self.batches.push(rows.clone());
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Arc<dyn CategoryTable>, StoreError> {
        self.store.work()?;
        let schema = self.batches.first().unwrap().schema();
        Ok(Arc::new(Kept {
            store: self.store,
            rows: masked(&concat_batches(&schema, &self.batches).unwrap()),
        }))
    }
}

/// The same rows under masks that hide nothing, as some readers give them.
fn masked(batch: &RecordBatch) -> RecordBatch {
    let mask = || Some(NullBuffer::new_valid(batch.num_rows()));
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::LargeUtf8 => {
                let (offsets, bytes, _) = column.as_string::<i64>().clone().into_parts();
                Arc::new(LargeStringArray::new(offsets, bytes, mask())) as ArrayRef
            }
            DataType::Int64 => {
                let values = column.as_primitive::<Int64Type>().values().clone();
                Arc::new(Int64Array::new(values, mask()))
            }
            DataType::Float64 => {
                let values = column.as_primitive::<Float64Type>().values().clone();
                Arc::new(Float64Array::new(values, mask()))
            }
            _ => Arc::clone(column),
        });
    RecordBatch::try_new(batch.schema(), columns.collect()).unwrap()
}

#[derive(Debug)]
struct Kept {
    store: Arc<TestStore>,
    rows: RecordBatch,
}

impl CategoryTable for Kept {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn rows(&self) -> u64 {
        self.rows.num_rows() as u64
    }

    fn read(&self) -> Result<TableBatches, StoreError> {
        let (store, rows) = (Arc::clone(&self.store), self.rows.clone());
        let empty = rows.slice(0, 0);
        let all = rows.num_rows();
        let cuts = (0..all)
            .step_by(97)
            .map(move |at| rows.slice(at, 97.min(all - at)));
        Ok(Box::new([empty].into_iter().chain(cuts).map(
            move |batch| {
                store.work()?;
                Ok(batch)
            },
        )))
    }
}

#[derive(Debug)]
struct Held {
    bytes: usize,
    of: Arc<AtomicUsize>,
}

impl Reservation for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// All rows of a table.
pub(crate) fn all_rows(table: &dyn CategoryTable) -> RecordBatch {
    let batches: Vec<RecordBatch> = table.read().unwrap().map(Result::unwrap).collect();
    concat_batches(&table.schema(), &batches).unwrap()
}

/// An artefact as text, and its tables as the batches a reader gets.
pub(crate) fn contents(
    artifact: &crate::FeaturesArtifact,
) -> (String, Vec<(String, Vec<RecordBatch>)>) {
    let tables = artifact.tables.iter().map(|(name, table)| {
        let batches: Vec<RecordBatch> = table.read().unwrap().map(Result::unwrap).collect();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(table.rows(), rows as u64);
        for column in batches.iter().flat_map(RecordBatch::columns) {
            let masked = column.nulls().is_some();
            assert_eq!(masked, column.null_count() > 0, "{name} has an idle mask");
        }
        (name.clone(), batches)
    });
    (artifact.json.to_string(), tables.collect())
}
