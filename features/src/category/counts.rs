//! Exact counts of the distinct values of one column.
//!
//! Owns counting and merging, both free of order. Must not know what the counts are for.

mod dictionary;
mod text;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, LargeStringArray, LargeStringBuilder, PrimitiveArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use hashbrown::HashMap;

use self::dictionary::PendingDictionary;
pub(crate) use self::dictionary::same_array;
pub(super) use self::text::SortedTexts;
use self::text::{TextCounts, TextsFrom};
use super::runs::{MergedRun, RunWriter, Spillable, VocabularyRoom};
use super::store::{CategoryStore, CategoryTable};
use super::vocabulary::{CountedRun, LearnedVocabulary, Vocabulary};
use super::{Category, CategoryError, CategoryKind};

/// Exact counts of the distinct values of one column, independent of the order of rows, batches and merges.
///
/// Memory grows with the number of distinct values, not with the number of rows. In a [`Fit`](crate::Fit) with a store they
/// can leave it.
#[derive(Debug, Clone)]
pub struct CategoryCounts {
    kind: CategoryKind,
    missing: u64,
    total: u64,
    values: Values,
    pending: Option<PendingDictionary>,
    /// What was spilled, each value possibly in several of them.
    runs: Vec<Arc<dyn CategoryTable>>,
}

#[derive(Debug, Clone)]
enum Values {
    Bool([u64; 2]),
    Int(HashMap<i64, u64>),
    /// By the bits of the float, -0.0 having been made 0.0.
    Float(HashMap<u64, u64>),
    Text(TextCounts),
}

impl CategoryCounts {
    /// Empty counts for a column of `data_type`: texts, integers, floats or booleans, plain or in a dictionary.
    ///
    /// # Errors
    /// [`CategoryError::UnsupportedType`] for any other type.
    pub fn try_new(data_type: &DataType) -> Result<Self, CategoryError> {
        let kind = CategoryKind::of(data_type)?;
        Ok(Self {
            kind,
            missing: 0,
            total: 0,
            values: Values::new(kind),
            pending: None,
            runs: Vec::new(),
        })
    }

    /// Counts the values of the rows set in `rows`. Nulls and NaN count as missing.
    ///
    /// # Errors
    /// A mask of another length, a column of another kind, infinite floats, integers above the largest i64. The counts are
    /// not to be used after an error.
    pub fn update(&mut self, values: &ArrayRef, rows: &BooleanBuffer) -> Result<(), CategoryError> {
        if values.len() != rows.len() {
            return Err(CategoryError::MaskLength {
                values: values.len(),
                mask: rows.len(),
            });
        }
        if !self.kind.accepts(values.data_type()) {
            return Err(CategoryError::TypeChanged {
                expected: format!("{:?} values", self.kind).to_lowercase(),
                found: values.data_type().clone(),
            });
        }
        if let DataType::Dictionary(..) = values.data_type() {
            return self.update_dictionary(values, rows);
        }
        let selected = rows.count_set_bits() as u64;
        let valid = selection(rows, values.as_ref());
        self.total += selected;
        self.missing += selected - valid.count_set_bits() as u64;
        self.add_plain(values, &valid, None)
    }

