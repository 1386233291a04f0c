//! The three kinds of splits from recipe to rows and SQL.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{
    Array, BooleanArray, Date32Array, Float64Array, Int64Array, LargeStringArray, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::TimeUnit;
use proptest::prelude::*;

use super::hash::fingerprint;
use super::*;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

fn assign(spec: impl Into<SplitSpec>, batch: &RecordBatch) -> Result<SplitAssignment, SplitError> {
    spec.into().bind(&batch.schema())?.assign(batch)
}

fn splits(assignment: &SplitAssignment) -> Vec<&'static str> {
    (0..assignment.len())
        .map(|row| assignment.get(row).unwrap().as_str())
        .collect()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn error(spec: impl Into<SplitSpec>, batch: &RecordBatch) -> String {
    assign(spec, batch).unwrap_err().to_string()
}

/// The split of a hashed text with ratios 0.8, 0.1, 0.1.
fn expected(text: &str) -> &'static str {
    match (fingerprint(text.as_bytes()) % 10).abs() {
        0..8 => "train",
        8 => "val",
        _ => "test",
    }
}

#[test]
fn default_hash_split_is_the_bigquery_idiom() {
    let ids = Int64Array::from_iter_values(-500..2_000);
    let rows = batch(vec![("id", Arc::new(ids.clone()))]);
    let assignment = assign(Split::hash("id"), &rows).unwrap();
    for (row, id) in ids.values().iter().enumerate() {
        // MOD(ABS(x), 10) and ABS(MOD(x, 10)) are the same number wherever ABS(x) exists.
        let idiom = fingerprint(id.to_string().as_bytes()).unsigned_abs() % 10;
        assert_eq!(assignment.get(row) == Some(Split::Train), idiom < 8);
    }
    assert!((assignment.rows(Split::Train) as f64 / 2_500.0 - 0.8).abs() < 0.03);
}

#[test]
fn composed_keys_nulls_and_seeds_are_the_documented_text() {
    let rows = batch(vec![
        ("a", texts(&[Some("ab"), Some("a"), None, None])),
        (
            "b",
            Arc::new(Int64Array::from(vec![Some(1), Some(-2), Some(3), None])),
        ),
    ]);
    let assignment = assign(Split::hash(["a", "b"]).seed(7), &rows).unwrap();
    let keys = [
        "ab\u{1f}1\u{1f}7",
        "a\u{1f}-2\u{1f}7",
        "__null__\u{1f}3\u{1f}7",
        "__null__\u{1f}__null__\u{1f}7",
    ];
    assert_eq!(splits(&assignment), keys.map(expected));
    assert_eq!(assignment.null_keys(), 2);
    let single = assign(Split::hash("a"), &rows).unwrap();
    assert_eq!(
        splits(&single),
        ["ab", "a", "__null__", "__null__"].map(expected)
    );
    assert_eq!(single.null_keys(), 2);
    let seeded = assign(Split::hash("a").seed(-1), &rows).unwrap();
    assert_eq!(
        splits(&seeded),
        [
            "ab\u{1f}-1",
            "a\u{1f}-1",
            "__null__\u{1f}-1",
            "__null__\u{1f}-1"
        ]
        .map(expected)
    );
}

#[test]
fn seeds_give_independent_splits() {
    let rows = batch(vec![(
        "id",
        Arc::new(Int64Array::from_iter_values(0..20_000)),
    )]);
    let first = assign(Split::hash("id").seed(1).ratios(0.5, 0.0, 0.5), &rows).unwrap();
    let second = assign(Split::hash("id").seed(2).ratios(0.5, 0.0, 0.5), &rows).unwrap();
    let both = &first.mask(Split::Train) & &second.mask(Split::Train);
    assert!((both.count_set_bits() as f64 / 20_000.0 - 0.25).abs() < 0.02);
    assert_eq!(first.rows(Split::Val), 0);
}

