//! scikit-learn's OrdinalEncoder by the numbers it gave, and the order by frequency.
#![allow(clippy::unwrap_used)]

use arrow::array::{
    Array, AsArray, DictionaryArray, Float64Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, concat, take_record_batch};
use arrow::datatypes::Int32Type;
use proptest::prelude::*;

use super::*;
use crate::category::InvalidParts;
use crate::category::store::MemoryTable;
use crate::category::test_store::all_rows;

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// One text per character, `.` standing for null.
fn letters(letters: &str) -> ArrayRef {
    let letters: Vec<Option<String>> = letters
        .chars()
        .map(|letter| (letter != '.').then(|| letter.to_string()))
        .collect();
    Arc::new(StringArray::from(letters))
}

fn fit(encoder: &OrdinalEncoder, values: &ArrayRef) -> Result<FittedOrdinalEncoder, CategoryError> {
    encoder.check(values.data_type())?;
    let mut counts = CategoryCounts::try_new(values.data_type())?;
    counts.update(values, &BooleanBuffer::new_set(values.len()))?;
    encoder.fit(counts, None)
}

fn in_memory(batch: RecordBatch) -> Arc<dyn CategoryTable> {
    Arc::new(MemoryTable::new(batch))
}

fn ids(fitted: &FittedOrdinalEncoder, values: &ArrayRef) -> (Vec<Option<i32>>, u64) {
    let mut unknown = 0;
    let array = fitted.transform(values, &mut unknown).unwrap();
    (array.as_primitive::<Int32Type>().iter().collect(), unknown)
}

fn encoded(encoder: &OrdinalEncoder, train: &str, rows: &str) -> (Vec<Option<i32>>, u64) {
    ids(&fit(encoder, &letters(train)).unwrap(), &letters(rows))
}

/// One digit per row, `.` for null and `-` for -1.
fn codes(text: &str) -> Vec<Option<i32>> {
    text.chars()
        .map(|mark| {
            if mark == '-' {
                Some(-1)
            } else {
                mark.to_digit(10).map(|digit| digit as i32)
            }
        })
        .collect()
}

const X: &str = "ba.bcba.";

/// Every line was printed by scikit-learn 1.9.1 for an object column with NaN where there is a `.` here.
#[test]
fn by_value_gives_scikit_learns_codes() {
    let plain = OrdinalEncoder::new;
    for (encoder, train, rows, expected) in [
        (plain(), X, X, "10.1210."),
        (
            plain().missing(OrdinalMissing::Encoded(-1)),
            X,
            X,
            "10-1210-",
        ),
        (
            plain().missing(OrdinalMissing::Encoded(3)),
            X,
            X,
            "10312103",
        ),
        (plain().min_frequency(2), X, X, "10.1210."),
        (plain().min_frequency(3), X, X, "01.0101."),
        (plain().min_frequency(3), "aaaabb.c", "ab.c", "01.1"),
        (plain().min_frequency(3), "aaa...bc", "a.bc", "0.11"),
        (plain().min_frequency(0.3), X, X, "01.0101."),
        (plain().max_categories(1), X, X, "00.0000."),
        (plain().max_categories(2), X, X, "01.0101."),
        (plain().max_categories(3), X, X, "10.1210."),
        (plain().max_categories(4), X, X, "10.1210."),
        (plain().max_categories(2), "aaa....bcc", "a.bc", "0.11"),
        (plain().max_categories(3), "aaa....bcc", "a.bc", "0.21"),
        (plain().max_categories(4), "aaa....bcc", "a.bc", "0.12"),
        // Shares are of all rows, the missing ones included.
        (plain().min_frequency(0.25), "aaa....bcc", "a.bc", "0.11"),
        (plain().min_frequency(0.2), "aaa....bcc", "a.bc", "0.21"),
        // Ties of max_categories make the first by value infrequent.
        (plain().max_categories(3), "abcdabcdabcde", "abcde", "22012"),
        (
            plain().max_categories(4).unknown_value(-1),
            "abcdabcdabcde",
            "abcdez",
            "30123-",
        ),
        (plain().max_categories(5), "abcdabcdabcde", "abcde", "01234"),
        (plain().max_categories(6), "abcdabcdabcde", "abcde", "01234"),
        (
            plain().max_categories(3).unknown_value(2),
            "abcdabcdabcde",
            "abcdez",
            "220122",
        ),
        (
            plain().min_frequency(3).missing(OrdinalMissing::Encoded(1)),
            X,
            X,
            "01101011",
        ),
        (
            plain().min_frequency(3).missing(OrdinalMissing::Encoded(2)),
            X,
            X,
            "01201012",
        ),
        (plain().unknown_value(3), X, "a.z", "0.3"),
        (plain().min_frequency(3).unknown_value(1), X, "a.z", "1.1"),
        (plain().unknown_value(-1), "ab", "a.z", "0--"),
        (plain(), "..", ".", "."),
    ] {
        assert_eq!(
            encoded(&encoder, train, rows).0,
            codes(expected),
            "{encoder:?} on {train} then {rows}"
        );
    }
}

