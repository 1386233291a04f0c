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
/// No code may be smaller, so that the marks above (and one of the dictionary cache) stay distinguishable.
pub(crate) const MIN_CODE: i32 = i32::MIN + 3;

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
            Some(array) => self.cache.codes(array, self.missing, |dictionary, index| {
                self.code_at(dictionary, index)
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
            Index::Text(texts) => match values.as_string_view_opt() {
                Some(array) => {
                    Some(self.each(values.as_ref(), |index| texts.code_of_view(array, index)))
                }
                None => self.text_codes(values, |text| texts.code(text)),
            },
            Index::Compact(index) => match self.kind {
                CategoryKind::Text => {
                    self.text_codes(values, |text| index.code(index.of_text(text)))
                }
                CategoryKind::Float32 | CategoryKind::Float64 => {
                    self.float_codes(values, |bits| Some(index.code(CompactIndex::of_bits(bits))))
                }
                CategoryKind::Int | CategoryKind::Bool => self.int_codes(values, |value| {
                    Some(index.code(CompactIndex::of_bits(value.cast_unsigned())))
                }),
            },
        }
    }

    fn text_codes(&self, values: &ArrayRef, code: impl Fn(&str) -> i32) -> Option<Vec<i32>> {
        match values.data_type() {
            DataType::Utf8 => {
                let array = values.as_string_opt::<i32>()?;
                Some(self.each(values.as_ref(), |index| code(array.value(index))))
            }
            DataType::LargeUtf8 => {
                let array = values.as_string_opt::<i64>()?;
                Some(self.each(values.as_ref(), |index| code(array.value(index))))
            }
            DataType::Utf8View => {
                let array = values.as_string_view_opt()?;
                Some(self.each(values.as_ref(), |index| code(array.value(index))))
            }
            _ => None,
        }
    }

    /// The code of one value of a dictionary.
    fn code_at(&self, values: &ArrayRef, index: usize) -> Option<i32> {
        if values.is_null(index) {
            return Some(self.missing);
        }
        let code = |text: &str| match &self.index {
            Index::Text(texts) => Some(texts.code(text)),
            Index::Compact(index) => Some(index.code(index.of_text(text))),
            Index::Bool(_) | Index::Int(_) | Index::Float(_) => None,
        };
        match values.data_type() {
            DataType::Utf8 => code(values.as_string_opt::<i32>()?.value(index)),
            DataType::LargeUtf8 => code(values.as_string_opt::<i64>()?.value(index)),
            DataType::Utf8View => code(values.as_string_view_opt()?.value(index)),
            _ => self.plain_codes(&values.slice(index, 1))?.first().copied(),
        }
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