#[test]
fn hash_split_prints_its_sql() {
    let rows = batch(vec![
        ("user id", texts(&[])),
        ("day", Arc::new(Date32Array::from(Vec::<i32>::new()))),
    ]);
    let sql = |split: HashSplit| {
        SplitSpec::from(split)
            .bind(&rows.schema())
            .unwrap()
            .bigquery_sql()
    };
    assert_eq!(
        sql(Split::hash("user id")),
        "CASE WHEN ABS(MOD(FARM_FINGERPRINT(IFNULL(CAST(`user id` AS STRING), '__null__')), 10)) < 8 THEN 'train' \
         WHEN ABS(MOD(FARM_FINGERPRINT(IFNULL(CAST(`user id` AS STRING), '__null__')), 10)) < 9 THEN 'val' ELSE 'test' END"
    );
    let text = "CONCAT(IFNULL(CAST(`user id` AS STRING), '__null__'), '\\u001f', IFNULL(CAST(`day` AS STRING), '__null__'), '\\u001f-7')";
    assert_eq!(
        sql(Split::hash(["user id", "day"])
            .seed(-7)
            .ratios(0.75, 0.25, 0.0)),
        format!(
            "CASE WHEN ABS(MOD(FARM_FINGERPRINT({text}), 100)) < 75 THEN 'train' \
             WHEN ABS(MOD(FARM_FINGERPRINT({text}), 100)) < 100 THEN 'val' ELSE 'test' END"
        )
    );
}

