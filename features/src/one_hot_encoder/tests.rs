//! scikit-learn's OneHotEncoder by the names and numbers it gave.
#![allow(clippy::unwrap_used)]

use arrow::array::{
    Array, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, StringArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::UInt8Type;
use proptest::prelude::*;

use super::*;

/// One text per character, `.` standing for null.
fn letters(letters: &str) -> ArrayRef {
    let letters: Vec<Option<String>> = letters
        .chars()
        .map(|letter| (letter != '.').then(|| letter.to_string()))
        .collect();
    Arc::new(StringArray::from(letters))
}

fn fit(encoder: &OneHotEncoder, values: &ArrayRef) -> Result<FittedOneHotEncoder, CategoryError> {
    encoder.check(values.data_type())?;
    let mut counts = CategoryCounts::try_new(values.data_type())?;
    counts.update(values, &BooleanBuffer::new_set(values.len()))?;
    encoder.fit(counts, None)
}

/// One text of digits per row.
fn rows(fitted: &FittedOneHotEncoder, values: &ArrayRef) -> (Vec<String>, u64) {
    let mut unknown = 0;
    let columns = fitted.transform(values, &mut unknown).unwrap();
    assert_eq!(columns.len(), fitted.num_outputs());
    let digit = |column: &ArrayRef, row| column.as_primitive::<UInt8Type>().value(row).to_string();
    (
        (0..values.len())
            .map(|row| columns.iter().map(|column| digit(column, row)).collect())
            .collect(),
        unknown,
    )
}

fn names(fitted: &FittedOneHotEncoder) -> String {
    fitted
        .output_names("x")
        .iter()
        .map(|name| name.strip_prefix("x_").unwrap())
        .collect::<Vec<_>>()
        .join(" ")
}

const X: &str = "ba.bcba.";
const TIES: &str = "abcdabcdabcde";

/// Every line was printed by scikit-learn 1.9.1 for an object column with None where there is a `.` here.
#[test]
fn gives_scikit_learns_columns() {
    use OneHotDrop::{First, IfBinary};
    use OneHotUnknown::{Ignore, InfrequentIfExist};
    let plain = OneHotEncoder::new;
    let other = "infrequent_sklearn";
    for (encoder, train, input, expected_names, expected) in [
        (plain(), X, "ba.b", "a b c None", "0100 1000 0001 0100"),
        (
            plain().drop(First),
            X,
            "ba.bc",
            "b c None",
            "100 000 001 100 010",
        ),
        (
            plain().drop(IfBinary),
            X,
            "ba.bc",
            "a b c None",
            "0100 1000 0001 0100 0010",
        ),
        (plain().drop(IfBinary), "ab", "ab", "b", "0 1"),
        (plain().drop(IfBinary), "a.", "a.", "None", "0 1"),
        (plain().drop(First), "a", "a", "", ""),
        (
            plain().handle_unknown(Ignore),
            X,
            "za",
            "a b c None",
            "0000 1000",
        ),
        (
            plain().handle_unknown(Ignore).drop(First),
            X,
            "zab",
            "b c None",
            "000 000 100",
        ),
        (plain().handle_unknown(Ignore), "ab", ".a", "a b", "00 10"),
        (
            plain().min_frequency(2),
            X,
            "ba.bc",
            "a b None *",
            "0100 1000 0010 0100 0001",
        ),
        (
            plain().min_frequency(3),
            X,
            "ba.bc",
            "b *",
            "10 01 01 10 01",
        ),
        (
            plain().min_frequency(0.3),
            X,
            "ba.bc",
            "b *",
            "10 01 01 10 01",
        ),
        (
            plain().min_frequency(3),
            "aaa...bc",
            "a.bc",
            "a None *",
            "100 010 001 001",
        ),
        (plain().max_categories(1), X, "ba.bc", "*", "1 1 1 1 1"),
        (
            plain().max_categories(3),
            X,
            "ba.bc",
            "b None *",
            "100 001 010 100 001",
        ),
        (
            plain().max_categories(4),
            X,
            "ba.bc",
            "a b None *",
            "0100 1000 0010 0100 0001",
        ),
        (
            plain().max_categories(5),
            X,
            "ba.bc",
            "a b c None",
            "0100 1000 0001 0100 0010",
        ),
        (
            plain().max_categories(3),
            TIES,
            "abcde",
            "c d *",
            "001 001 100 010 001",
        ),
        (
            plain().max_categories(3).handle_unknown(InfrequentIfExist),
            TIES,
            "abcdez",
            "c d *",
            "001 001 100 010 001 001",
        ),
        (
            plain().handle_unknown(InfrequentIfExist),
            TIES,
            "aez",
            "a b c d e",
            "10000 00001 00000",
        ),
        (
            plain().max_categories(3).handle_unknown(Ignore),
            TIES,
            "abcdez",
            "c d *",
            "001 001 100 010 001 000",
        ),
        (
            plain()
                .max_categories(3)
                .handle_unknown(InfrequentIfExist)
                .drop(First),
            TIES,
            "abcdez",
            "d *",
            "01 01 00 10 01 01",
        ),
        (
            plain().max_categories(3).handle_unknown(Ignore).drop(First),
            TIES,
            "abcdez",
            "d *",
            "01 01 00 10 01 00",
        ),
        (
            plain().min_frequency(2).drop(First),
            "abbbccc",
            "abc",
            "c *",
            "01 00 10",
        ),
        (
            plain().max_categories(2).drop(IfBinary),
            TIES,
            "abcde",
            "*",
            "1 1 1 0 1",
        ),
        (
            plain().max_categories(3).drop(IfBinary),
            TIES,
            "abcde",
            "c d *",
            "001 001 100 010 001",
        ),
        (
            plain().max_categories(1).drop(IfBinary),
            "ab",
            "ab",
            "*",
            "1 1",
        ),
        (
            plain()
                .max_categories(1)
                .drop(First)
                .handle_unknown(InfrequentIfExist),
            "ab",
            "abz",
            "",
            "",
        ),
    ] {
        let fitted = fit(&encoder, &letters(train)).unwrap();
        assert_eq!(
            names(&fitted),
            expected_names.replace('*', other),
            "{encoder:?} on {train}"
        );
        let (got, _) = rows(&fitted, &letters(input));
        assert_eq!(
            got.join(" ").trim(),
            expected,
            "{encoder:?} on {train} then {input}"
        );
    }
}

#[test]
fn names_are_scikit_learns() {
    let named = |values: ArrayRef| names(&fit(&OneHotEncoder::new(), &values).unwrap());
    let floats = vec![1.0, 2.5, f64::NAN, 1e-5, 1e16, 0.0, 100.0];
    assert_eq!(
        named(Arc::new(Float64Array::from(floats))),
        "0.0 1e-05 1.0 2.5 100.0 1e+16 nan"
    );
    assert_eq!(
        named(Arc::new(Float32Array::from(vec![0.1, 2.0]))),
        "0.1 2.0"
    );
    assert_eq!(
        named(Arc::new(Int64Array::from(vec![
            Some(1),
            Some(2),
            Some(10),
            None
        ]))),
        "1 2 10 None"
    );
    assert_eq!(
        named(Arc::new(BooleanArray::from(vec![true, false]))),
        "False True"
    );
    assert_eq!(named(Arc::new(StringArray::from(vec!["", "b"]))), " b");
}

#[test]
fn equal_names_are_told_apart() {
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("None"), None, Some("None_1")]));
    let fitted = fit(&OneHotEncoder::new(), &values).unwrap();
    assert_eq!(fitted.output_names("x"), ["x_None", "x_None_1", "x_None_2"]);
}