    /// Counts dictionary keys; the values behind them are looked at only when the dictionary changes.
    fn update_dictionary(
        &mut self,
        values: &ArrayRef,
        rows: &BooleanBuffer,
    ) -> Result<(), CategoryError> {
        let Some(array) = values.as_any_dictionary_opt() else {
            return Err(CategoryError::UnreadableValues {
                data_type: values.data_type().clone(),
            });
        };
        if !self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.continues_with(array.values(), rows.len()))
        {
            self.flush()?;
        }
        let pending = self
            .pending
            .get_or_insert_with(|| PendingDictionary::new(array.values()));
        let selected = rows.count_set_bits() as u64;
        let counted = pending.count(array.keys(), &selection(rows, array.keys()))?;
        self.total += selected;
        self.missing += selected - counted;
        Ok(())
    }

    /// Moves the counts of the dictionary seen last into the table of values, and lets go of the dictionary.
    ///
    /// # Errors
    /// As [`update`](Self::update): what is wrong with a dictionary's values may be noticed only here.
    pub fn flush(&mut self) -> Result<(), CategoryError> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        let (values, counts) = pending.into_parts();
        let used = BooleanBuffer::from_iter(counts.iter().map(|&count| count > 0));
        let valid = selection(&used, values.as_ref());
        for index in used.set_indices() {
            if values.is_null(index) {
                self.missing += counts.get(index).copied().map_or(0, u64::from);
            }
        }
        self.add_plain(&values, &valid, Some(&counts))
    }

    /// Adds the valid values set in `rows`, each once or `weights` times.
    fn add_plain(
        &mut self,
        values: &ArrayRef,
        rows: &BooleanBuffer,
        weights: Option<&[u32]>,
    ) -> Result<(), CategoryError> {
        let weight = |index: usize| match weights {
            None => 1,
            Some(weights) => weights.get(index).copied().map_or(0, u64::from),
        };
        match &mut self.values {
            Values::Bool(counts) => add_bools(counts, values, rows, weight),
            Values::Int(counts) => add_ints(counts, values, rows, weight),
            Values::Float(counts) => add_floats(counts, &mut self.missing, values, rows, weight),
            Values::Text(counts) => {
                let from = match weights {
                    None => TextsFrom::Rows,
                    Some(_) => TextsFrom::Dictionary,
                };
                counts.add(values, rows, from, weight)
            }
        }
    }

    /// Adds the counts of `other`, which must have been made for a column of the same kind.
    ///
    /// # Errors
    /// [`CategoryError::TypeChanged`] never for columns of one schema; otherwise as [`flush`](Self::flush).
    pub fn merge(&mut self, mut other: Self) -> Result<(), CategoryError> {
        self.flush()?;
        other.flush()?;
        if other.values.len() > self.values.len() {
            std::mem::swap(self, &mut other);
        }
        self.total += other.total;
        self.missing += other.missing;
        self.runs.append(&mut other.runs);
        match (&mut self.values, other.values) {
            (Values::Bool(own), Values::Bool(others)) => {
                for (count, more) in own.iter_mut().zip(others) {
                    *count += more;
                }
            }
            (Values::Int(own), Values::Int(others)) => {
                for (value, count) in others {
                    *own.entry(value).or_insert(0) += count;
                }
            }
            (Values::Float(own), Values::Float(others)) => {
                for (value, count) in others {
                    *own.entry(value).or_insert(0) += count;
                }
            }
            (Values::Text(own), Values::Text(others)) => own.merge(&others)?,
            _ => {
                return Err(CategoryError::MixedKinds);
            }
        }
        Ok(())
    }

    /// Bytes held: O(distinct values), plus the dictionary seen last.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.values.memory_bytes()
            + self
                .pending
                .as_ref()
                .map_or(0, PendingDictionary::memory_bytes)
    }

    /// Number of rows counted, missing values included.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The distinct values in [`Category`] order, each with the number of its rows.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn into_counts(self) -> Result<Vec<(Category, u64)>, CategoryError> {
        let vocabulary = self.into_vocabulary()?;
        Ok(vocabulary.iter().collect())
    }

    /// Bytes an encoder fitted to these counts would take in memory; None for counts that have spilled.
    pub(crate) fn fitted_bytes(&self) -> Option<usize> {
        (!self.has_spilled())
            .then(|| Vocabulary::fitted_bytes(self.values.len(), self.values.value_bytes()))
    }

    /// What was learned, in memory if it has not spilled and is small enough for `room`, or else as one run in the store.
    /// Vocabularies that stand in JSON are always in memory.
    pub(crate) fn into_learned(
        mut self,
        room: Option<&VocabularyRoom>,
    ) -> Result<LearnedVocabulary, CategoryError> {
        self.flush()?;
        let Some(room) = room else {
            return Ok(LearnedVocabulary::InMemory(self.into_vocabulary()?));
        };
        let most_bytes = match self.runs.is_empty() {
            true => room.in_memory_bytes,
            false => room.spilled_in_memory_bytes,
        };
        let (categories, value_bytes) = (self.values.len(), self.values.value_bytes());
        if self.runs.is_empty()
            && Vocabulary::stays_in_memory(self.kind, categories, value_bytes, most_bytes)
        {
            return Ok(LearnedVocabulary::InMemory(self.into_vocabulary()?));
        }
        self.spill(room.store.as_ref())?;
        let runs = std::mem::take(&mut self.runs);
        let run = MergedRun::try_new(room.store.as_ref(), self.kind, runs)?;
        let categories = usize::try_from(run.counts.categories()).unwrap_or(usize::MAX);
        let fits = Vocabulary::stays_in_memory(self.kind, categories, run.value_bytes, most_bytes);
        if fits {
            let vocabulary = Vocabulary::from_run(&run, self.missing, self.total)?;
            return Ok(LearnedVocabulary::InMemory(vocabulary));
        }
        CountedRun::try_new(run, self.missing, self.total).map(LearnedVocabulary::Stored)
    }

    /// The same as [`into_counts`](Self::into_counts), compactly.
    pub(crate) fn into_vocabulary(mut self) -> Result<Vocabulary, CategoryError> {
        self.flush()?;
        if self.has_spilled() {
            return Err(CategoryError::Spilled {
                runs: self.runs.len(),
            });
        }
        let missing = self.missing;
        let with_missing = usize::from(missing > 0);
        let (values, mut counts): (ArrayRef, Vec<u64>) = match self.values {
            Values::Bool(both) => {
                let seen: Vec<(bool, u64)> = [false, true]
                    .into_iter()
                    .zip(both)
                    .filter(|(_, count)| *count > 0)
                    .collect();
                let values = seen
                    .iter()
                    .map(|(value, _)| Some(*value))
                    .chain(std::iter::repeat_n(None, with_missing));
                (
                    Arc::new(values.collect::<BooleanArray>()),
                    seen.iter().map(|(_, count)| *count).collect(),
                )
            }
            Values::Int(counts) => {
                let pairs = sorted_ints(counts);
                (
                    numbers::<Int64Type>(pairs.iter().map(|pair| pair.0), with_missing),
                    pairs.iter().map(|pair| pair.1).collect(),
                )
            }
            Values::Float(counts) => {
                let pairs = sorted_floats(counts);
                (
                    numbers::<Float64Type>(pairs.iter().map(|pair| pair.0), with_missing),
                    pairs.iter().map(|pair| pair.1).collect(),
                )
            }
            Values::Text(counts) => {
                let sorted = counts.sorted();
                (
                    texts(&sorted, with_missing),
                    sorted.all().counts().collect(),
                )
            }
        };
        counts.extend(std::iter::repeat_n(missing, with_missing));
        Vocabulary::try_new(self.kind, values, counts, self.total)
    }
}

