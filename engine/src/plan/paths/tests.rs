#![allow(clippy::unwrap_used)]

use super::*;
use crate::ErrorKind;
use crate::plan::{Session, full_schema};
use crate::source::nested::with_paths;

fn names(fields: &[(&str, DataType)]) -> Fields {
    let fields = fields.iter().map(|(n, t)| Field::new(*n, t.clone(), true));
    fields.collect()
}

/// `user {age, geo {country, tags [text]}}`, `valid {start, end}`, `n`.
fn table() -> SchemaRef {
    let tags = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let geo = DataType::Struct(names(&[("country", DataType::Utf8), ("tags", tags)]));
    let user = DataType::Struct(names(&[("age", DataType::Int64), ("geo", geo)]));
    let valid = DataType::Struct(names(&[
        ("start", DataType::Date32),
        ("end", DataType::Date32),
    ]));
    let all = names(&[("user", user), ("valid", valid), ("n", DataType::Int64)]);
    with_paths(&Arc::new(Schema::new(all)))
}

fn columns(sql: &str, schema: &Schema) -> Result<Vec<String>> {
    let session = Session::for_expressions().unwrap();
    let expr = parse(&session.context().state(), sql, schema, "derive.x")?;
    let mut found: Vec<String> = expr.column_refs().iter().map(|c| c.name.clone()).collect();
    found.sort();
    Ok(found)
}

#[test]
fn only_the_field_that_is_named_is_read() {
    for (sql, read) in [
        ("user.geo.country", &["user.geo.country"][..]),
        ("user['geo']['country'] || 'x'", &["user.geo.country"]),
        (
            "get_field(\"user\", 'geo', 'country')",
            &["user.geo.country"],
        ),
        ("\"user.geo.country\"", &["user.geo.country"]),
        ("user.age + n", &["n", "user.age"]),
        ("user.geo", &["user.geo"]),
        ("user.geo.tags[1]", &["user.geo.tags"]),
        ("array_length(user.geo.tags)", &["user.geo.tags"]),
        ("valid.end - valid.start", &["valid.end", "valid.start"]),
        ("\"user\"", &["user"]),
        (
            "CASE WHEN user.age > 1 THEN 'user.age' ELSE ' end' END",
            &["user.age"],
        ),
        ("-- user.x\nuser.age", &["user.age"]),
    ] {
        assert_eq!(columns(sql, &table()).unwrap(), read, "{sql}");
    }
}

#[test]
fn parts_are_enough_to_read_what_names_them() {
    let parts = table();
    let parts: Vec<FieldRef> = parts
        .fields()
        .iter()
        .filter(|f| ["user.age", "user.geo.country", "n"].contains(&f.name().as_str()))
        .cloned()
        .collect();
    let parts = Schema::new(parts);
    assert_eq!(
        columns("user.geo.country", &parts).unwrap(),
        ["user.geo.country"]
    );
    assert_eq!(columns("n + user.age", &parts).unwrap(), ["n", "user.age"]);
    assert!(columns("user.geo.tags[1]", &parts).is_err());
}

#[test]
fn a_derived_column_hides_what_was_inside_of_the_one_it_replaces() {
    let geo = DataType::Struct(names(&[("age", DataType::Utf8)]));
    let replaced = with_derived(&table(), Arc::new(Field::new("user", geo, true)));
    assert!(replaced.field_with_name("user.age").is_err());
    assert_eq!(columns("user.age", &replaced).unwrap(), ["user"]);
}

#[test]
fn what_is_not_there_is_an_error_of_the_recipe() {
    let derived = |sql: &str| {
        let derive = [("x".to_owned(), sql.to_owned())];
        full_schema(&Session::for_expressions().unwrap(), &table(), &derive)
    };
    assert!(derived("user.geo.tags[1]").is_ok());
    for sql in ["user.name", "user.geo.city.x", "users.age", "n.x"] {
        let error = derived(sql).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Config | ErrorKind::Schema),
            "{sql}: {error}"
        );
    }
    let error = derived("ST_X(user.geo.country)").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("regexp_match"), "{error}");
}
