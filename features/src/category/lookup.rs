//! From values to the numbers a fitted encoder has given them.
//!
//! Owns the look-up tables and the per-dictionary caches; must not know what the numbers mean.

mod dictionary;

use std::hash::{BuildHasher, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use self::dictionary::DictionaryCache;
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
}

/// Finds texts in a sorted array of texts.
#[derive(Debug, Clone)]
struct TextIndex {
    texts: LargeStringArray,
    table: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    position: u32,
    code: i32,
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
            Index::Int(codes) => match values.data_type() {
                DataType::Int8 => self.int_codes::<Int8Type>(codes, values),
                DataType::Int16 => self.int_codes::<Int16Type>(codes, values),
                DataType::Int32 => self.int_codes::<Int32Type>(codes, values),
                DataType::Int64 => self.int_codes::<Int64Type>(codes, values),
                DataType::UInt8 => self.int_codes::<UInt8Type>(codes, values),
                DataType::UInt16 => self.int_codes::<UInt16Type>(codes, values),
                DataType::UInt32 => self.int_codes::<UInt32Type>(codes, values),
                DataType::UInt64 => self.int_codes::<UInt64Type>(codes, values),
                _ => None,
            },
            Index::Float(codes) => match values.data_type() {
                DataType::Float32 => self.float_codes::<Float32Type>(codes, values),
                DataType::Float64 => self.float_codes::<Float64Type>(codes, values),
                _ => None,
            },
            Index::Text(texts) => match values.data_type() {
                DataType::Utf8 => {
                    let array = values.as_string_opt::<i32>()?;
                    Some(self.each(values.as_ref(), |index| texts.code(array.value(index))))
                }
                DataType::LargeUtf8 => {
                    let array = values.as_string_opt::<i64>()?;
                    Some(self.each(values.as_ref(), |index| texts.code(array.value(index))))
                }
                DataType::Utf8View => {
                    let array = values.as_string_view_opt()?;
                    Some(self.each(values.as_ref(), |index| texts.code(array.value(index))))
                }
                _ => None,
            },
        }
    }

    /// The code of one value of a dictionary.
    fn code_at(&self, values: &ArrayRef, index: usize) -> Option<i32> {
        if values.is_null(index) {
            return Some(self.missing);
        }
        match (&self.index, values.data_type()) {
            (Index::Text(texts), DataType::Utf8) => {
                Some(texts.code(values.as_string_opt::<i32>()?.value(index)))
            }
            (Index::Text(texts), DataType::LargeUtf8) => {
                Some(texts.code(values.as_string_opt::<i64>()?.value(index)))
            }
            (Index::Text(texts), DataType::Utf8View) => {
                Some(texts.code(values.as_string_view_opt()?.value(index)))
            }
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

    fn int_codes<T: ArrowPrimitiveType>(
        &self,
        codes: &HashMap<i64, i32>,
        values: &ArrayRef,
    ) -> Option<Vec<i32>>
    where
        T::Native: TryInto<i64>,
    {
        let array = values.as_primitive_opt::<T>()?;
        Some(self.each(values.as_ref(), |index| {
            array
                .value(index)
                .try_into()
                .ok()
                .and_then(|value| codes.get(&value).copied())
                .unwrap_or(UNKNOWN)
        }))
    }

    fn float_codes<T: ArrowPrimitiveType>(
        &self,
        codes: &HashMap<u64, i32>,
        values: &ArrayRef,
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
            codes
                .get(&(value + 0.0).to_bits())
                .copied()
                .unwrap_or(UNKNOWN)
        }))
    }
}

impl TextIndex {
    /// The missing text, if any, has no place in the table.
    fn new(texts: &LargeStringArray, codes: &[i32]) -> Self {
        let hasher = DefaultHashBuilder::default();
        let mut table = HashTable::with_capacity(codes.len());
        for ((position, text), &code) in texts.iter().enumerate().zip(codes) {
            let (Some(text), Ok(position)) = (text, u32::try_from(position)) else {
                continue;
            };
            table.insert_unique(
                hash(&hasher, text),
                Slot { position, code },
                |slot: &Slot| hash(&hasher, texts.value(slot.position as usize)),
            );
        }
        Self {
            texts: texts.clone(),
            table,
            hasher,
        }
    }

    fn code(&self, text: &str) -> i32 {
        self.table
            .find(hash(&self.hasher, text), |slot| {
                self.texts.value(slot.position as usize) == text
            })
            .map_or(UNKNOWN, |slot| slot.code)
    }
}

fn hash(builder: &DefaultHashBuilder, text: &str) -> u64 {
    let mut hasher = builder.build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
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
