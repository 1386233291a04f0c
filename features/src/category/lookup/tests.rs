//! Look-up in every storage form, and the dictionary cache.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::sync::Arc;

use arrow::array::{
    BooleanArray, DictionaryArray, Float32Array, Float64Array, Int8Array, Int64Array, StringArray,
    StringViewArray, UInt64Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::Int32Type as Key32;

use super::*;
use crate::category::CategoryCounts;

fn lookup(array: ArrayRef, unseen_missing: i32) -> CategoryLookup {
    let mut counts = CategoryCounts::try_new(array.data_type()).unwrap();
    counts
        .update(&array, &BooleanBuffer::new_set(array.len()))
        .unwrap();
    let vocabulary = counts.into_vocabulary().unwrap();
    let codes: Vec<i32> = (0..vocabulary.len() as i32)
        .map(|index| index * 10)
        .collect();
    CategoryLookup::new(&vocabulary, &codes, unseen_missing)
}

#[test]
fn finds_texts_in_every_form() {
    let lookup = lookup(
        Arc::new(StringArray::from(vec![
            Some("b"),
            Some("a"),
            None,
            Some("b"),
        ])),
        UNKNOWN,
    );
    let values: ArrayRef = Arc::new(StringArray::from(vec![
        Some("a"),
        Some("z"),
        None,
        Some("b"),
        Some(""),
    ]));
    let expected = vec![0, UNKNOWN, 20, 10, UNKNOWN];
    let forms = [
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()),
        DataType::Dictionary(DataType::UInt8.into(), DataType::LargeUtf8.into()),
    ];
    for form in forms {
        let array = cast(&values, &form).unwrap();
        for _ in 0..2 {
            assert_eq!(lookup.codes(&array).unwrap(), expected, "{form}");
            assert_eq!(
                lookup.codes(&array.slice(1, 3)).unwrap(),
                expected[1..4],
                "{form}"
            );
        }
    }
    let nulls_inside = DictionaryArray::<Key32>::new(
        vec![Some(0), None, Some(1)].into(),
        Arc::new(StringViewArray::from(vec![None, Some("b")])),
    );
    let nulls_inside: ArrayRef = Arc::new(nulls_inside);
    assert_eq!(lookup.codes(&nulls_inside).unwrap(), [20, 20, 10]);
    assert_eq!(first_unknown(&values, &expected), "`z`");
}

#[test]
fn finds_numbers_and_booleans() {
    let ints = lookup(Arc::new(Int64Array::from(vec![5, -1])), NO_CODE);
    let narrow: ArrayRef = Arc::new(Int8Array::from(vec![Some(5), Some(4), None, Some(-1)]));
    assert_eq!(ints.codes(&narrow).unwrap(), [10, UNKNOWN, NO_CODE, 0]);
    let wide: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 5]));
    assert_eq!(ints.codes(&wide).unwrap(), [UNKNOWN, 10]);
    let floats = lookup(
        Arc::new(Float64Array::from(vec![0.5, -0.0, f64::NAN])),
        UNKNOWN,
    );
    let values: ArrayRef = Arc::new(Float32Array::from(vec![
        Some(0.5),
        Some(0.0),
        Some(f32::NAN),
        None,
        Some(-0.0),
        Some(f32::INFINITY),
    ]));
    assert_eq!(floats.codes(&values).unwrap(), [10, 0, 20, 20, 0, UNKNOWN]);
    let bools = lookup(Arc::new(BooleanArray::from(vec![true])), UNKNOWN);
    let values: ArrayRef = Arc::new(BooleanArray::from(vec![Some(false), Some(true), None]));
    assert_eq!(bools.codes(&values).unwrap(), [UNKNOWN, 0, UNKNOWN]);
    assert_eq!(first_unknown(&values, &[0, 0, UNKNOWN]), "null");
    assert!(matches!(
        bools.codes(&narrow),
        Err(CategoryError::TypeChanged { .. })
    ));
}

#[test]
fn threads_share_the_cache_and_agree() {
    let texts: Vec<String> = (0..500).map(|index| format!("value {index}")).collect();
    let lookup = lookup(Arc::new(StringArray::from(texts.clone())), UNKNOWN);
    let plain: Vec<ArrayRef> = (0..20)
        .map(|unit| {
            let values = (0..300).map(|row| format!("value {}", (row * 7 + unit * 13) % 600));
            Arc::new(StringArray::from_iter_values(values)) as ArrayRef
        })
        .collect();
    let form = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    std::thread::scope(|scope| {
        for offset in 0..4 {
            let (lookup, plain, form) = (&lookup, &plain, &form);
            scope.spawn(move || {
                for round in 0..60 {
                    let array = &plain[(round * 3 + offset) % plain.len()];
                    let encoded = cast(array, form).unwrap();
                    assert_eq!(
                        lookup.codes(&encoded).unwrap(),
                        lookup.codes(array).unwrap()
                    );
                }
            });
        }
    });
}

#[test]
fn a_few_values_of_a_dictionary_are_looked_up_alone_and_many_with_all_others() {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
    let cache = DictionaryCache::default();
    let asked = Cell::new(0);
    let codes = |keys: Vec<Option<i32>>| {
        let array = DictionaryArray::<Key32>::new(keys.into(), Arc::clone(&values));
        cache
            .codes(&array, -1, |_, indices, found| {
                asked.set(asked.get() + indices.len());
                indices.iter().for_each(|&index| found(index, index as i32));
                Some(())
            })
            .unwrap()
    };
    assert_eq!(
        codes(vec![Some(5), None, Some(999), Some(5)]),
        [5, -1, 999, 5]
    );
    assert_eq!(asked.get(), 2);
    assert_eq!(codes(vec![Some(7), Some(5)]), [7, 5]);
    assert_eq!(asked.get(), 3);
    let many: Vec<i32> = (0..100).collect();
    assert_eq!(codes(many.iter().copied().map(Some).collect()), many);
    assert_eq!(asked.get(), 1000);
    assert_eq!(codes(vec![Some(500), Some(999)]), [500, 999]);
    assert_eq!(asked.get(), 1000);
}