impl Spillable for CategoryCounts {
    /// Counting goes on with empty memory. The result is the same as if everything had stayed there.
    fn spill(&mut self, store: &dyn CategoryStore) -> Result<(), CategoryError> {
        self.flush()?;
        if self.values.len() == 0 {
            return Ok(());
        }
        let mut run = RunWriter::begin(store, self.kind)?;
        match std::mem::replace(&mut self.values, Values::new(self.kind)) {
            Values::Bool(_) => {}
            Values::Int(counts) => run.ints(&sorted_ints(counts))?,
            Values::Float(counts) => run.floats(&sorted_floats(counts))?,
            Values::Text(counts) => run.texts(&counts.sorted())?,
        }
        self.runs.push(run.finish()?);
        Ok(())
    }

    fn has_spilled(&self) -> bool {
        !self.runs.is_empty()
    }

    /// The dictionary seen last aside: it is not ours to free.
    fn spillable_bytes(&self) -> usize {
        self.values.memory_bytes()
    }
}

impl Values {
    fn new(kind: CategoryKind) -> Self {
        match kind {
            CategoryKind::Bool => Values::Bool([0; 2]),
            CategoryKind::Int => Values::Int(HashMap::new()),
            CategoryKind::Float32 | CategoryKind::Float64 => Values::Float(HashMap::new()),
            CategoryKind::Text => Values::Text(TextCounts::default()),
        }
    }

    /// Number of distinct values, which for booleans is not worth counting.
    fn len(&self) -> usize {
        match self {
            Values::Bool(_) => 0,
            Values::Int(counts) => counts.len(),
            Values::Float(counts) => counts.len(),
            Values::Text(counts) => counts.len(),
        }
    }