#[test]
fn unknown_values_are_counted_or_refused() {
    let fitted = fit(&OneHotEncoder::new(), &letters(X)).unwrap();
    assert_eq!(
        fitted
            .transform(&letters("abzy"), &mut 0)
            .unwrap_err()
            .to_string(),
        "2 of 4 rows hold values never seen in training, the first is `z`; remove them, or set handle_unknown"
    );
    let fitted = fit(&OneHotEncoder::new(), &letters("ab")).unwrap();
    assert!(
        fitted
            .transform(&letters("a."), &mut 0)
            .unwrap_err()
            .to_string()
            .contains("the first is null")
    );
    let fitted = fit(
        &OneHotEncoder::new().handle_unknown(OneHotUnknown::Ignore),
        &letters("ab"),
    )
    .unwrap();
    assert_eq!(rows(&fitted, &letters("az.z")).1, 3);
    assert!(
        fitted
            .transform(&letters(""), &mut 0)
            .unwrap()
            .iter()
            .all(|column| column.is_empty())
    );
    assert_eq!(
        fit(&OneHotEncoder::new(), &letters("")).unwrap_err(),
        CategoryError::NoRows
    );
}

#[test]
fn options_are_read_and_written() {
    let json =
        r#"{"handle_unknown": "infrequent_if_exist", "min_frequency": 5, "drop": "if_binary"}"#;
    let encoder: OneHotEncoder = serde_json::from_str(json).unwrap();
    assert_eq!(
        encoder,
        OneHotEncoder::new()
            .handle_unknown(OneHotUnknown::InfrequentIfExist)
            .min_frequency(5)
            .drop(OneHotDrop::IfBinary)
    );
    assert_eq!(
        serde_json::from_str::<OneHotEncoder>(&serde_json::to_string(&encoder).unwrap()).unwrap(),
        encoder
    );
    assert_eq!(
        serde_json::from_str::<OneHotEncoder>(r#"{"drop": null}"#).unwrap(),
        OneHotEncoder::new()
    );
}

#[test]
fn long_vocabularies_go_to_a_side_table() {
    let train: ArrayRef = Arc::new(Float64Array::from_iter_values(
        (0..1_200).map(|row| f64::from(row) / 7.0),
    ));
    let fitted = fit(&OneHotEncoder::new(), &train).unwrap();
    let (json, table) = fitted.to_parts().unwrap();
    let again = FittedOneHotEncoder::from_parts(&json, table.as_ref()).unwrap();
    assert_eq!(again.output_names("x"), fitted.output_names("x"));
    assert_eq!(
        rows(&again, &train.slice(0, 50)),
        rows(&fitted, &train.slice(0, 50))
    );
    assert!(FittedOneHotEncoder::from_parts(&json, None).is_err());
    let compact = FittedOneHotEncoder::from_parts_within(&json, table.as_ref(), 0).unwrap();
    assert!(matches!(compact.words, Words::Stored { .. }));
    assert_eq!(compact.output_names("x"), fitted.output_names("x"));
    assert_eq!(rows(&compact, &train), rows(&fitted, &train));
    assert_eq!(compact.to_parts().unwrap().0, json);
}

#[test]
fn more_columns_than_any_table_has_are_refused() {
    let train: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_001));
    assert_eq!(
        fit(&OneHotEncoder::new(), &train).unwrap_err(),
        CategoryError::TooManyColumns {
            columns: 100_001,
            limit: 100_000
        }
    );
    assert!(fit(&OneHotEncoder::new().max_categories(3), &train).is_ok());
}

