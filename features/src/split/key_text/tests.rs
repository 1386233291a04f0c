//! Every key type against the text BigQuery's CAST gives.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{
    BooleanArray, Date32Array, Date64Array, Decimal128Array, DictionaryArray, Int8Array,
    Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt16Array, UInt64Array,
};
use arrow::datatypes::Int8Type as Key8;
use chrono::DateTime;
use proptest::prelude::*;

use super::*;

fn texts(array: impl Array + 'static) -> Vec<Option<String>> {
    let array: ArrayRef = Arc::new(array);
    let texts = KeyTexts::try_new("k", &array).unwrap();
    (0..array.len())
        .map(|row| {
            let mut out = b"x".to_vec();
            let some = texts.append(row, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(some || text == "x");
            some.then(|| text.strip_prefix('x').unwrap().to_owned())
        })
        .collect()
}

fn some<const N: usize>(expected: [&str; N]) -> Vec<Option<String>> {
    expected
        .iter()
        .map(|text| Some((*text).to_owned()))
        .collect()
}

#[test]
fn integers_booleans_and_texts() {
    assert_eq!(
        texts(Int64Array::from(vec![0, -7, i64::MAX, i64::MIN])),
        some(["0", "-7", "9223372036854775807", "-9223372036854775808"])
    );
    assert_eq!(
        texts(Int8Array::from(vec![Some(-128), None])),
        [Some("-128".to_owned()), None]
    );
    assert_eq!(texts(UInt16Array::from(vec![65_535])), some(["65535"]));
    assert_eq!(
        texts(UInt64Array::from(vec![u64::MAX, 0])),
        some(["18446744073709551615", "0"])
    );
    assert_eq!(
        texts(BooleanArray::from(vec![true, false])),
        some(["true", "false"])
    );
    assert_eq!(
        texts(StringArray::from(vec![Some(""), Some(" a "), None])),
        [Some(String::new()), Some(" a ".to_owned()), None]
    );
}

#[test]
fn dates() {
    let expected = ["1970-01-01", "1969-12-31", "0001-01-01", "9999-12-31"];
    assert_eq!(
        texts(Date32Array::from(vec![0, -1, -719_162, 2_932_896])),
        some(expected)
    );
    let millis = [0, -1, -719_162 * 86_400_000, 2_932_896 * 86_400_000 + 5];
    assert_eq!(texts(Date64Array::from(millis.to_vec())), some(expected));
}

#[test]
fn timestamps_have_none_three_six_or_nine_fractional_digits() {
    let micros = vec![
        0,
        1_411_821_000_000_000,
        100_000,
        -1,
        1_000,
        123_456,
        -62_135_596_800_000_000,
    ];
    let expected = [
        "1970-01-01 00:00:00",
        "2014-09-27 12:30:00",
        "1970-01-01 00:00:00.100",
        "1969-12-31 23:59:59.999999",
        "1970-01-01 00:00:00.001",
        "1970-01-01 00:00:00.123456",
        "0001-01-01 00:00:00",
    ];
    assert_eq!(
        texts(TimestampMicrosecondArray::from(micros.clone())),
        some(expected)
    );
    let instants = expected.map(|text| format!("{text}+00"));
    let instants = instants.each_ref().map(String::as_str);
    // An instant is written in UTC, whatever zone the column is in.
    assert_eq!(
        texts(TimestampMicrosecondArray::from(micros.clone()).with_timezone("UTC")),
        some(instants)
    );
    assert_eq!(
        texts(TimestampMicrosecondArray::from(micros).with_timezone("+02:00")),
        some(instants)
    );
    assert_eq!(
        texts(TimestampSecondArray::from(vec![-1])),
        some(["1969-12-31 23:59:59"])
    );
    assert_eq!(
        texts(TimestampMillisecondArray::from(vec![-1, 1_000])),
        some(["1969-12-31 23:59:59.999", "1970-01-01 00:00:01"])
    );
    assert_eq!(
        texts(TimestampNanosecondArray::from(vec![1, 1_000, 1_000_000, 0])),
        some([
            "1970-01-01 00:00:00.000000001",
            "1970-01-01 00:00:00.000001",
            "1970-01-01 00:00:00.001",
            "1970-01-01 00:00:00"
        ])
    );
}

#[test]
fn decimals_lose_zeros_at_the_end() {
    let array = Decimal128Array::from(vec![1_500, -5, 0, 100_000, 123_456])
        .with_precision_and_scale(38, 3)
        .unwrap();
    assert_eq!(texts(array), some(["1.5", "-0.005", "0", "100", "123.456"]));
    let whole = Decimal128Array::from(vec![-120])
        .with_precision_and_scale(10, 0)
        .unwrap();
    assert_eq!(texts(whole), some(["-120"]));
}

#[test]
fn dictionaries_are_seen_through() {
    let keys = vec![Some(1_i8), None, Some(0), Some(2)];
    let values = StringArray::from(vec![Some("a"), Some("b"), None]);
    let array = DictionaryArray::<Key8>::new(keys.into(), Arc::new(values));
    assert_eq!(
        texts(array),
        [Some("b".to_owned()), None, Some("a".to_owned()), None]
    );
    let numbers =
        DictionaryArray::<Key8>::new(vec![0_i8, 0].into(), Arc::new(Int32Array::from(vec![42])));
    assert_eq!(texts(numbers), some(["42", "42"]));
    let empty = DictionaryArray::<Key8>::new(
        vec![None::<i8>, None].into(),
        Arc::new(StringArray::new_null(0)),
    );
    assert_eq!(texts(empty), [None, None]);
}

#[test]
fn refuses_floats_and_bytes_with_a_reason() {
    for (data_type, reason) in [
        (
            DataType::Float64,
            "different systems write the same float as different texts",
        ),
        (DataType::Binary, "bytes have no text form"),
        (DataType::Time64(TimeUnit::Microsecond), "keys are strings"),
        (
            DataType::Dictionary(DataType::Int32.into(), DataType::Float32.into()),
            "different systems",
        ),
    ] {
        let error = KeyKind::of("price", &data_type).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!(
                "column `price` of type {data_type} cannot be a split key"
            )),
            "{error}"
        );
        assert!(error.contains(reason), "{error}");
    }
}

proptest! {
    #[test]
    fn timestamps_agree_with_chrono(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
        let instant = DateTime::from_timestamp_micros(micros).unwrap();
        let mut expected = instant.format("%Y-%m-%d %H:%M:%S").to_string();
        match instant.timestamp_subsec_micros() {
            0 => {}
            whole if whole % 1_000 == 0 => expected.push_str(&format!(".{:03}", whole / 1_000)),
            fraction => expected.push_str(&format!(".{fraction:06}")),
        }
        prop_assert_eq!(texts(TimestampMicrosecondArray::from(vec![micros])), some([expected.as_str()]));
    }

    #[test]
    fn integers_agree_with_display(value: i64) {
        prop_assert_eq!(texts(Int64Array::from(vec![value])), some([value.to_string().as_str()]));
    }
}
