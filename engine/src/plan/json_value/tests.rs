#![allow(clippy::unwrap_used)]

use arrow::array::{AsArray, RecordBatch, StringArray, StringViewArray};

use super::*;
use crate::ErrorKind;
use crate::plan::{DerivedColumns, SqlExpressions};

fn find(json: &str, path: &str) -> Option<String> {
    Path::read(path).unwrap().find(json)
}

/// The examples of BigQuery's documentation of JSON_VALUE and its JSONPath, and what it says of scalars.
#[test]
fn as_bigquery_documents_it() {
    let jakob = r#"{ "name" : "Jakob", "age" : "6" }"#;
    assert_eq!(find(jakob, "$.name").as_deref(), Some("Jakob"));
    assert_eq!(find(jakob, "$.age").as_deref(), Some("6"));
    assert_eq!(find(r#"{"fruits": ["apple", "banana"]}"#, "$.fruits"), None);
    assert_eq!(
        find(r#"{"fruits": ["apple", "banana"]}"#, "$.fruits[1]").as_deref(),
        Some("banana")
    );
    assert_eq!(
        find(r#"{"a.b": {"c": "world"}}"#, r#"$."a.b".c"#).as_deref(),
        Some("world")
    );
    let class = r#"{"class" : {"students" : [{"name" : "John"}, {"name": "Jamie"}]}}"#;
    assert_eq!(
        find(class, "$.class.students[0].name").as_deref(),
        Some("John")
    );
    assert_eq!(find(class, "$.class.students[2].name"), None);
    assert_eq!(find(class, "$.class.students"), None);
    assert_eq!(
        find(class, "$.class.students[1].name").as_deref(),
        Some("Jamie")
    );
    assert_eq!(find(class, "$"), None);
}

#[test]
fn scalars_are_written_as_json_writes_them() {
    let json = r#"{"t": true, "n": null, "i": -9223372036854775808, "u": 18446744073709551615, "f": 1.5, "e": 1e3, "s": "a\"\u00e9\n", "": 1, "x": {"x": 7}}"#;
    for (path, value) in [
        ("$.t", Some("true")),
        ("$.n", None),
        ("$.i", Some("-9223372036854775808")),
        ("$.u", Some("18446744073709551615")),
        ("$.f", Some("1.5")),
        ("$.e", Some("1000.0")),
        ("$.s", Some("a\"é\n")),
        (r#"$."""#, Some("1")),
        ("$.x.x", Some("7")),
        ("$.x", None),
        ("$.t.x", None),
        ("$.t[0]", None),
        ("$[0]", None),
        ("$.missing", None),
    ] {
        assert_eq!(find(json, path).as_deref(), value, "{path}");
    }
    assert_eq!(find("7", "$").as_deref(), Some("7"));
    assert_eq!(find("[[1, 2], [3]]", "$[1][0]").as_deref(), Some("3"));
    // Of two members of one name the first counts, whatever it is.
    assert_eq!(find(r#"{"a": 1, "a": 2}"#, "$.a").as_deref(), Some("1"));
    assert_eq!(find(r#"{"a": [], "a": 2}"#, "$.a"), None);
}

#[test]
fn what_is_no_json_is_null() {
    for json in ["", "{", "{\"a\": 1", "{\"a\": 1} x", "{a: 1}", "nul"] {
        assert_eq!(find(json, "$.a"), None, "{json}");
    }
}

#[test]
fn paths_that_cannot_be_read_are_refused() {
    for path in [
        "", "a", ".a", "$a", "$.", "$..a", "$.a b", "$[", "$[x]", "$[-1]", "$.\"a", "$.*",
        "$['a']", "$[*]", "$.é!",
    ] {
        assert!(Path::read(path).is_err(), "{path}");
    }
    assert!(Path::read("$.é_1-2").is_ok());
}

fn derive(sql: &str, columns: Vec<(&str, ArrayRef)>) -> crate::Result<RecordBatch> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
            .unwrap();
    let derivations = [("d".to_owned(), sql.to_owned())];
    let compiler = SqlExpressions::try_new()?;
    DerivedColumns::try_new(&derivations, &batch.schema(), &compiler, &|_| true)?.add_to(batch)
}

#[test]
fn is_called_from_sql_on_any_text() {
    let json = vec![Some(r#"{"n": 4}"#), None, Some(r#"{"n": "x"}"#)];
    let plain: ArrayRef = Arc::new(StringArray::from(json.clone()));
    let view: ArrayRef = Arc::new(StringViewArray::from(json));
    let packed = arrow::compute::cast(
        &plain,
        &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    )
    .unwrap();
    for column in [plain, view, packed] {
        let found = derive("json_value(j, '$.n')", vec![("j", column)]).unwrap();
        let found: Vec<_> = found.column(1).as_string::<i32>().iter().collect();
        assert_eq!(found, [Some("4"), None, Some("x")]);
    }
    let one = derive(
        "json_value('[1]', '$[0]') || json_value('2')",
        vec![("j", all_null(1))],
    )
    .unwrap();
    assert_eq!(one.column(1).as_string::<i32>().value(0), "12");
    let none = derive(
        "json_value(j, NULL)",
        vec![("j", Arc::new(StringArray::from(vec!["1"])))],
    )
    .unwrap();
    assert!(none.column(1).is_null(0));
}

#[test]
fn other_arguments_are_refused() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["{}"]));
    let number: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1]));
    let columns = || vec![("j", Arc::clone(&text)), ("n", Arc::clone(&number))];
    for (sql, said) in [
        ("json_value(n, '$')", "not a value of type Int64"),
        ("json_value(j, '$', '$')", "not 3 arguments"),
        ("json_value(j, j)", "a path that is written out"),
        ("json_value(j, 'a')", "cannot read the path 'a'"),
    ] {
        let error = derive(sql, columns()).unwrap_err();
        assert!(error.to_string().contains(said), "{sql}: {error}");
        assert_eq!(error.kind(), ErrorKind::Config, "{sql}: {error}");
    }
}
