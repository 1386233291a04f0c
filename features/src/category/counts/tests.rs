//! Counting against a plain map, in every storage form and order.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    BooleanArray, DictionaryArray, Float32Array, Float64Array, Int16Array, Int64Array,
    LargeStringArray, StringArray, StringViewArray, UInt8Array, UInt64Array,
};
use arrow::datatypes::Int16Type as Key16;
use proptest::prelude::*;

use super::*;

fn counted(array: impl Array + 'static) -> Result<Vec<(Category, u64)>, CategoryError> {
    let array: ArrayRef = Arc::new(array);
    let mut counts = CategoryCounts::try_new(array.data_type()).unwrap();
    counts.update(&array, &BooleanBuffer::new_set(array.len()))?;
    assert_eq!(counts.total(), array.len() as u64);
    counts.into_counts()
}

fn text(text: &str) -> Category {
    Category::Text(text.to_owned())
}

#[test]
fn counts_texts() {
    let values = vec![Some("b"), None, Some(""), Some("b"), Some("é"), None];
    let expected = vec![
        (text(""), 1),
        (text("b"), 2),
        (text("é"), 1),
        (Category::Missing, 2),
    ];
    assert_eq!(
        counted(StringArray::from(values.clone())).unwrap(),
        expected
    );
    assert_eq!(
        counted(LargeStringArray::from(values.clone())).unwrap(),
        expected
    );
    assert_eq!(counted(StringViewArray::from(values)).unwrap(), expected);
}

#[test]
fn counts_numbers_and_booleans() {
    assert_eq!(
        counted(Int16Array::from(vec![Some(3), Some(-3), None, Some(3)])).unwrap(),
        [
            (Category::Int(-3), 1),
            (Category::Int(3), 2),
            (Category::Missing, 1)
        ]
    );
    assert_eq!(
        counted(UInt8Array::from(vec![255, 0])).unwrap(),
        [(Category::Int(0), 1), (Category::Int(255), 1)]
    );
    assert_eq!(
        counted(BooleanArray::from(vec![Some(true), Some(true), None])).unwrap(),
        [(Category::Bool(true), 2), (Category::Missing, 1)]
    );
    let floats = vec![
        Some(-0.0),
        Some(0.0),
        Some(f64::NAN),
        None,
        Some(-1.5),
        Some(-f64::NAN),
    ];
    assert_eq!(
        counted(Float64Array::from(floats)).unwrap(),
        [
            (Category::Float(-1.5), 1),
            (Category::Float(0.0), 2),
            (Category::Missing, 3)
        ]
    );
    assert_eq!(
        counted(Float32Array::from(vec![0.5])).unwrap(),
        [(Category::Float(0.5), 1)]
    );
}

#[test]
fn refuses_infinities_and_too_large_integers() {
    let infinite = Float64Array::from(vec![f64::INFINITY, 1.0, f64::NEG_INFINITY]);
    assert_eq!(counted(infinite), Err(CategoryError::Infinite { count: 2 }));
    assert_eq!(
        counted(UInt64Array::from(vec![u64::MAX])),
        Err(CategoryError::IntegerTooLarge { value: u64::MAX })
    );
    assert!(matches!(
        CategoryCounts::try_new(&DataType::Date32),
        Err(CategoryError::UnsupportedType { .. })
    ));
}

#[test]
fn refuses_another_kind_or_another_mask() {
    let mut counts = CategoryCounts::try_new(&DataType::Utf8).unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    assert!(matches!(
        counts.update(&numbers, &BooleanBuffer::new_set(1)),
        Err(CategoryError::TypeChanged { .. })
    ));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    assert_eq!(
        counts.update(&texts, &BooleanBuffer::new_set(2)),
        Err(CategoryError::MaskLength { values: 1, mask: 2 })
    );
    let other = CategoryCounts::try_new(&DataType::Int64).unwrap();
    assert_eq!(counts.merge(other), Err(CategoryError::MixedKinds));
}

#[test]
fn dictionaries_may_repeat_values_and_hold_nulls_and_nan() {
    let values: ArrayRef = Arc::new(StringArray::from(vec![
        Some("a"),
        None,
        Some("b"),
        Some("a"),
        Some("unused"),
    ]));
    let keys = vec![Some(0), Some(3), Some(1), None, Some(2), Some(0)];
    let array = DictionaryArray::<Key16>::new(keys.into(), values);
    assert_eq!(
        counted(array).unwrap(),
        [(text("a"), 3), (text("b"), 1), (Category::Missing, 2)]
    );
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 2.0, f64::INFINITY]));
    let seen = DictionaryArray::<Key16>::new(vec![0, 0, 1].into(), floats.clone());
    assert_eq!(
        counted(seen).unwrap(),
        [(Category::Float(2.0), 1), (Category::Missing, 2)]
    );
    let infinite = DictionaryArray::<Key16>::new(vec![2, 2].into(), floats);
    assert_eq!(counted(infinite), Err(CategoryError::Infinite { count: 2 }));
    let empty =
        DictionaryArray::<Key16>::new(vec![None, None].into(), Arc::new(StringArray::new_null(0)));
    assert_eq!(counted(empty).unwrap(), [(Category::Missing, 2)]);
}