#[test]
fn hash_split_refuses_what_it_cannot_do() {
    let rows = batch(vec![
        ("user_id", texts(&[])),
        ("price", Arc::new(Float64Array::from(Vec::<f64>::new()))),
    ]);
    assert_eq!(
        error(Split::hash("userid"), &rows),
        "split column `userid` is not in the input; did you mean `user_id`"
    );
    assert_eq!(
        error(Split::hash("zzz"), &rows),
        "split column `zzz` is not in the input"
    );
    assert_eq!(
        error(Split::hash(["user_id", "user_id"]), &rows),
        "the hash split names column `user_id` twice"
    );
    assert_eq!(
        error(Split::hash(Vec::<String>::new()), &rows),
        "a hash split needs at least one column"
    );
    assert!(error(Split::hash("price"), &rows).contains("round it to an integer"));
    let splitter = SplitSpec::from(Split::hash("user_id"))
        .bind(&rows.schema())
        .unwrap();
    let changed = batch(vec![(
        "user_id",
        Arc::new(Int64Array::from(vec![1])) as ArrayRef,
    )]);
    assert!(matches!(
        splitter.assign(&changed),
        Err(SplitError::KeyKindChanged { .. })
    ));
    let gone = batch(vec![("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    assert!(matches!(
        splitter.assign(&gone),
        Err(SplitError::ColumnNotInBatch { .. })
    ));
}

#[test]
fn time_split_compares_every_unit() {
    let seconds = [
        -1,
        1_767_225_599,
        1_767_225_600,
        1_769_903_999,
        1_769_904_000,
    ];
    let wanted = ["train", "train", "val", "val", "test"];
    let spec = TimeSplit::new("t", "2026-01-01", "2026-02-01T00:00:00Z");
    let check = |array: ArrayRef| {
        assert_eq!(
            splits(&assign(spec.clone(), &batch(vec![("t", array)])).unwrap()),
            wanted
        );
    };
    let scaled = |factor: i64| seconds.map(|second| second * factor).to_vec();
    check(Arc::new(
        TimestampSecondArray::from(scaled(1)).with_timezone("UTC"),
    ));
    check(Arc::new(
        TimestampMillisecondArray::from(scaled(1_000)).with_timezone("Europe/Berlin"),
    ));
    check(Arc::new(TimestampMicrosecondArray::from(scaled(1_000_000))));
    check(Arc::new(
        TimestampNanosecondArray::from(scaled(1_000_000_000)).with_timezone("UTC"),
    ));
    check(Arc::new(Date32Array::from(vec![
        -1, 20_453, 20_454, 20_484, 20_485,
    ])));
}

#[test]
fn time_boundaries_can_lie_between_ticks_and_have_offsets() {
    let spec = TimeSplit::new("t", "2026-01-01T00:00:00.5Z", "2026-01-01T02:00:01+02:00");
    let rows = batch(vec![(
        "t",
        Arc::new(
            TimestampSecondArray::from(vec![1_767_225_600, 1_767_225_601]).with_timezone("UTC"),
        ) as ArrayRef,
    )]);
    assert_eq!(splits(&assign(spec, &rows).unwrap()), ["train", "test"]);
    // Far outside the range of nanoseconds.
    let spec = TimeSplit::new("t", "0001-01-01", "9999-01-01");
    let rows = batch(vec![(
        "t",
        Arc::new(TimestampNanosecondArray::from(vec![0, i64::MAX - 1])) as ArrayRef,
    )]);
    assert_eq!(splits(&assign(spec, &rows).unwrap()), ["val", "val"]);
}

#[test]
fn time_split_refuses_rows_without_a_time() {
    let rows = batch(vec![(
        "ts",
        Arc::new(TimestampMicrosecondArray::from(vec![
            Some(1),
            None,
            Some(2),
            None,
        ])) as ArrayRef,
    )]);
    assert_eq!(
        error(TimeSplit::new("ts", "2026-01-01", "2026-02-01"), &rows),
        "column `ts` is null in 2 of 4 rows, and a row without a time belongs to no split; remove such rows with \
         `where: ts IS NOT NULL`"
    );
}

#[test]
fn time_split_refuses_bad_boundaries() {
    let rows = batch(vec![
        ("d", Arc::new(Date32Array::from(vec![1])) as ArrayRef),
        (
            "dt",
            Arc::new(TimestampMicrosecondArray::from(vec![1])) as ArrayRef,
        ),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC")) as ArrayRef,
        ),
        ("s", texts(&[Some("2026-01-01")])),
    ]);
    let message =
        |column, val_from, test_from| error(TimeSplit::new(column, val_from, test_from), &rows);
    assert_eq!(
        message("ts", "2026-02-01", "2026-01-01"),
        "val_from `2026-02-01` must not be after test_from `2026-01-01`"
    );
    assert!(
        message("ts", "yesterday", "2026-01-01")
            .starts_with("val_from `yesterday` is neither a date")
    );
    assert!(
        message("ts", "2026-01-01T00:00:00.0000001Z", "2027-01-01")
            .contains("at most 6 fractional digits")
    );
    assert_eq!(
        message("d", "2026-01-01T12:00:00Z", "2027-01-01"),
        "val_from `2026-01-01T12:00:00Z` has a time of day but column `d` holds dates"
    );
    assert!(
        message("dt", "2026-01-01", "2027-01-01T00:00:00+01:00")
            .starts_with("test_from `2027-01-01T00:00:00+01:00` has an offset")
    );
    assert!(message("s", "2026-01-01", "2027-01-01").contains("cast it under `derive`"));
}

#[test]
fn time_split_prints_its_sql() {
    let sql = |data_type: DataType, val_from: &str| {
        let schema = Schema::new(vec![arrow::datatypes::Field::new("t", data_type, true)]);
        SplitSpec::from(TimeSplit::new("t", val_from, "2026-02-01"))
            .bind(&schema)
            .unwrap()
            .bigquery_sql()
    };
    let null = "CASE WHEN `t` IS NULL THEN ERROR('a row without a time belongs to no split') WHEN";
    assert_eq!(
        sql(DataType::Date32, "2026-01-01"),
        format!(
            "{null} `t` < DATE '2026-01-01' THEN 'train' WHEN `t` < DATE '2026-02-01' THEN 'val' ELSE 'test' END"
        )
    );
    assert_eq!(
        sql(
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            "2026-01-01T01:00:00.25+01:00"
        ),
        format!(
            "{null} `t` < TIMESTAMP '2026-01-01 00:00:00.250000+00' THEN 'train' \
             WHEN `t` < TIMESTAMP '2026-02-01 00:00:00+00' THEN 'val' ELSE 'test' END"
        )
    );
    assert!(
        sql(
            DataType::Timestamp(TimeUnit::Microsecond, None),
            "2026-01-01T06:00:00"
        )
        .contains("DATETIME '2026-01-01 06:00:00' THEN")
    );
}