proptest! {
    #[test]
    fn saving_keeps_everything_and_dictionaries_are_plain_strings(
        train in "[a-f.]{1,60}",
        input in "[a-h.]{0,40}",
        min_frequency in proptest::option::of(1_u64..5),
        max_categories in proptest::option::of(1_u64..6),
        rule in 0_usize..3,
    ) {
        let encoder = OneHotEncoder {
            min_frequency: min_frequency.map(MinFrequency::Count),
            max_categories,
            drop: [None, Some(OneHotDrop::First), Some(OneHotDrop::IfBinary)][rule],
            handle_unknown: OneHotUnknown::InfrequentIfExist,
        };
        let fitted = fit(&encoder, &letters(&train)).unwrap();
        let plain = letters(&input);
        let expected = rows(&fitted, &plain);
        prop_assert!(expected.0.iter().all(|row| row.matches('1').count() <= 1));
        let dictionary = cast(&plain, &DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into())).unwrap();
        prop_assert_eq!(&rows(&fitted, &dictionary), &expected);
        let text = fitted.to_parts().unwrap().0.to_string();
        let again = FittedOneHotEncoder::from_parts(&serde_json::from_str(&text).unwrap(), None).unwrap();
        prop_assert_eq!(&rows(&again, &plain), &expected);
        prop_assert_eq!(again.output_names("x"), fitted.output_names("x"));
        prop_assert_eq!(again.to_parts().unwrap().0.to_string(), text);
    }
}