/// scikit-learn counts None, unlike NaN, among the categories; so does `missing: category`.
#[test]
fn a_missing_category_gives_scikit_learns_codes_for_none() {
    let plain = || OrdinalEncoder::new().missing(OrdinalMissing::Category);
    for (encoder, train, rows, expected) in [
        (plain(), X, X, "10312103"),
        (plain().min_frequency(2), X, X, "10213102"),
        (plain().min_frequency(3), X, X, "01101011"),
        (plain().min_frequency(3), "aaaabb.c", "ab.c", "0111"),
        (plain().max_categories(3), X, X, "02102021"),
        (plain().max_categories(4), X, X, "10213102"),
        (plain().max_categories(1), X, X, "00000000"),
        (plain(), "..", ".", "0"),
    ] {
        assert_eq!(
            encoded(&encoder, train, rows).0,
            codes(expected),
            "{encoder:?} on {train} then {rows}"
        );
    }
}

#[test]
fn refuses_what_scikit_learn_refuses() {
    let message = |encoder: OrdinalEncoder, train: &str, rows: &str| {
        fit(&encoder, &letters(train))
            .and_then(|fitted| fitted.transform(&letters(rows), &mut 0))
            .unwrap_err()
            .to_string()
    };
    let plain = OrdinalEncoder::new;
    assert_eq!(
        message(plain(), X, "azza"),
        "2 of 4 rows hold values never seen in training, the first is `z`; remove them, or set handle_unknown"
    );
    // A missing value is unknown where training had none.
    assert!(
        message(plain(), "ab", "a.")
            .contains("1 of 2 rows hold values never seen in training, the first is null")
    );
    assert!(
        message(plain().missing(OrdinalMissing::Encoded(-1)), "ab", "a.").contains("never seen")
    );
    assert_eq!(
        message(plain().missing(OrdinalMissing::Encoded(1)), X, X),
        "missing.encoded 1 is already the code of a category; codes run from 0 to 2"
    );
    assert!(
        message(plain().unknown_value(2), X, X).starts_with("unknown_value 2 is already the code")
    );
    assert!(
        message(plain().min_frequency(3).unknown_value(0), X, X)
            .starts_with("unknown_value 0 is already")
    );
    assert!(
        message(
            plain().handle_unknown(OrdinalUnknown::UseEncodedValue),
            X,
            X
        )
        .contains("needs an unknown_value")
    );
    let unused = OrdinalEncoder {
        unknown_value: Some(9),
        ..plain()
    };
    assert!(message(unused, X, X).contains("unknown_value 9 is used only with"));
    assert!(message(plain().min_frequency(0), X, X).contains("at least 1"));
    assert_eq!(
        message(plain(), "", ""),
        "there are no rows to learn categories from"
    );
    assert!(message(plain().unknown_value(i32::MIN), X, X).contains("too small"));
}

#[test]
fn by_value_can_send_unknown_values_to_the_infrequent_code() {
    let encoder = OrdinalEncoder::new().handle_unknown(OrdinalUnknown::Infrequent);
    assert_eq!(encoded(&encoder, "aabb", "abz"), (codes("012"), 1));
    assert_eq!(
        encoded(&encoder.min_frequency(2), "aabbc", "abcz"),
        (codes("0122"), 1)
    );
}

