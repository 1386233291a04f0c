#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use super::*;
use crate::error::ErrorKind;

fn compare(column: &str, comparison: Comparison, literal: Literal) -> Predicate {
    Predicate::Compare {
        column: column.to_owned(),
        comparison,
        literal,
    }
}

fn equal(column: &str, literal: Literal) -> Predicate {
    compare(column, Comparison::Equal, literal)
}

fn text(value: &str) -> Literal {
    Literal::Text(value.to_owned())
}

fn one(predicate: Predicate) -> String {
    row_restriction(&[predicate]).unwrap()
}

fn schema() -> Schema {
    let tagged = |name: &str, data_type, sql_type: &str| {
        Field::new(name, data_type, true).with_metadata(
            [(
                "ARROW:extension:name".to_owned(),
                format!("google:sqlType:{sql_type}"),
            )]
            .into(),
        )
    };
    let micros =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Arc::from));
    Schema::new(vec![
        Field::new("b", DataType::Boolean, true),
        Field::new("i", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("s", DataType::Utf8, true),
        tagged("json", DataType::Utf8, "json"),
        Field::new("d", DataType::Date32, true),
        Field::new("ts", micros(Some("UTC")), true),
        tagged("dt", micros(None), "datetime"),
        Field::new("num", DataType::Decimal128(38, 9), true),
        Field::new("bad`name", DataType::Int64, true),
        Field::new_list("list", Field::new("item", DataType::Int64, true), false),
    ])
}

#[test]
fn writes_every_comparison_and_literal() {
    for (comparison, sql) in [
        (Comparison::Equal, "="),
        (Comparison::NotEqual, "<>"),
        (Comparison::Less, "<"),
        (Comparison::LessOrEqual, "<="),
        (Comparison::Greater, ">"),
        (Comparison::GreaterOrEqual, ">="),
    ] {
        assert_eq!(
            one(compare("i", comparison, Literal::Int(-5))),
            format!("(`i` {sql} -5)")
        );
    }
    assert_eq!(one(equal("b", Literal::Bool(true))), "(`b` = TRUE)");
    assert_eq!(one(equal("b", Literal::Bool(false))), "(`b` = FALSE)");
    assert_eq!(
        one(equal("i", Literal::Int(i64::MAX))),
        "(`i` = 9223372036854775807)"
    );
    assert_eq!(
        one(equal("d", Literal::Date(-1))),
        "(`d` = DATE '1969-12-31')"
    );
    assert_eq!(
        one(equal("ts", Literal::Timestamp(1_767_225_600_000_001))),
        "(`ts` = TIMESTAMP '2026-01-01 00:00:00.000001+00:00')"
    );
    assert_eq!(
        one(equal("dt", Literal::DateTime(-1))),
        "(`dt` = DATETIME '1969-12-31 23:59:59.999999')"
    );
    assert_eq!(
        one(equal("d", Literal::Date(-719_162))),
        "(`d` = DATE '0001-01-01')"
    );
    assert_eq!(
        one(equal("d", Literal::Date(2_932_896))),
        "(`d` = DATE '9999-12-31')"
    );
}

#[test]
fn strings_cannot_leave_their_quotes() {
    for (value, sql) in [
        ("", "''"),
        ("it's", r"'it\'s'"),
        (r"back\slash", r"'back\\slash'"),
        (r"\' OR TRUE --", r"'\\\' OR TRUE --'"),
        ("two\nlines\r\ttab", r"'two\nlines\r\ttab'"),
        ("\"double\" `tick`", "'\"double\" `tick`'"),
        ("naïve 価格 🦀", "'naïve 価格 🦀'"),
        ("%_", "'%_'"),
    ] {
        assert_eq!(one(equal("s", text(value))), format!("(`s` = {sql})"));
    }
    for value in ["\0", "\u{1}", "\u{7f}", "\u{85}"] {
        assert!(row_restriction(&[equal("s", text(value))]).is_err());
        assert!(!applies(&schema(), &equal("s", text(value))));
    }
}

#[test]
fn nesting_keeps_its_shape() {
    let a = || Box::new(equal("i", Literal::Int(1)));
    let b = || Box::new(Predicate::IsNull("s".to_owned()));
    assert_eq!(
        one(Predicate::Not(Box::new(Predicate::Or(a(), b())))),
        "(NOT ((`i` = 1) OR (`s` IS NULL)))"
    );
    let list = |negated| Predicate::In {
        column: "s".to_owned(),
        literals: vec![text("a"), text("b'")],
        negated,
    };
    assert_eq!(one(list(false)), r"(`s` IN ('a', 'b\''))");
    assert_eq!(one(list(true)), r"(`s` NOT IN ('a', 'b\''))");
    assert_eq!(
        row_restriction(&[
            Predicate::And(a(), b()),
            Predicate::IsNotNull("d".to_owned())
        ])
        .unwrap(),
        "((`i` = 1) AND (`s` IS NULL)) AND (`d` IS NOT NULL)"
    );
    assert_eq!(row_restriction(&[]).unwrap(), "");
}

#[test]
fn applies_only_to_the_very_same_type() {
    let schema = schema();
    for (column, literal) in [
        ("b", Literal::Bool(true)),
        ("i", Literal::Int(1)),
        ("s", text("x")),
        ("d", Literal::Date(0)),
        ("ts", Literal::Timestamp(0)),
        ("dt", Literal::DateTime(0)),
    ] {
        assert!(
            applies(&schema, &equal(column, literal.clone())),
            "{column} {literal:?}"
        );
    }
    for (column, literal) in [
        ("f", Literal::Int(1)),
        ("num", Literal::Int(1)),
        ("i", text("1")),
        ("json", text("x")),
        ("ts", Literal::DateTime(0)),
        ("dt", Literal::Timestamp(0)),
        ("d", Literal::Timestamp(0)),
        ("missing", Literal::Int(1)),
        ("I", Literal::Int(1)),
        ("bad`name", Literal::Int(1)),
        ("i", Literal::Int(i64::MIN)),
        ("d", Literal::Date(i32::MAX)),
        ("d", Literal::Date(-719_163)),
        ("d", Literal::Date(2_932_897)),
        ("ts", Literal::Timestamp(i64::MIN)),
        ("ts", Literal::Timestamp(253_402_300_800_000_000)),
        ("dt", Literal::DateTime(i64::MAX)),
    ] {
        assert!(
            !applies(&schema, &equal(column, literal.clone())),
            "{column} {literal:?}"
        );
    }
    assert!(applies(&schema, &Predicate::IsNull("f".to_owned())));
    assert!(!applies(&schema, &Predicate::IsNull("list".to_owned())));
    // One inexact part makes the whole inexact.
    assert!(!applies(
        &schema,
        &Predicate::Or(
            Box::new(equal("i", Literal::Int(1))),
            Box::new(Predicate::Not(Box::new(equal("f", Literal::Int(1)))))
        )
    ));
}

#[test]
fn long_conditions_stay_local_or_are_refused() {
    let long = |bytes: usize| equal("s", text(&"x".repeat(bytes)));
    assert!(applies(&schema(), &long(1000)));
    assert!(!applies(&schema(), &long(LONGEST_PREDICATE_BYTES)));
    let error = row_restriction(&[long(LONGEST_BYTES)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("1048576"), "{error}");
    let empty = Predicate::In {
        column: "s".to_owned(),
        literals: vec![],
        negated: false,
    };
    assert!(!applies(&schema(), &empty));
    assert!(row_restriction(&[empty]).is_err());
}