#[test]
fn column_split_reads_the_usual_values() {
    let column = texts(&[Some("train"), Some("val"), Some("validation"), Some("test")]);
    let rows = batch(vec![("s", column)]);
    assert_eq!(
        splits(&assign(ColumnSplit::new("s"), &rows).unwrap()),
        ["train", "val", "val", "test"]
    );
    let flags = batch(vec![(
        "s",
        Arc::new(BooleanArray::from(vec![false, true])) as ArrayRef,
    )]);
    let spec = ColumnSplit::new("s")
        .values(Split::Train, "false")
        .values(Split::Val, "true")
        .values(Split::Test, Vec::<String>::new());
    assert_eq!(
        splits(&assign(spec.clone(), &flags).unwrap()),
        ["train", "val"]
    );
    assert_eq!(
        SplitSpec::from(spec)
            .bind(&flags.schema())
            .unwrap()
            .bigquery_sql(),
        "CASE WHEN CAST(`s` AS STRING) IN ('false') THEN 'train' WHEN CAST(`s` AS STRING) IN ('true') THEN 'val' \
         ELSE ERROR(CONCAT('this value names no split: ', IFNULL(CAST(`s` AS STRING), 'NULL'))) END"
    );
}

#[test]
fn column_split_refuses_what_it_does_not_know() {
    let column = texts(&[Some("train"), Some("Test"), None, Some("Test"), Some("")]);
    let rows = batch(vec![("part", column)]);
    let message = error(ColumnSplit::new("part"), &rows);
    assert!(
        message.starts_with("column `part` holds `Test` in 2 of 5 rows, which names no split (4 such rows with any value)"),
        "{message}"
    );
    let message = error(
        ColumnSplit::new("part"),
        &batch(vec![("part", texts(&[None, Some("train")]))]),
    );
    assert!(
        message.starts_with("column `part` holds NULL in 1 of 2 rows"),
        "{message}"
    );
    // An empty text can be listed; null is something else.
    let empty = ColumnSplit::new("part").values(Split::Train, "");
    let message = error(empty, &batch(vec![("part", texts(&[Some(""), None]))]));
    assert!(
        message.starts_with("column `part` holds NULL in 1 of 2 rows"),
        "{message}"
    );
    let twice = ColumnSplit::new("part").values(Split::Val, ["train"]);
    assert_eq!(
        error(twice, &rows),
        "the value `train` is listed under train and again under val"
    );
}