#[test]
fn by_frequency_numbers_from_one_and_zero_is_the_rest() {
    let encoder = OrdinalEncoder::by_frequency;
    // c three times, then a and missing twice each: missing before texts, texts by value.
    assert_eq!(
        encoded(&encoder(), "ccc.a.ab", "abc.z"),
        (codes("34120"), 1)
    );
    assert_eq!(
        encoded(&encoder().min_frequency(2), "ccc.a.ab", "abc.z"),
        (codes("30120"), 1)
    );
    // Three codes: 0, c and missing.
    assert_eq!(
        encoded(&encoder().max_categories(3), "ccc.a.ab", "abc.z"),
        (codes("00120"), 1)
    );
    assert_eq!(
        encoded(&encoder().max_categories(2), "bbaa", "ab"),
        (codes("10"), 0)
    );
    assert_eq!(
        encoded(&encoder().max_categories(1), "bbaa", "ab"),
        (codes("00"), 0)
    );
    // Unseen missing values are unknown, unless they are kept or have a code.
    assert_eq!(encoded(&encoder(), "aab", "a."), (codes("10"), 1));
    assert_eq!(
        encoded(&encoder().missing(OrdinalMissing::Keep), "aab", "a."),
        (codes("1."), 0)
    );
    assert_eq!(
        encoded(&encoder().missing(OrdinalMissing::Keep), "aab...", "ab."),
        (codes("12."), 0)
    );
    assert_eq!(
        encoded(
            &encoder().missing(OrdinalMissing::Encoded(-1)),
            "aab...",
            "ab."
        ),
        (codes("12-"), 0)
    );
    assert_eq!(
        encoded(
            &encoder().missing(OrdinalMissing::Encoded(-1)),
            "aab",
            "ab."
        ),
        (codes("12-"), 0)
    );
    assert_eq!(
        encoded(&encoder().unknown_value(-1).min_frequency(2), "aab", "abz"),
        (codes("10-"), 1)
    );
    let taken = fit(
        &encoder().missing(OrdinalMissing::Encoded(2)),
        &letters("aab"),
    )
    .unwrap_err()
    .to_string();
    assert_eq!(
        taken,
        "missing.encoded 2 is already the code of a category; codes run from 1 to 2"
    );
    let strict = fit(
        &encoder().handle_unknown(OrdinalUnknown::Error),
        &letters("aab"),
    )
    .unwrap();
    assert!(strict.transform(&letters("z"), &mut 0).is_err());
}

#[test]
fn floats_are_categories_too() {
    let train: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(1.0),
        Some(2.0),
        Some(f64::NAN),
    ]));
    let rows: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(1.0),
        None,
        Some(2.0),
        Some(f64::NAN),
    ]));
    assert_eq!(
        ids(&fit(&OrdinalEncoder::new(), &train).unwrap(), &rows).0,
        codes("0.1.")
    );
    let infinite: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::INFINITY]));
    assert_eq!(
        fit(&OrdinalEncoder::new(), &infinite).unwrap_err(),
        CategoryError::Infinite { count: 1 }
    );
}