    /// Bytes of the distinct values alone.
    fn value_bytes(&self) -> usize {
        match self {
            Values::Text(counts) => counts.text_bytes(),
            other => other.len() * size_of::<u64>(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Values::Bool(_) => 0,
            Values::Int(counts) => counts.allocation_size(),
            Values::Float(counts) => counts.allocation_size(),
            Values::Text(counts) => counts.memory_bytes(),
        }
    }
}

fn sorted_ints(counts: HashMap<i64, u64>) -> Vec<(i64, u64)> {
    let mut pairs: Vec<(i64, u64)> = counts.into_iter().collect();
    pairs.sort_unstable();
    pairs
}

fn sorted_floats(counts: HashMap<u64, u64>) -> Vec<(f64, u64)> {
    let mut pairs: Vec<(f64, u64)> = counts
        .into_iter()
        .map(|(bits, count)| (f64::from_bits(bits), count))
        .collect();
    pairs.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
    pairs
}

/// The rows that are both selected and not null.
fn selection(rows: &BooleanBuffer, values: &dyn Array) -> BooleanBuffer {
    match values.logical_nulls() {
        Some(nulls) if nulls.null_count() > 0 => rows & nulls.inner(),
        _ => rows.clone(),
    }
}

fn numbers<T: ArrowPrimitiveType>(
    values: impl Iterator<Item = T::Native>,
    nulls: usize,
) -> ArrayRef {
    Arc::new(
        values
            .map(Some)
            .chain(std::iter::repeat_n(None, nulls))
            .collect::<PrimitiveArray<T>>(),
    )
}

fn texts(sorted: &SortedTexts<'_>, nulls: usize) -> ArrayRef {
    let all = sorted.all();
    let mut builder = LargeStringBuilder::with_capacity(all.len() + nulls, sorted.text_bytes());
    for text in all.texts() {
        builder.append_value(text);
    }
    for _ in 0..nulls {
        builder.append_null();
    }
    let array: LargeStringArray = builder.finish();
    Arc::new(array)
}

fn unreadable(values: &ArrayRef) -> CategoryError {
    CategoryError::UnreadableValues {
        data_type: values.data_type().clone(),
    }
}

fn add_bools(
    counts: &mut [u64; 2],
    values: &ArrayRef,
    rows: &BooleanBuffer,
    weight: impl Fn(usize) -> u64,
) -> Result<(), CategoryError> {
    let array = values.as_boolean_opt().ok_or_else(|| unreadable(values))?;
    let [no, yes] = counts;
    for index in rows.set_indices() {
        if array.value(index) {
            *yes += weight(index);
        } else {
            *no += weight(index);
        }
    }
    Ok(())
}

fn add_ints(
    counts: &mut HashMap<i64, u64>,
    values: &ArrayRef,
    rows: &BooleanBuffer,
    weight: impl Fn(usize) -> u64,
) -> Result<(), CategoryError> {
    fn typed<T: ArrowPrimitiveType>(
        counts: &mut HashMap<i64, u64>,
        values: &ArrayRef,
        rows: &BooleanBuffer,
        weight: impl Fn(usize) -> u64,
    ) -> Result<(), CategoryError>
    where
        T::Native: TryInto<i64> + Into<i128>,
    {
        let array = values
            .as_primitive_opt::<T>()
            .ok_or_else(|| unreadable(values))?;
        for index in rows.set_indices() {
            let value = array.value(index);
            let value = value
                .try_into()
                .map_err(|_| CategoryError::IntegerTooLarge {
                    value: u64::try_from(value.into()).unwrap_or(u64::MAX),
                })?;
            *counts.entry(value).or_insert(0) += weight(index);
        }
        Ok(())
    }

    match values.data_type() {
        DataType::Int8 => typed::<Int8Type>(counts, values, rows, weight),
        DataType::Int16 => typed::<Int16Type>(counts, values, rows, weight),
        DataType::Int32 => typed::<Int32Type>(counts, values, rows, weight),
        DataType::Int64 => typed::<Int64Type>(counts, values, rows, weight),
        DataType::UInt8 => typed::<UInt8Type>(counts, values, rows, weight),
        DataType::UInt16 => typed::<UInt16Type>(counts, values, rows, weight),
        DataType::UInt32 => typed::<UInt32Type>(counts, values, rows, weight),
        DataType::UInt64 => typed::<UInt64Type>(counts, values, rows, weight),
        _ => Err(unreadable(values)),
    }
}

fn add_floats(
    counts: &mut HashMap<u64, u64>,
    missing: &mut u64,
    values: &ArrayRef,
    rows: &BooleanBuffer,
    weight: impl Fn(usize) -> u64,
) -> Result<(), CategoryError> {
    fn typed<T: ArrowPrimitiveType>(
        counts: &mut HashMap<u64, u64>,
        missing: &mut u64,
        values: &ArrayRef,
        rows: &BooleanBuffer,
        weight: impl Fn(usize) -> u64,
    ) -> Result<(), CategoryError>
    where
        T::Native: Into<f64>,
    {
        let array = values
            .as_primitive_opt::<T>()
            .ok_or_else(|| unreadable(values))?;
        let mut infinite = 0;
        for index in rows.set_indices() {
            let value: f64 = array.value(index).into();
            if value.is_nan() {
                *missing += weight(index);
            } else if value.is_infinite() {
                infinite += weight(index);
            } else {
                // Adding 0.0 turns -0.0 into 0.0 and changes nothing else.
                *counts.entry((value + 0.0).to_bits()).or_insert(0) += weight(index);
            }
        }
        if infinite > 0 {
            return Err(CategoryError::Infinite { count: infinite });
        }
        Ok(())
    }

    match values.data_type() {
        DataType::Float32 => typed::<Float32Type>(counts, missing, values, rows, weight),
        DataType::Float64 => typed::<Float64Type>(counts, missing, values, rows, weight),
        _ => Err(unreadable(values)),
    }
}

#[cfg(test)]
mod tests;
