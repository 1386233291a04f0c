//! Merging sorted runs into one.
//!
//! Owns the order of values of each kind and the heap of runs; must not know where runs are or where the result goes.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Float64Builder, Int64Array, Int64Builder,
    LargeStringArray, LargeStringBuilder, UInt64Array,
};
use arrow::datatypes::{Float64Type, Int64Type};

use super::run_columns;
use crate::category::store::{CategoryTable, TABLE_ROWS, TableBatches};
use crate::category::{CategoryError, CategoryKind};

/// Where merged values and their counts go, at most [`TABLE_ROWS`] at a time.
pub(super) type Sink<'a> = dyn FnMut(ArrayRef, UInt64Array) -> Result<(), CategoryError> + 'a;

/// Gives the distinct values of `runs` in order, with the sums of their counts.
pub(super) fn merge(
    kind: CategoryKind,
    runs: &[Arc<dyn CategoryTable>],
    sink: &mut Sink<'_>,
) -> Result<(), CategoryError> {
    match kind {
        CategoryKind::Text => merge_of::<Texts>(runs, sink),
        CategoryKind::Int | CategoryKind::Bool => merge_of::<Ints>(runs, sink),
        CategoryKind::Float32 | CategoryKind::Float64 => merge_of::<Floats>(runs, sink),
    }
}

/// Values of one kind: how they compare, and a list of them that grows.
trait Values {
    type Array: Array;
    type List;

    fn array(values: &ArrayRef) -> Option<Self::Array>;
    fn compare(left: &Self::Array, at: usize, right: &Self::Array, other: usize) -> Ordering;
    fn list() -> Self::List;
    fn push(list: &mut Self::List, values: &Self::Array, at: usize);
    /// Whether the value is the one pushed last.
    fn is_last(list: &Self::List, values: &Self::Array, at: usize) -> bool;
    /// The list as an array; the list is empty then.
    fn take(list: &mut Self::List) -> ArrayRef;
}

struct Texts;

impl Values for Texts {
    type Array = LargeStringArray;
    type List = LargeStringBuilder;

    fn array(values: &ArrayRef) -> Option<LargeStringArray> {
        values.as_string_opt::<i64>().cloned()
    }

    fn compare(
        left: &LargeStringArray,
        at: usize,
        right: &LargeStringArray,
        other: usize,
    ) -> Ordering {
        left.value(at).cmp(right.value(other))
    }

    fn list() -> LargeStringBuilder {
        LargeStringBuilder::with_capacity(TABLE_ROWS, TABLE_ROWS * 16)
    }

    fn push(list: &mut LargeStringBuilder, values: &LargeStringArray, at: usize) {
        list.append_value(values.value(at));
    }

    fn is_last(list: &LargeStringBuilder, values: &LargeStringArray, at: usize) -> bool {
        // The list has one offset more than values.
        let start = list.offsets_slice().iter().rev().nth(1);
        let start = start.and_then(|start| usize::try_from(*start).ok());
        start.and_then(|start| list.values_slice().get(start..))
            == Some(values.value(at).as_bytes())
    }

    fn take(list: &mut LargeStringBuilder) -> ArrayRef {
        let array = Arc::new(list.finish());
        *list = Self::list();
        array
    }
}

struct Ints;

impl Values for Ints {
    type Array = Int64Array;
    type List = Int64Builder;

    fn array(values: &ArrayRef) -> Option<Int64Array> {
        values.as_primitive_opt::<Int64Type>().cloned()
    }

    fn compare(left: &Int64Array, at: usize, right: &Int64Array, other: usize) -> Ordering {
        left.value(at).cmp(&right.value(other))
    }

    fn list() -> Int64Builder {
        Int64Builder::with_capacity(TABLE_ROWS)
    }

    fn push(list: &mut Int64Builder, values: &Int64Array, at: usize) {
        list.append_value(values.value(at));
    }

    fn is_last(list: &Int64Builder, values: &Int64Array, at: usize) -> bool {
        list.values_slice().last() == Some(&values.value(at))
    }

    fn take(list: &mut Int64Builder) -> ArrayRef {
        Arc::new(list.finish())
    }
}

struct Floats;

impl Values for Floats {
    type Array = Float64Array;
    type List = Float64Builder;

    fn array(values: &ArrayRef) -> Option<Float64Array> {
        values.as_primitive_opt::<Float64Type>().cloned()
    }

