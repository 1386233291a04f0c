#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn reads_the_ways_a_table_is_written() {
    let t = TableName::parse("bigquery://my-project.shop.clicks").unwrap();
    assert_eq!(t.path(), "projects/my-project/datasets/shop/tables/clicks");
    assert_eq!(t.to_string(), "my-project.shop.clicks");
    assert_eq!(
        TableName::parse("p.d.t-1 é").unwrap().path(),
        "projects/p/datasets/d/tables/t-1 é"
    );
    let scoped = TableName::parse("example.com:proj.ds.t").unwrap();
    assert_eq!(scoped.project(), "example.com:proj");
    assert_eq!(
        scoped.path(),
        "projects/example.com:proj/datasets/ds/tables/t"
    );
}

#[test]
fn refuses_what_is_not_one_table() {
    for (written, says) in [
        ("clicks", "three parts"),
        ("d.t", "three parts"),
        ("p:d.t", "three parts"),
        ("p.d.events_*", "wildcard"),
        ("p.d.t$20260101", "names a partition"),
        ("..", "project \"\""),
        ("p/../q.d.t", "project"),
        ("p.d/x.t", "dataset"),
        ("p.d.t`; DROP", "table"),
        ("p.d.t\0", "table"),
        ("p.d.t\u{202e}x", "table"),
        ("p.d.a/b", "table"),
        ("a:b:c.d.t", "project"),
    ] {
        let error = TableName::parse(written).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{written}");
        assert!(error.to_string().contains(says), "{written}: {error}");
    }
}

#[test]
fn quotes_honest_columns_and_refuses_hostile_ones() {
    for name in ["a", "_x", "größe", "a b", "it's", "100% <x>", "価格"] {
        assert_eq!(quote_column(name).unwrap(), format!("`{name}`"));
    }
    for name in [
        "",
        "a`b",
        "a\\b",
        "a.b",
        "a;b",
        "a\"b",
        "a\nb",
        "a\0b",
        "a(b)",
        "a\u{2028}b",
    ] {
        assert!(quote_column(name).is_err(), "{name:?}");
    }
    assert!(quote_column(&"é".repeat(300)).is_ok());
    assert!(quote_column(&"é".repeat(301)).is_err());
}