#[test]
fn options_are_read_and_written() {
    let json = r#"{"order": "frequency", "min_frequency": 10, "missing": "category"}"#;
    let encoder: OrdinalEncoder = serde_json::from_str(json).unwrap();
    assert_eq!(
        encoder,
        OrdinalEncoder::by_frequency()
            .min_frequency(10)
            .missing(OrdinalMissing::Category)
    );
    let json = r#"{"handle_unknown": "use_encoded_value", "unknown_value": -1, "missing": {"encoded": -2}, "min_frequency": 0.01}"#;
    let encoder: OrdinalEncoder = serde_json::from_str(json).unwrap();
    assert_eq!(
        encoder,
        OrdinalEncoder::new()
            .unknown_value(-1)
            .missing(OrdinalMissing::Encoded(-2))
            .min_frequency(0.01)
    );
    let again: OrdinalEncoder =
        serde_json::from_str(&serde_json::to_string(&encoder).unwrap()).unwrap();
    assert_eq!(again, encoder);
    assert_eq!(
        serde_json::from_str::<OrdinalEncoder>("{}").unwrap(),
        OrdinalEncoder::new()
    );
    assert!(serde_json::from_str::<OrdinalEncoder>(r#"{"min_freq": 1}"#).is_err());
}

#[test]
fn long_vocabularies_go_to_a_side_table() {
    let values: Vec<Option<String>> = (0..3_000)
        .map(|row| (row % 7 != 0).then(|| format!("value {}", row % 1_500)))
        .collect();
    let train: ArrayRef = Arc::new(StringArray::from(values));
    let fitted = fit(
        &OrdinalEncoder::by_frequency()
            .min_frequency(2)
            .missing(OrdinalMissing::Keep),
        &train,
    )
    .unwrap();
    let (json, table) = fitted.to_parts().unwrap();
    let stored = table.unwrap();
    let table = all_rows(stored.as_ref());
    assert_eq!(table.num_rows(), 1_501);
    assert!(json.to_string().len() < 500, "{json}");
    let again = FittedOrdinalEncoder::from_parts(&json, Some(&stored)).unwrap();
    assert_eq!(ids(&again, &train), ids(&fitted, &train));
    assert!(FittedOrdinalEncoder::from_parts(&json, None).is_err());
    let compact = FittedOrdinalEncoder::from_parts_within(&json, Some(&stored), 0).unwrap();
    assert!(matches!(compact.words, Words::Stored { .. }));
    assert_eq!(ids(&compact, &train), ids(&fitted, &train));
    let (json_again, table_again) = compact.to_parts().unwrap();
    assert_eq!(json_again, json);
    assert_eq!(all_rows(table_again.unwrap().as_ref()), table);
    // A side table may come back with other string types.
    let narrowed = cast(table.column(0), &DataType::Utf8).unwrap();
    let columns = vec![
        ("category", narrowed, true),
        ("count", table.column(1).clone(), false),
        ("id", table.column(2).clone(), true),
    ];
    let narrowed = in_memory(RecordBatch::try_from_iter_with_nullable(columns).unwrap());
    assert_eq!(
        ids(
            &FittedOrdinalEncoder::from_parts(&json, Some(&narrowed)).unwrap(),
            &train
        ),
        ids(&fitted, &train)
    );
    let without_ids = in_memory(table.project(&[0, 1]).unwrap());
    assert_eq!(
        FittedOrdinalEncoder::from_parts(&json, Some(&without_ids)).unwrap_err(),
        CategoryError::InvalidParts {
            encoder: "ordinal encoder",
            reason: InvalidParts::TableColumn { column: "id" }
        }
    );
}

#[test]
fn damaged_tables_are_refused_in_memory_and_out_of_it() {
    let train: ArrayRef = Arc::new(
        (0..20_000)
            .map(|row| (row % 11 != 0).then(|| format!("value {row:05}")))
            .collect::<StringArray>(),
    );
    let fitted = fit(&OrdinalEncoder::new(), &train).unwrap();
    let (json, table) = fitted.to_parts().unwrap();
    let table = all_rows(table.unwrap().as_ref());
    let rows = table.num_rows();
    let swapped = |first: usize, second: usize| {
        let mut order: Vec<u32> = (0..rows as u32).collect();
        order.swap(first, second);
        take_record_batch(&table, &UInt32Array::from(order)).unwrap()
    };
    let with = |column: usize, array: ArrayRef| {
        let mut columns = table.columns().to_vec();
        columns[column] = array;
        RecordBatch::try_new(table.schema(), columns).unwrap()
    };
    let ids_with = |index: usize, id: Option<i32>| -> ArrayRef {
        let mut ids: Vec<Option<i32>> =
            table.column(2).as_primitive::<Int32Type>().iter().collect();
        ids[index] = id;
        Arc::new(Int32Array::from(ids))
    };
    let damaged = [
        table.slice(0, rows - 1),
        swapped(0, 1),
        // Across two batches of the table.
        swapped(8_191, 8_192),
        swapped(rows - 1, 100),
        with(
            0,
            concat(&[
                &table.column(0).slice(0, rows - 1),
                &table.column(0).slice(0, 1),
            ])
            .unwrap(),
        ),
        with(1, Arc::new(UInt64Array::from(vec![2; rows]))),
        with(1, Arc::new(UInt64Array::from(vec![u64::MAX; rows]))),
        with(2, ids_with(9_000, None)),
        with(2, ids_with(9_000, Some(i32::MIN))),
    ];
    for (number, table) in damaged.into_iter().enumerate() {
        let stored = in_memory(table);
        for most_bytes in [0, usize::MAX] {
            let read = FittedOrdinalEncoder::from_parts_within(&json, Some(&stored), most_bytes);
            assert!(
                matches!(read, Err(CategoryError::InvalidParts { .. })),
                "table {number} up to {most_bytes} bytes: {read:?}"
            );
        }
    }
    let whole = in_memory(table.clone());
    let compact = FittedOrdinalEncoder::from_parts_within(&json, Some(&whole), 0).unwrap();
    assert_eq!(ids(&compact, &train), ids(&fitted, &train));
}

#[test]
fn damaged_json_is_refused_and_never_panics() {
    let fitted = fit(&OrdinalEncoder::new(), &letters("abc.")).unwrap();
    let (json, table) = fitted.to_parts().unwrap();
    assert!(table.is_none());
    for (pointer, value) in [
        (
            "/vocabulary/categories_",
            serde_json::json!(["b", "a", "c", null]),
        ),
        (
            "/vocabulary/categories_",
            serde_json::json!(["a", "a", "c", null]),
        ),
        (
            "/vocabulary/categories_",
            serde_json::json!(["a", 1, "c", null]),
        ),
        (
            "/vocabulary/categories_",
            serde_json::json!([null, "a", "b", "c"]),
        ),
        ("/vocabulary/categories_", serde_json::json!(["a"])),
        ("/vocabulary/categories_", serde_json::json!(null)),
        (
            "/vocabulary/counts_",
            serde_json::json!([1, 1, 1, u64::MAX]),
        ),
        ("/vocabulary/counts_", serde_json::json!([1, 1, 1, 5])),
        ("/vocabulary/n_categories_", serde_json::json!(5)),
        ("/ids_", serde_json::json!([0, 1, 2])),
        ("/ids_", serde_json::json!([null, 1, 2, null])),
        ("/ids_", serde_json::json!([i32::MIN, 1, 2, null])),
        ("/unknown_id_", serde_json::json!(i32::MIN)),
        ("/params/min_frequency", serde_json::json!(0)),
    ] {
        let mut damaged = json.clone();
        match damaged.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => damaged["params"]["min_frequency"] = value,
        }
        assert!(
            FittedOrdinalEncoder::from_parts(&damaged, None).is_err(),
            "{damaged}"
        );
    }
    assert!(FittedOrdinalEncoder::from_parts(&serde_json::Value::Null, None).is_err());
}

proptest! {
    #[test]
    fn saving_keeps_everything_and_dictionaries_are_plain_strings(
        train in "[a-f.]{1,60}",
        rows in "[a-h.]{0,40}",
        by_frequency: bool,
        min_frequency in proptest::option::of(1_u64..5),
        max_categories in proptest::option::of(1_u64..6),
        missing in proptest::option::of(0_usize..3),
    ) {
        let order = if by_frequency { CategoryOrder::Frequency } else { CategoryOrder::Value };
        let encoder = OrdinalEncoder {
            order,
            min_frequency: min_frequency.map(MinFrequency::Count),
            max_categories,
            missing: missing.map(|rule| [OrdinalMissing::Keep, OrdinalMissing::Category, OrdinalMissing::Encoded(-5)][rule]),
            ..OrdinalEncoder::new().unknown_value(-9)
        };
        let fitted = fit(&encoder, &letters(&train)).unwrap();
        let plain = letters(&rows);
        let expected = ids(&fitted, &plain);
        let dictionary = cast(&plain, &DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into())).unwrap();
        prop_assert_eq!(&ids(&fitted, &dictionary), &expected);
        let (json, _) = fitted.to_parts().unwrap();
        let text = json.to_string();
        let again = FittedOrdinalEncoder::from_parts(&serde_json::from_str(&text).unwrap(), None).unwrap();
        prop_assert_eq!(&ids(&again, &plain), &expected);
        prop_assert_eq!(again.to_parts().unwrap().0.to_string(), text);
    }

    #[test]
    fn frequent_ids_are_dense(train in "[a-f.]{1,60}", least in 1_u64..6) {
        let fitted = fit(&OrdinalEncoder::by_frequency().min_frequency(MinFrequency::Count(least)), &letters(&train)).unwrap();
        let mut seen: Vec<i32> = ids(&fitted, &letters(&train)).0.into_iter().map(Option::unwrap).filter(|id| *id > 0).collect();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.clone(), (1..=seen.len() as i32).collect::<Vec<_>>());
    }
}

#[test]
fn nulls_hidden_in_a_dictionary_are_missing() {
    let fitted = fit(
        &OrdinalEncoder::by_frequency(),
        &texts(&[Some("a"), Some("a"), None]),
    )
    .unwrap();
    let values = StringArray::from(vec![None, Some("a")]);
    let rows: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(
        vec![Some(0), Some(1), None].into(),
        Arc::new(values),
    ));
    assert_eq!(ids(&fitted, &rows), (codes("212"), 0));
}