    fn compare(left: &Float64Array, at: usize, right: &Float64Array, other: usize) -> Ordering {
        left.value(at).total_cmp(&right.value(other))
    }

    fn list() -> Float64Builder {
        Float64Builder::with_capacity(TABLE_ROWS)
    }

    fn push(list: &mut Float64Builder, values: &Float64Array, at: usize) {
        list.append_value(values.value(at));
    }

    fn is_last(list: &Float64Builder, values: &Float64Array, at: usize) -> bool {
        // Categories are neither NaN nor -0.0, so that equality of numbers is equality of categories.
        list.values_slice().last() == Some(&values.value(at))
    }

    fn take(list: &mut Float64Builder) -> ArrayRef {
        Arc::new(list.finish())
    }
}

/// A run and how far it has been merged.
struct Cursor<V: Values> {
    batches: TableBatches,
    values: V::Array,
    counts: UInt64Array,
    at: usize,
}

impl<V: Values> Cursor<V> {
    /// The first row of a run; None when it has none.
    fn open(run: &dyn CategoryTable) -> Result<Option<Self>, CategoryError> {
        let mut batches = run.read()?;
        let first = next_batch::<V>(&mut batches)?;
        Ok(first.map(|(values, counts)| Self {
            batches,
            values,
            counts,
            at: 0,
        }))
    }

    /// Goes on to the next row; false at the end of the run.
    fn advance(&mut self) -> Result<bool, CategoryError> {
        self.at += 1;
        if self.at < self.values.len() {
            return Ok(true);
        }
        let Some((values, counts)) = next_batch::<V>(&mut self.batches)? else {
            return Ok(false);
        };
        (self.values, self.counts, self.at) = (values, counts, 0);
        Ok(true)
    }

    fn is_before(&self, other: &Self) -> bool {
        V::compare(&self.values, self.at, &other.values, other.at) == Ordering::Less
    }
}

/// The next batch that has rows.
fn next_batch<V: Values>(
    batches: &mut TableBatches,
) -> Result<Option<(V::Array, UInt64Array)>, CategoryError> {
    for batch in batches {
        let batch = batch?;
        let (values, counts) = run_columns(&batch)?;
        let values = V::array(&values).ok_or(CategoryError::RunChanged {
            rows: batch.num_rows(),
        })?;
        if !values.is_empty() {
            return Ok(Some((values, counts)));
        }
    }
    Ok(None)
}

fn merge_of<V: Values>(
    runs: &[Arc<dyn CategoryTable>],
    sink: &mut Sink<'_>,
) -> Result<(), CategoryError> {
    // Boxed, so that changing places is cheap.
    let mut heap: Vec<Box<Cursor<V>>> = Vec::with_capacity(runs.len());
    for run in runs {
        heap.extend(Cursor::open(run.as_ref())?.map(Box::new));
    }
    for root in (0..heap.len() / 2).rev() {
        sink_down(&mut heap, root);
    }
    let mut list = V::list();
    let mut counts: Vec<u64> = Vec::with_capacity(TABLE_ROWS);
    while let Some(least) = heap.first_mut() {
        let count = least.counts.value(least.at);
        match counts.last_mut() {
            Some(sum) if V::is_last(&list, &least.values, least.at) => *sum += count,
            _ => {
                if counts.len() == TABLE_ROWS {
                    let full = std::mem::replace(&mut counts, Vec::with_capacity(TABLE_ROWS));
                    sink(V::take(&mut list), UInt64Array::from(full))?;
                }
                V::push(&mut list, &least.values, least.at);
                counts.push(count);
            }
        }
        if !least.advance()? {
            heap.swap_remove(0);
        }
        sink_down(&mut heap, 0);
    }
    if !counts.is_empty() {
        sink(V::take(&mut list), UInt64Array::from(counts))?;
    }
    Ok(())
}

/// Restores the heap, least first, when only the cursor at `root` may be too large for its place.
fn sink_down<V: Values>(heap: &mut [Box<Cursor<V>>], mut root: usize) {
    loop {
        let (left, right) = (root * 2 + 1, root * 2 + 2);
        let child = match (heap.get(left), heap.get(right)) {
            (Some(one), Some(other)) if other.is_before(one) => right,
            (Some(_), _) => left,
            (None, _) => return,
        };
        match (heap.get(child), heap.get(root)) {
            (Some(below), Some(above)) if below.is_before(above) => heap.swap(root, child),
            _ => return,
        }
        root = child;
    }
}
