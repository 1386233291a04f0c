#![allow(clippy::unwrap_used)]

use arrow::datatypes::Schema;

use super::*;

fn schema() -> Schema {
    let time =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("day", DataType::Date32, true),
        Field::new("at", time(Some("UTC")), true),
        Field::new("local", time(None), true),
        Field::new("name", DataType::Utf8, true),
        Field::new("x", DataType::Float64, true),
    ])
}

fn ranges(column: &str, at: &[&str]) -> Result<Vec<String>> {
    let wanted = WorkUnits {
        column: column.into(),
        at: at.iter().map(|s| (*s).to_owned()).collect(),
    };
    conditions(&schema(), &wanted)?
        .into_iter()
        .map(|condition| row_restriction(&[condition]))
        .collect()
}

#[test]
fn every_row_is_in_exactly_one_range() {
    assert_eq!(
        ranges("n", &["-5", "10"]).unwrap(),
        [
            "((`n` IS NULL) OR (`n` < -5))",
            "((`n` >= -5) AND (`n` < 10))",
            "(`n` >= 10)"
        ]
    );
}

#[test]
fn bounds_are_of_the_type_of_the_column() {
    let last = |column, at| ranges(column, &[at]).unwrap().pop().unwrap();
    assert_eq!(last("day", "2026-01-31"), "(`day` >= DATE '2026-01-31')");
    assert_eq!(last("day", "1969-12-31"), "(`day` >= DATE '1969-12-31')");
    assert_eq!(
        last("at", "2026-01-31T12:00:00+02:00"),
        "(`at` >= TIMESTAMP '2026-01-31 10:00:00.000000+00:00')"
    );
    assert_eq!(
        last("at", "2026-01-31"),
        "(`at` >= TIMESTAMP '2026-01-31 00:00:00.000000+00:00')"
    );
    assert_eq!(
        last("local", "2026-01-31T12:00:00"),
        "(`local` >= DATETIME '2026-01-31 12:00:00.000000')"
    );
    assert_eq!(last("name", "it's"), "(`name` >= 'it\\'s')");
}

#[test]
fn what_cannot_be_cut_is_refused() {
    for (column, at, text) in [
        ("nobody", &["1"][..], "no column \"nobody\""),
        ("n", &[], "no bounds"),
        (
            "n",
            &["one"],
            "bound \"one\" of column \"n\" is not an integer",
        ),
        ("day", &["31.1.2026"], "is not a date like"),
        ("x", &["1"], "column \"x\" is Float64"),
        ("n", &["10", "9"], "bound 1 of column \"n\" is not above"),
        ("n", &["10", "10"], "bound 1 of column \"n\" is not above"),
        (
            "name",
            &["b", "a"],
            "bound 1 of column \"name\" is not above",
        ),
    ] {
        let error = ranges(column, at).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}