#[test]
fn recipes_are_read_and_written() {
    let hash: SplitSpec =
        serde_json::from_str(r#"{"hash": {"columns": "user_id", "seed": 7}}"#).unwrap();
    assert_eq!(hash, Split::hash("user_id").seed(7).into());
    assert_eq!(hash.columns(), ["user_id"]);
    let time: SplitSpec = serde_json::from_str(
        r#"{"time": {"column": "ts", "val_from": "2026-01-01", "test_from": "2026-02-01"}}"#,
    )
    .unwrap();
    assert_eq!(
        time,
        TimeSplit::new("ts", "2026-01-01", "2026-02-01").into()
    );
    let column: SplitSpec = serde_json::from_str(
        r#"{"column": {"column": "fold", "train": [0, 1], "val": 2, "test": 3}}"#,
    )
    .unwrap();
    let SplitSpec::Column(split) = &column else {
        unreachable!("read as another split")
    };
    assert_eq!(split.train.as_slice(), ["0", "1"]);
    for spec in [hash, time, column] {
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(
            serde_json::from_str::<SplitSpec>(&json).unwrap(),
            spec,
            "{json}"
        );
    }
    let error = serde_json::from_str::<SplitSpec>(r#"{"hash": {"columns": "a", "sed": 7}}"#)
        .unwrap_err()
        .to_string();
    assert!(error.contains("unknown field `sed`"), "{error}");
    let ratios: HashSplit =
        serde_json::from_str(r#"{"columns": "a", "ratios": {"train": 0.9, "test": 0.1}}"#).unwrap();
    assert_eq!(
        ratios.ratios,
        SplitRatios {
            train: 0.9,
            val: 0.0,
            test: 0.1
        }
    );
    let schema = serde_json::to_string(&schemars::schema_for!(SplitSpec)).unwrap();
    assert!(
        schema.contains("val_from") && schema.contains("\"hash\""),
        "{schema}"
    );
}

fn key() -> impl Strategy<Value = Option<String>> {
    proptest::option::weighted(0.8, "[a-c]{0,2}")
}

proptest! {
    #[test]
    fn a_row_keeps_its_split_in_any_order_and_batch(
        keys in proptest::collection::vec((key(), any::<Option<i16>>()), 1..60),
        seed: Option<i64>,
        shuffle: u64,
        cut: usize,
    ) {
        let (texts, numbers): (Vec<_>, Vec<_>) = keys.iter().cloned().map(|(text, number)| (text, number.map(i64::from))).unzip();
        let rows = batch(vec![("a", Arc::new(StringArray::from(texts))), ("b", Arc::new(Int64Array::from(numbers)))]);
        let spec = SplitSpec::from(HashSplit { columns: ["a", "b"].into(), seed, ratios: SplitRatios::default() });
        let splitter = spec.bind(&rows.schema()).unwrap();
        let whole = splits(&splitter.assign(&rows).unwrap());

        let cut = cut % (rows.num_rows() + 1);
        let mut parts = splits(&splitter.assign(&rows.slice(0, cut)).unwrap());
        parts.extend(splits(&splitter.assign(&rows.slice(cut, rows.num_rows() - cut)).unwrap()));
        prop_assert_eq!(&parts, &whole);

        let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
        order.sort_by_key(|row| u64::from(*row + 1).wrapping_mul(shuffle | 1) % 1_000_003);
        let indices = UInt32Array::from(order.clone());
        let columns = rows.columns().iter().map(|column| take(column, &indices, None).unwrap()).collect();
        let shuffled = RecordBatch::try_new(rows.schema(), columns).unwrap();
        let moved = splits(&splitter.assign(&shuffled).unwrap());
        for (place, row) in order.iter().enumerate() {
            prop_assert_eq!(moved[place], whole[*row as usize]);
        }
    }

    #[test]
    fn all_string_types_are_the_same_key(keys in proptest::collection::vec(key(), 0..40), seed: Option<i64>) {
        let plain: ArrayRef = Arc::new(StringArray::from(keys.clone()));
        let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
        let spec = HashSplit { columns: "k".into(), seed, ratios: SplitRatios::default() };
        let expected = assign(spec.clone(), &batch(vec![("k", plain.clone())])).unwrap();
        let others: [ArrayRef; 4] = [
            Arc::new(LargeStringArray::from(keys.clone())),
            Arc::new(StringViewArray::from_iter(keys.iter().map(Option::as_deref))),
            cast(&plain, &dictionary).unwrap(),
            // A dictionary longer than the batch takes another way.
            cast(&plain, &dictionary).unwrap().slice(keys.len() / 2, keys.len() - keys.len() / 2),
        ];
        for other in others {
            let from = keys.len() - other.len();
            let rows = batch(vec![("k", other)]);
            // Bound to plain strings, given a dictionary: the same key.
            let splitter = SplitSpec::from(spec.clone()).bind(&batch(vec![("k", plain.clone())]).schema()).unwrap();
            let got = splitter.assign(&rows).unwrap();
            prop_assert_eq!(&splits(&got)[..], &splits(&expected)[from..]);
        }
    }
}
