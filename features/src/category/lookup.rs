//! From values to the numbers a fitted encoder has given them.
//!
//! Owns the look-up tables and the per-dictionary caches; must not know what the numbers mean.

pub(crate) mod compact;
mod dictionary;
mod text;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use hashbrown::HashMap;

use self::compact::CompactIndex;
use self::dictionary::DictionaryCache;
use self::text::TextIndex;
use super::vocabulary::Vocabulary;
use super::{Category, CategoryError, CategoryKind};

/// The value was not seen in training.
pub(crate) const UNKNOWN: i32 = i32::MIN;
/// The value was seen and is to have no code: a missing value that stays missing, a dropped category.
pub(crate) const NO_CODE: i32 = i32::MIN + 1;
/// No code may be smaller, so that the marks above (and those of the dictionary cache) stay distinguishable.
pub(crate) const MIN_CODE: i32 = i32::MIN + 4;

/// Codes of the categories of one column.
#[derive(Debug, Clone)]
pub(crate) struct CategoryLookup {
    kind: CategoryKind,
    index: Index,
    missing: i32,
    cache: DictionaryCache,
}

#[derive(Debug, Clone)]
enum Index {
    Bool([i32; 2]),
    Int(HashMap<i64, i32>),
    Float(HashMap<u64, i32>),
    Text(TextIndex),
    /// Numbers or texts whose values are not in memory.
    Compact(CompactIndex),
}

impl CategoryLookup {
    /// `codes` has one code, or [`NO_CODE`], per category of the vocabulary; missing values get `unseen_missing` if the
    /// vocabulary has none.
    pub(crate) fn new(vocabulary: &Vocabulary, codes: &[i32], unseen_missing: i32) -> Self {
        let mut missing = unseen_missing;
        let index = if let (CategoryKind::Text, Some(texts)) = (
            vocabulary.kind(),
            vocabulary.values().as_string_opt::<i64>(),
        ) {
            if vocabulary.has_missing() {
                missing = codes.last().copied().unwrap_or(unseen_missing);
            }
            Index::Text(TextIndex::new(texts, codes))
        } else {
            let mut bools = [UNKNOWN; 2];
            let mut ints = HashMap::new();
            let mut floats = HashMap::new();
            for (index, &code) in codes.iter().enumerate() {
                match vocabulary.category(index) {
                    Category::Bool(value) => {
                        let [no, yes] = &mut bools;
                        *(if value { yes } else { no }) = code;
                    }
                    Category::Int(value) => {
                        ints.insert(value, code);
                    }
                    Category::Float(value) => {
                        floats.insert(value.to_bits(), code);
                    }
                    Category::Text(_) => {}
                    Category::Missing => missing = code,
                }
            }
            match vocabulary.kind() {
                CategoryKind::Bool => Index::Bool(bools),
                CategoryKind::Float32 | CategoryKind::Float64 => Index::Float(floats),
                CategoryKind::Int | CategoryKind::Text => Index::Int(ints),
            }
        };
        Self {
            kind: vocabulary.kind(),
            index,
            missing,
            cache: DictionaryCache::default(),
        }
    }

    /// The codes of a vocabulary of this kind that is not in memory; `missing` is that of missing values.
    pub(crate) fn compact(kind: CategoryKind, index: CompactIndex, missing: i32) -> Self {
        Self {
            kind,
            index: Index::Compact(index),
            missing,
            cache: DictionaryCache::default(),
        }
    }

    /// The kind of values looked up.
    pub(crate) fn kind(&self) -> CategoryKind {
        self.kind
    }

    /// Bytes held, without the values of a vocabulary in memory and without the cache, which is bounded.
    pub(crate) fn memory_bytes(&self) -> usize {
        match &self.index {
            Index::Bool(_) => 0,
            Index::Int(codes) => codes.allocation_size(),
            Index::Float(codes) => codes.allocation_size(),
            Index::Text(texts) => texts.memory_bytes(),
            Index::Compact(index) => index.memory_bytes(),
        }
    }

    /// One code per value, [`UNKNOWN`] for values never seen and [`NO_CODE`] for those that are to have none.
    ///
    /// Values of a dictionary are looked up once each, however often they occur and however many batches share the
    /// dictionary.
    pub(crate) fn codes(&self, values: &ArrayRef) -> Result<Vec<i32>, CategoryError> {
        if !self.kind.accepts(values.data_type()) {
            return Err(CategoryError::TypeChanged {
                expected: format!("{:?} values", self.kind).to_lowercase(),
                found: values.data_type().clone(),
            });
        }
        match values.as_any_dictionary_opt() {
            Some(array) => self
                .cache
                .codes(array, self.missing, |dictionary, indices, found| {
                    self.codes_at(dictionary, indices, found)
                }),
            None => self.plain_codes(values),
        }
        .ok_or_else(|| CategoryError::UnreadableValues {
            data_type: values.data_type().clone(),
        })
    }

    fn plain_codes(&self, values: &ArrayRef) -> Option<Vec<i32>> {
        match &self.index {
            Index::Bool(codes) => {
                let array = values.as_boolean_opt()?;
                let [no, yes] = *codes;
                Some(self.each(
                    values.as_ref(),
                    |index| if array.value(index) { yes } else { no },
                ))
            }
            Index::Int(codes) => self.int_codes(values, |value| codes.get(&value).copied()),
            Index::Float(codes) => self.float_codes(values, |bits| codes.get(&bits).copied()),
            Index::Text(_) => self.text_codes(values),
            Index::Compact(index) => match self.kind {
                CategoryKind::Text => self.text_codes(values),
                CategoryKind::Float32 | CategoryKind::Float64 => {
                    self.float_codes(values, |bits| Some(index.code(CompactIndex::of_bits(bits))))
                }
                CategoryKind::Int | CategoryKind::Bool => self.int_codes(values, |value| {
                    Some(index.code(CompactIndex::of_bits(value.cast_unsigned())))
                }),
            },
        }
    }

