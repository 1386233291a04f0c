#![allow(clippy::unwrap_used)]

use arrow::array::{Int64Array, ListArray, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int64Type;

use super::*;

/// `id`, `user {age, geo {country}}` in which a user and a place can be missing, `user.age` as a name of its own in the
/// second form, `tags [n]`, `items [{n}]`.
fn table() -> RecordBatch {
    let country: ArrayRef = Arc::new(StringArray::from(vec![
        Some("de"),
        Some("fr"),
        Some("us"),
        None,
    ]));
    let geo = StructArray::new(
        vec![Field::new("country", DataType::Utf8, true)].into(),
        vec![country],
        Some(NullBuffer::from(vec![true, true, false, true])),
    );
    let age: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    let user = StructArray::new(
        vec![
            Field::new("age", DataType::Int64, false),
            Field::new("geo", geo.data_type().clone(), true),
        ]
        .into(),
        vec![age, Arc::new(geo)],
        Some(NullBuffer::from(vec![true, false, true, true])),
    );
    let tags = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some([Some(1)]),
        None,
        None,
        Some([Some(2)]),
    ]);
    let id: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, 2, 3]));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("id", id, false),
        ("user", Arc::new(user), true),
        ("tags", Arc::new(tags), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|f| f.name().as_str()).collect()
}

fn paths(schema: &Schema, wanted: &[&str]) -> Vec<Vec<usize>> {
    wanted
        .iter()
        .map(|name| locate(schema.fields(), name).unwrap())
        .collect()
}

#[test]
fn every_field_of_a_struct_has_a_path() {
    let table = table();
    let all = with_paths(&table.schema());
    assert_eq!(
        names(&all),
        [
            "id",
            "user",
            "tags",
            "user.age",
            "user.geo",
            "user.geo.country"
        ]
    );
    let age = all.field_with_name("user.age").unwrap();
    // The age of a user is not null, but there may be no user.
    assert!(age.is_nullable());
    assert_eq!(root_of(age), Some("user"));
    assert_eq!(root_of(all.field_with_name("user").unwrap()), None);
    assert_eq!(without_paths(&all).fields(), table.schema().fields());
}

#[test]
fn a_column_of_the_very_name_goes_first() {
    let table = table();
    let mut fields: Vec<FieldRef> = table.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("user.age", DataType::Utf8, false)));
    let all = with_paths(&Arc::new(Schema::new(fields)));
    let found: Vec<_> = all
        .fields()
        .iter()
        .filter(|f| f.name() == "user.age")
        .collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found.first().unwrap().data_type(), &DataType::Utf8);
    assert_eq!(locate(all.fields(), "user.age"), Some(vec![3]));
    assert_eq!(locate(all.fields(), "user.geo"), Some(vec![4]));
}

#[test]
fn fields_whose_names_hold_dots_have_no_path() {
    let odd = Fields::from(vec![
        Field::new("a.b", DataType::Int64, false),
        Field::new("c", DataType::Int64, false),
    ]);
    let schema = Arc::new(Schema::new(vec![Field::new(
        "x",
        DataType::Struct(odd),
        false,
    )]));
    assert_eq!(names(&with_paths(&schema)), ["x", "x.c"]);
}

#[test]
fn what_is_inside_of_nothing_is_null() {
    let table = table();
    let columns = ["user.geo.country", "id", "user.age"].map(str::to_owned);
    let wanted = Wanted::find(table.schema_ref().fields(), &columns).unwrap();
    assert_eq!(names(wanted.schema()), columns);
    let found = wanted.of(&table).unwrap();
    let expected: [ArrayRef; 3] = [
        Arc::new(StringArray::from(vec![Some("de"), None, None, None])),
        Arc::new(Int64Array::from(vec![0, 1, 2, 3])),
        Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)])),
    ];
    assert_eq!(found, expected);
    // The same of a part of the batch, whose arrays begin elsewhere.
    let sliced: Vec<ArrayRef> = expected.iter().map(|column| column.slice(1, 2)).collect();
    assert_eq!(wanted.of(&table.slice(1, 2)).unwrap(), sliced);
    assert!(Wanted::find(table.schema_ref().fields(), &["user.name".to_owned()]).is_none());
}

#[test]
fn only_what_is_wanted_is_left_of_a_struct() {
    let schema = table().schema();
    let prune = |wanted: &[&str]| {
        let paths = paths(&schema, wanted);
        let paths: Vec<&[usize]> = paths.iter().map(Vec::as_slice).collect();
        with_paths(&Arc::new(Schema::new(pruned(schema.fields(), &paths))))
    };
    assert_eq!(
        names(&prune(&["user.geo.country", "id"])),
        ["id", "user", "user.geo", "user.geo.country"]
    );
    assert_eq!(names(&prune(&["user.age"])), ["user", "user.age"]);
    assert_eq!(
        names(&prune(&["user.age", "user"])),
        ["user", "user.age", "user.geo", "user.geo.country"]
    );
    assert!(prune(&[]).fields().is_empty());
}

#[test]
fn paths_below_others_are_not_asked_for() {
    let schema = table().schema();
    let wanted = paths(
        &schema,
        &["user.geo.country", "tags", "user.geo", "user.age", "tags"],
    );
    let left: Vec<_> = outermost(&wanted)
        .iter()
        .map(|path| name_of(schema.fields(), path).unwrap())
        .collect();
    assert_eq!(left, ["tags", "user.geo", "user.age"]);
}
