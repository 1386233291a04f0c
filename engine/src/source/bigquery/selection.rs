//! What of a table's columns a session selects, and what it delivers then.
//!
//! Owns the names in `selected_fields`. Must not know sessions.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use crate::source::nested::{Places, name_of, outermost, pruned, without_paths};

/// What to select so that `columns` of a table of `schema` arrive: their paths, without those that come with another one.
pub(super) fn selected_fields(schema: &SchemaRef, columns: &[String]) -> Vec<String> {
    let whole = without_paths(schema);
    let fields = whole.fields();
    let places = Places::of(fields);
    let located = columns.iter().filter_map(|name| places.locate(name));
    let paths: Vec<_> = located.map(|path| selectable(fields, path)).collect();
    let outermost = outermost(&paths);
    let names = outermost.iter().filter_map(|path| name_of(fields, path));
    names.collect()
}

/// What a session over a table of `schema` delivers that selects `fields`.
pub(super) fn delivered(schema: &SchemaRef, fields: &[String]) -> SchemaRef {
    let whole = without_paths(schema);
    let places = Places::of(whole.fields());
    let located = fields.iter().filter_map(|name| places.locate(name));
    let paths: Vec<_> = located.collect();
    let paths: Vec<&[usize]> = paths.iter().map(Vec::as_slice).collect();
    Arc::new(Schema::new(pruned(whole.fields(), &paths)))
}

/// `path` as far as the service can select it: a RANGE arrives as a struct of its ends, but is one value.
fn selectable(fields: &Fields, mut path: Vec<usize>) -> Vec<usize> {
    let mut fields = fields;
    for depth in 0..path.len() {
        let Some(field) = path.get(depth).and_then(|index| fields.get(*index)) else {
            break;
        };
        let DataType::Struct(children) = field.data_type() else {
            break;
        };
        if is_range(field) {
            path.truncate(depth + 1);
            break;
        }
        fields = children;
    }
    path
}

fn is_range(field: &Field) -> bool {
    field
        .metadata()
        .get("ARROW:extension:name")
        .is_some_and(|name| name == "google:sqlType:range")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::source::nested::with_paths;

    #[test]
    fn fields_are_selected_by_path_and_ranges_whole() {
        let day = |name: &str| Field::new(name, DataType::Date32, true);
        let range = Field::new(
            "valid",
            DataType::Struct(vec![day("start"), day("end")].into()),
            true,
        )
        .with_metadata(
            [(
                "ARROW:extension:name".to_owned(),
                "google:sqlType:range".to_owned(),
            )]
            .into(),
        );
        let user = DataType::Struct(
            vec![
                day("born"),
                Field::new("name", DataType::Utf8, true),
                range.clone(),
            ]
            .into(),
        );
        let schema = Arc::new(Schema::new(vec![
            Field::new("user", user, true),
            range,
            day("day"),
        ]));
        let all = with_paths(&schema);
        let select = |columns: &[&str]| {
            let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
            selected_fields(&all, &columns)
        };
        assert_eq!(select(&["user.name", "day"]), ["user.name", "day"]);
        assert_eq!(select(&["user.name", "user", "user.valid.end"]), ["user"]);
        assert_eq!(select(&["valid.end", "valid.start"]), ["valid"]);
        assert_eq!(select(&["user.valid.start"]), ["user.valid"]);
        let names = |fields: &[&str]| {
            let fields: Vec<String> = fields.iter().map(|f| (*f).to_owned()).collect();
            let found = with_paths(&delivered(&all, &fields));
            found
                .fields()
                .iter()
                .map(|f| f.name().clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&["user.name", "day"]), ["user", "day", "user.name"]);
        assert_eq!(names(&["valid"]), ["valid", "valid.start", "valid.end"]);
    }
}
