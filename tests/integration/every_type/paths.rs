//! Fields of structs as columns called by their path.

use super::*;

#[test]
fn only_fields_that_are_named_are_read() {
    let every = Every::new();
    let read = |more: &str| {
        let recipe = format!(
            "{more}key: id\n{SPLIT}features: [{{columns: part, steps: [standard_scaler]}}]\n"
        );
        let plan = every.plan(&recipe).unwrap();
        (plan.columns_read, plan.bytes_estimated.unwrap())
    };
    let (columns, nothing) = read("");
    assert_eq!(columns, ["id", "part"]);
    let (columns, age) = read("pass_through: user.age\n");
    assert_eq!(columns, ["id", "part", "user.age"]);
    assert_eq!(
        age - nothing,
        5 * 8,
        "eight bytes for each user that there is"
    );
    let (columns, derived) = read("derive: {older: user.age + 1}\npass_through: older\n");
    assert_eq!(columns, ["id", "part", "user.age"]);
    assert_eq!(derived, age);
    let (columns, whole) = read("pass_through: [user, user.age]\n");
    assert_eq!(columns, ["id", "part", "user", "user.age"]);
    assert!(whole > age);
    let (_, range) = read("pass_through: range_date.start\n");
    assert!(range > nothing, "a range is read whole");
}

#[test]
fn paths_are_columns_wherever_columns_are_named() {
    let every = Every::new();
    let recipe = "where: user.age <> 7 OR user.age IS NULL
derive: {far: \"CASE WHEN abs(user.geo.lat) > 1 THEN 1 ELSE 0 END\"}
key: [id, user.age]
label: user.geo.lat
pass_through: range_date.start
split: {hash: {columns: user.geo.country, ratios: {train: 1, val: 0, test: 0}}}
dtype: float64
features:
  - columns: user.geo.country
    steps: [{ordinal_encoder: {missing: category, handle_unknown: use_encoded_value, unknown_value: -1}}]
    suffix: _code
  - columns: user.age
    steps: [{simple_imputer: mean}]
    suffix: _filled
  - columns: far
    steps: [max_abs_scaler]
";
    let found = every.run(recipe, "paths");
    assert_eq!(
        column(&found, "id").as_primitive::<Int64Type>(),
        &Int64Array::from(vec![0, 1, 3, 4, 5])
    );
    assert_eq!(
        column(&found, "user.age").as_primitive::<Int64Type>(),
        &Int64Array::from(vec![Some(5), Some(6), Some(8), None, Some(10)])
    );
    assert_eq!(
        floats(&found, "user.geo.lat"),
        [Some(1.5), Some(-90.0), None, None, None]
    );
    assert_eq!(column(&found, "range_date.start").null_count(), 2);
    assert_eq!(
        floats(&found, "user.age_filled"),
        [Some(5.0), Some(6.0), Some(8.0), Some(7.25), Some(10.0)]
    );
    assert_eq!(floats(&found, "far"), [1.0, 1.0, 0.0, 0.0, 0.0].map(Some));

    // The same rows again, from BigQuery, from Parquet, and as a batch in a program.
    let out = every.place.path().join("paths");
    let fitted = text(&out.join("fitted.json")).to_owned();
    let parquet = every.place.path().join("plain/rows.parquet");
    let sent = table::batch();
    let wanted: Vec<usize> = (0..sent.num_columns())
        .filter(|i| *i != sent.schema().index_of("wait").unwrap())
        .collect();
    let sent = sent.project(&wanted).unwrap();
    write_file(&parquet, &sent);
    for (input, name) in [(table::ADDRESS, "again"), (text(&parquet), "files")] {
        let scored = every.place.path().join(name);
        succeed([
            "apply",
            "--fitted",
            &fitted,
            "--input",
            input,
            "--out",
            text(&scored),
            "--emulator",
            &every.served.url,
        ]);
        let scored = read_sorted(&scored);
        let rows = arrow::array::UInt32Array::from(vec![0, 1, 3, 4, 5]);
        let same = arrow::compute::take_record_batch(&scored, &rows).unwrap();
        assert_same_bits(&same, &found, name);
    }
    let scored = FittedRecipe::open(&fitted)
        .unwrap()
        .transform(&sent)
        .unwrap();
    assert_eq!(
        column(&scored, "user.age_filled").as_primitive::<Float64Type>(),
        &Float64Array::from(vec![5.0, 6.0, 7.0, 8.0, 7.25, 10.0])
    );
}

/// Selectors of types and globs without a dot take whole columns alone.
#[test]
fn what_is_inside_is_taken_only_when_it_is_spoken_of() {
    let every = Every::new();
    let read = |columns: &str| {
        let recipe = format!(
            "key: id\n{SPLIT}drop: [int64, infinite, \"num*\", \"big*\", float64, bool]\nfeatures: [{{columns: {columns}, steps: [{{simple_imputer: most_frequent}}]}}]\n"
        );
        every.plan(&recipe).unwrap().columns_read
    };
    assert_eq!(read("{type: numeric}"), ["id", "part"]);
    assert_eq!(read("[part, \"user.geo.*\"]").len(), 4, "a glob with a dot");
}

/// In Parquet a column may be called like a path: then that column is meant.
#[test]
fn a_column_of_the_very_name_goes_before_a_path() {
    let batch = table::batch();
    let ages: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![100; 6]));
    let plain = RecordBatch::try_from_iter([
        ("id", column(&batch, "id").clone()),
        ("part", column(&batch, "part").clone()),
        ("user.age", ages),
        ("user", column(&batch, "user").clone()),
    ])
    .unwrap();
    let mut bench = Bench::with_table(&plain);
    bench.recipe = format!(
        "derive: {{inside: user.age}}\nkey: id\n{SPLIT}dtype: float64\nfeatures: [{{columns: [user.age, inside, user.geo.lat], steps: [{{simple_imputer: {{strategy: constant, fill_value: 0}}}}]}}]\n"
    );
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let found = read_sorted(&bench.out().join("train"));
    assert_eq!(floats(&found, "user.age"), [Some(100.0); 6]);
    assert_eq!(
        floats(&found, "inside"),
        [5.0, 6.0, 7.0, 8.0, 0.0, 10.0].map(Some)
    );
    assert_eq!(
        floats(&found, "user.geo.lat"),
        [1.5, -90.0, 0.0, 0.0, 0.0, 0.0].map(Some)
    );
    assert!(matches!(
        column(&found, "inside").data_type(),
        DataType::Float64
    ));
}