    fn text_codes(&self, values: &ArrayRef) -> Option<Vec<i32>> {
        let mut codes = vec![self.missing; values.len()];
        let found = |index: usize, code| {
            if let Some(place) = codes.get_mut(index) {
                *place = code;
            }
        };
        match values.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.find_texts(values, 0..values.len(), found)?,
            Some(nulls) => self.find_texts(values, nulls.valid_indices(), found)?,
        }
        Some(codes)
    }

    /// Gives `found` each of `indices` with the code of the text there, which must not be null.
    fn find_texts(
        &self,
        values: &ArrayRef,
        indices: impl Iterator<Item = usize>,
        found: impl FnMut(usize, i32),
    ) -> Option<()> {
        match &self.index {
            Index::Text(texts) => texts.codes(values, indices, found),
            Index::Compact(index) => {
                match values.data_type() {
                    DataType::Utf8 => {
                        index.text_codes(values.as_string_opt::<i32>()?, indices, found);
                    }
                    DataType::LargeUtf8 => {
                        index.text_codes(values.as_string_opt::<i64>()?, indices, found);
                    }
                    DataType::Utf8View => {
                        index.text_codes(values.as_string_view_opt()?, indices, found);
                    }
                    _ => return None,
                }
                Some(())
            }
            Index::Bool(_) | Index::Int(_) | Index::Float(_) => None,
        }
    }

    /// Gives `found` the codes of some values of a dictionary.
    fn codes_at(
        &self,
        values: &ArrayRef,
        indices: &[usize],
        mut found: impl FnMut(usize, i32),
    ) -> Option<()> {
        for &index in indices.iter().filter(|index| values.is_null(**index)) {
            found(index, self.missing);
        }
        let mut valid = indices
            .iter()
            .copied()
            .filter(|&index| values.is_valid(index));
        if self.kind == CategoryKind::Text {
            return self.find_texts(values, valid, found);
        }
        valid.try_for_each(|index| {
            found(index, *self.plain_codes(&values.slice(index, 1))?.first()?);
            Some(())
        })
    }

    fn each(&self, values: &dyn Array, code: impl Fn(usize) -> i32) -> Vec<i32> {
        match values.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => (0..values.len()).map(code).collect(),
            Some(nulls) => nulls
                .iter()
                .enumerate()
                .map(|(index, valid)| if valid { code(index) } else { self.missing })
                .collect(),
        }
    }

    fn int_codes(&self, values: &ArrayRef, code: impl Fn(i64) -> Option<i32>) -> Option<Vec<i32>> {
        match values.data_type() {
            DataType::Int8 => self.ints::<Int8Type>(values, code),
            DataType::Int16 => self.ints::<Int16Type>(values, code),
            DataType::Int32 => self.ints::<Int32Type>(values, code),
            DataType::Int64 => self.ints::<Int64Type>(values, code),
            DataType::UInt8 => self.ints::<UInt8Type>(values, code),
            DataType::UInt16 => self.ints::<UInt16Type>(values, code),
            DataType::UInt32 => self.ints::<UInt32Type>(values, code),
            DataType::UInt64 => self.ints::<UInt64Type>(values, code),
            _ => None,
        }
    }

    fn ints<T: ArrowPrimitiveType>(
        &self,
        values: &ArrayRef,
        code: impl Fn(i64) -> Option<i32>,
    ) -> Option<Vec<i32>>
    where
        T::Native: TryInto<i64>,
    {
        let array = values.as_primitive_opt::<T>()?;
        Some(self.each(values.as_ref(), |index| {
            let value = array.value(index).try_into().ok();
            value.and_then(&code).unwrap_or(UNKNOWN)
        }))
    }

    /// `code` is given the bits of each number.
    fn float_codes(
        &self,
        values: &ArrayRef,
        code: impl Fn(u64) -> Option<i32>,
    ) -> Option<Vec<i32>> {
        match values.data_type() {
            DataType::Float32 => self.floats::<Float32Type>(values, code),
            DataType::Float64 => self.floats::<Float64Type>(values, code),
            _ => None,
        }
    }

    fn floats<T: ArrowPrimitiveType>(
        &self,
        values: &ArrayRef,
        code: impl Fn(u64) -> Option<i32>,
    ) -> Option<Vec<i32>>
    where
        T::Native: Into<f64>,
    {
        let array = values.as_primitive_opt::<T>()?;
        Some(self.each(values.as_ref(), |index| {
            let value: f64 = array.value(index).into();
            if value.is_nan() {
                return self.missing;
            }
            // Adding 0.0 turns -0.0 into 0.0, as when counting.
            code((value + 0.0).to_bits()).unwrap_or(UNKNOWN)
        }))
    }
}

/// The first value whose code is [`UNKNOWN`], for messages: quoted if it is a text.
pub(crate) fn first_unknown(values: &ArrayRef, codes: &[i32]) -> String {
    let Some(index) = codes.iter().position(|&code| code == UNKNOWN) else {
        return String::new();
    };
    match arrow::util::display::array_value_to_string(values, index) {
        _ if values
            .logical_nulls()
            .is_some_and(|nulls| nulls.is_null(index)) =>
        {
            "null".to_owned()
        }
        Ok(text) => {
            let shown: String = text.chars().take(80).collect();
            let more = if text.chars().nth(80).is_some() {
                "…"
            } else {
                ""
            };
            format!("`{shown}{more}`")
        }
        Err(_) => "unprintable".to_owned(),
    }
}

#[cfg(test)]
mod tests;
