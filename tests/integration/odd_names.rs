//! Columns called anything at all: names come out as they went in, and never become paths, SQL or each other.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use crate::bench::Bench;
use crate::command::{succeed, text};
use crate::rows::{assert_same_bits, ids, read_sorted};
use crate::tree::tree;

const ROWS: usize = 3_000;

fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "a/b",
        "a_b",
        "a b",
        "A_b",
        "../../etc/passwd",
        "/etc/shadow",
        "..",
        ".",
        "nul\0byte",
        "line\nbreak",
        "it's `quoted` \"twice\"",
        "back\\slash",
        "a;b",
        "DROP TABLE x; --",
        "🦆",
        "Größe",
        "e\u{301}",
        "é",
        "select",
        "*",
        "i[0-9]?",
        "%2e%2e",
        "$(id)",
        " ",
        "x:y",
        "-rf",
        "_SUCCESS",
        "CON",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("long".repeat(75));
    names
}

/// Each odd column is text with more categories than `fitted.json` holds, so that every one gets a table of its own.
fn table() -> RecordBatch {
    let mut columns: Vec<(String, ArrayRef)> = vec![(
        "id".to_owned(),
        Arc::new(Int64Array::from_iter_values(0..ROWS as i64)),
    )];
    for (place, name) in odd_names().into_iter().enumerate() {
        let values = (0..ROWS).map(|row| format!("{}", (row * (place + 1)) % 2_003));
        columns.push((name, Arc::new(StringArray::from_iter_values(values))));
    }
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn names_come_out_as_they_went_in() {
    let mut bench = Bench::with_table(&table());
    bench.recipe = "{key: id, split: {hash: {columns: id}}, features: [{columns: {type: string}, \
                    steps: [{ordinal_encoder: {order: frequency, min_frequency: 1}}]}]}"
        .to_owned();
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let out = bench.out();
    let train = read_sorted(&out.join("train"));
    let found: Vec<String> = train
        .schema()
        .fields()
        .iter()
        .skip(1)
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(found, odd_names());
    // Every path is one of ours, and there is a table for each column.
    let mut tables = 0;
    for path in tree(bench.place.path()).into_keys() {
        let plain = path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
        assert!(plain && !path.contains(".."), "{path:?}");
        tables += usize::from(path.starts_with("out/fitted/") && path.ends_with(".parquet"));
    }
    assert_eq!(tables, odd_names().len());
    // Names that look alike once cleaned are not mixed up: the same rows give the same numbers again.
    let again = bench.path("again");
    succeed([
        "apply",
        "--fitted",
        text(&out.join("fitted.json")),
        "--input",
        &bench.source,
        "--out",
        text(&again),
        "--quiet",
    ]);
    let applied = read_sorted(&again);
    let rows: Vec<usize> = ids(&train)
        .iter()
        .map(|id| usize::try_from(*id).unwrap())
        .collect();
    let rows = arrow::array::UInt64Array::from_iter_values(rows.into_iter().map(|r| r as u64));
    let same = arrow::compute::take_record_batch(&applied, &rows).unwrap();
    assert_same_bits(&train, &same, "names of every kind");
}

#[test]
fn columns_of_one_name_are_refused() {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
    for (first, second) in [("x", "x"), ("", "")] {
        let fields = ["id", first, second].map(|name| Field::new(name, DataType::Int64, false));
        let columns = vec![Arc::clone(&values); 3];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns).unwrap();
        let mut bench = Bench::with_table(&batch);
        bench.recipe =
            "{key: id, split: {hash: {columns: id}}, features: [{columns: {type: numeric}}]}"
                .to_owned();
        bench.refuses(9, &[&format!("two columns called \"{first}\"")]);
    }
}

#[test]
fn outputs_of_one_name_are_refused() {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
    let gaps: ArrayRef = Arc::new(Int64Array::from_iter(
        (0..10).map(|i| (i % 2 == 0).then_some(i)),
    ));
    let columns = [
        ("id", Arc::clone(&ids)),
        ("x", gaps),
        ("missingindicator_x", ids),
    ];
    let mut bench = Bench::with_table(&RecordBatch::try_from_iter(columns).unwrap());
    bench.recipe = "{key: id, split: {hash: {columns: id}}, features: [\
                    {columns: x, steps: [{simple_imputer: {strategy: mean, add_indicator: true}}]}, \
                    {columns: missingindicator_x}]}"
        .to_owned();
    // Whether there is an indicator shows only in the rows.
    bench.refuses(8, &["missingindicator_x", "prefix or suffix"]);
}