#[test]
fn a_dictionary_is_kept_while_it_is_the_same_memory() {
    let values: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    // The same buffers under a new Arc, as readers hand them out.
    let again = arrow::array::make_array(values.to_data());
    let equal: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    assert!(same_array(&values, &again));
    assert!(!same_array(&values, &equal));
    assert!(!same_array(&values, &values.slice(0, 1)));
    let mut counts = CategoryCounts::try_new(&DataType::Utf8).unwrap();
    for (values, pending_rows) in [(&values, 3), (&again, 6), (&equal, 3)] {
        let array: ArrayRef = Arc::new(DictionaryArray::<Key16>::new(
            vec![0, 1, 1].into(),
            Arc::clone(values),
        ));
        counts.update(&array, &BooleanBuffer::new_set(3)).unwrap();
        let counted: u32 = counts
            .pending
            .clone()
            .map(|pending| pending.into_parts().1.iter().sum())
            .unwrap();
        assert_eq!(counted, pending_rows);
    }
    assert_eq!(
        counts.into_counts().unwrap(),
        [(text("a"), 3), (text("b"), 6)]
    );
}

#[test]
fn memory_grows_with_distinct_values_not_rows() {
    let few: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..10_000).map(|row| format!("value {}", row % 10)),
    ));
    let many: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..10_000).map(|row| format!("value {row}")),
    ));
    let all = BooleanBuffer::new_set(10_000);
    let mut counts = CategoryCounts::try_new(&DataType::Utf8).unwrap();
    counts.update(&few, &all).unwrap();
    let small = counts.memory_bytes();
    counts.update(&few, &all).unwrap();
    assert_eq!(counts.memory_bytes(), small);
    // A table always has room for a block of texts that are all new.
    assert!(small < 6_000, "{small}");
    counts.update(&many, &all).unwrap();
    assert!(counts.memory_bytes() > 10_000 * 16);
}

/// A column in one of its storage forms: texts behind a dictionary with repeated and null values.
#[derive(Debug, Clone)]
struct Column {
    dictionary: Vec<Option<String>>,
    keys: Vec<Option<usize>>,
    mask: Vec<bool>,
}

impl Column {
    fn values(&self) -> Vec<Option<String>> {
        self.keys
            .iter()
            .map(|key| key.and_then(|key| self.dictionary[key].clone()))
            .collect()
    }

    fn plain(&self) -> ArrayRef {
        Arc::new(StringArray::from(self.values()))
    }

    fn encoded(&self) -> ArrayRef {
        let keys: Vec<Option<i16>> = self
            .keys
            .iter()
            .map(|key| key.map(|key| key as i16))
            .collect();
        Arc::new(DictionaryArray::<Key16>::new(
            keys.into(),
            Arc::new(StringArray::from(self.dictionary.clone())),
        ))
    }

    fn expected(&self) -> BTreeMap<Category, u64> {
        let mut counts = BTreeMap::new();
        for (value, _) in self
            .values()
            .into_iter()
            .zip(&self.mask)
            .filter(|(_, selected)| **selected)
        {
            *counts
                .entry(value.map_or(Category::Missing, Category::Text))
                .or_insert(0) += 1;
        }
        counts
    }
}

fn column() -> impl Strategy<Value = Column> {
    proptest::collection::vec(proptest::option::weighted(0.8, "[a-d]{0,2}"), 1..12).prop_flat_map(
        |dictionary| {
            let size = dictionary.len();
            proptest::collection::vec(
                (proptest::option::weighted(0.9, 0..size), any::<bool>()),
                0..300,
            )
            .prop_map(move |rows| {
                let (keys, mask) = rows.into_iter().unzip();
                Column {
                    dictionary: dictionary.clone(),
                    keys,
                    mask,
                }
            })
        },
    )
}

fn count_in_batches(array: &ArrayRef, mask: &[bool], size: usize) -> CategoryCounts {
    let mask = BooleanBuffer::from(mask);
    let mut counts = CategoryCounts::try_new(&DataType::Utf8).unwrap();
    for start in (0..array.len()).step_by(size) {
        let length = size.min(array.len() - start);
        counts
            .update(&array.slice(start, length), &mask.slice(start, length))
            .unwrap();
    }
    counts
}

proptest! {
    #[test]
    fn storage_and_batches_do_not_matter(column in column(), size in 1_usize..200) {
        let expected: Vec<(Category, u64)> = column.expected().into_iter().collect();
        for array in [column.plain(), column.encoded()] {
            let counts = count_in_batches(&array, &column.mask, size);
            prop_assert_eq!(counts.total(), column.mask.iter().filter(|selected| **selected).count() as u64);
            prop_assert_eq!(counts.into_counts().unwrap(), expected.clone());
        }
    }

    #[test]
    fn merging_is_counting_together(left in column(), right in column(), swap: bool) {
        let mut expected = left.expected();
        for (category, count) in right.expected() {
            *expected.entry(category).or_insert(0) += count;
        }
        let left = count_in_batches(&left.encoded(), &left.mask, 50);
        let right = count_in_batches(&right.plain(), &right.mask, 50);
        let (mut first, second) = if swap { (right, left) } else { (left, right) };
        first.merge(second).unwrap();
        prop_assert_eq!(first.total(), expected.values().sum::<u64>());
        prop_assert_eq!(first.into_counts().unwrap(), expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn integers_and_floats_merge_too(left in proptest::collection::vec(-3_i64..3, 0..50), right in proptest::collection::vec(-3_i64..3, 0..50)) {
        let both: Vec<i64> = left.iter().chain(&right).copied().collect();
        let ints = |values: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
        let floats = |values: &[i64]| -> ArrayRef { Arc::new(Float64Array::from_iter_values(values.iter().map(|&value| value as f64))) };
        let count = |array: ArrayRef| {
            let mut counts = CategoryCounts::try_new(array.data_type()).unwrap();
            counts.update(&array, &BooleanBuffer::new_set(array.len())).unwrap();
            counts
        };
        for make in [&ints as &dyn Fn(&[i64]) -> ArrayRef, &floats] {
            let mut merged = count(make(&left));
            merged.merge(count(make(&right))).unwrap();
            prop_assert_eq!(merged.into_counts().unwrap(), count(make(&both)).into_counts().unwrap());
        }
    }
}
