//! Every BigQuery type: what arrives, what it can be used for, what is refused and with what advice.
//!
//! The table of `docs/types.md` is made here from what happens, and compared with what is written there.

use std::fs;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use millpond::{ByteSize, Error, ErrorKind, FittedRecipe, Job, JobPlan, JobSettings, Recipe};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::bench::Bench;
use crate::command::{call, succeed, text};
use crate::rows::{assert_same_bits, read_sorted, write_file};
use crate::served::Served;

mod table;

/// All rows are training rows.
const SPLIT: &str = "split: {column: {column: part, train: 0, val: 1, test: 2}}\n";

/// The table, served.
struct Every {
    place: TempDir,
    served: Served,
    runtime: Runtime,
}

impl Every {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        table::write(&data);
        Self {
            served: Served::start_as(&data, |emulator| emulator),
            place,
            runtime: Runtime::new().unwrap(),
        }
    }

    fn settings(&self) -> JobSettings {
        JobSettings {
            output: Some(self.place.path().join("none")),
            temp_dir: Some(self.place.path().join("temp")),
            memory: Some(ByteSize::gib(4)),
            slots: Some(1),
            emulator: Some(self.served.url.clone()),
            ..JobSettings::default()
        }
    }

    /// What the recipe would do.
    fn plan(&self, recipe: &str) -> Result<JobPlan, Error> {
        let recipe = format!("source: {}\n{recipe}", table::ADDRESS);
        let job = Job::from_recipe(Recipe::from_yaml(&recipe).unwrap(), self.settings())?;
        self.runtime.block_on(job.plan())
    }

    /// The training rows that the recipe makes.
    fn run(&self, recipe: &str, name: &str) -> RecordBatch {
        let path = self.place.path().join(format!("{name}.yaml"));
        fs::write(&path, format!("source: {}\n{recipe}", table::ADDRESS)).unwrap();
        let out = self.place.path().join(name);
        let emulator = &self.served.url;
        succeed([
            "run",
            text(&path),
            "--emulator",
            emulator,
            "--out",
            text(&out),
            "--quiet",
        ]);
        read_sorted(&out.join("train"))
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch
        .column_by_name(name)
        .unwrap_or_else(|| panic!("no {name} in {:?}", batch.schema()))
}

fn floats(batch: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    column(batch, name)
        .as_primitive::<Float64Type>()
        .iter()
        .collect()
}

/// `ids` and the names given, and nothing learned of importance.
fn carrying(names: &[&str]) -> String {
    format!(
        "key: id\n{SPLIT}pass_through: [{}]\nfeatures: [{{columns: part, steps: [standard_scaler], suffix: _x}}]\n",
        names.join(", ")
    )
}

#[test]
fn values_of_every_type_go_through_unchanged() {
    let every = Every::new();
    let batch = table::batch();
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let names: Vec<&str> = names
        .into_iter()
        .filter(|n| !["id", "wait"].contains(n))
        .collect();
    let found = every.run(&carrying(&names), "all");
    for name in names {
        let (written, sent) = (column(&found, name), column(&batch, name));
        assert_eq!(written.data_type(), sent.data_type(), "{name}");
        let pair = |column: &ArrayRef| {
            RecordBatch::try_from_iter_with_nullable([(name, column.clone(), true)]).unwrap()
        };
        assert_same_bits(&pair(written), &pair(sent), name);
    }
}

/// A type, and how its values are compared and what type arrives.
struct Kind {
    name: &'static str,
    column: &'static str,
    arrives: &'static str,
    /// A comparison of every row with a literal.
    condition: &'static str,
    /// What the advice to a numeric step holds.
    advice: &'static str,
}

const fn kind(
    name: &'static str,
    column: &'static str,
    arrives: &'static str,
    condition: &'static str,
    advice: &'static str,
) -> Kind {
    Kind {
        name,
        column,
        arrives,
        condition,
        advice,
    }
}

const KINDS: [Kind; 23] = [
    kind("INT64", "int64", "Int64", "int64 > 0", ""),
    kind("FLOAT64", "float64", "Float64", "float64 > 0", ""),
    kind("BOOL", "bool", "Boolean", "bool = TRUE", ""),
    kind("STRING", "string", "Utf8", "string > 'a'", "an encoder"),
    kind(
        "BYTES",
        "bytes",
        "Binary",
        "hex(bytes) > '00'",
        "BYTES column: derive its length, byte_length(bytes), or its text, hex(bytes)",
    ),
    kind(
        "DATE",
        "date",
        "Date32",
        "date > DATE '1970-01-01'",
        "date_parts",
    ),
    kind(
        "TIME",
        "time",
        "Time64(µs)",
        "date_part('hour', time) > 1",
        "TIME column: derive parts of it, such as date_part('hour', time)",
    ),
    kind(
        "DATETIME",
        "datetime",
        "Timestamp(µs)",
        "datetime > TIMESTAMP '1970-01-01'",
        "date_parts",
    ),
    kind(
        "TIMESTAMP",
        "timestamp",
        "Timestamp(µs, \"UTC\")",
        "timestamp > TIMESTAMP '1970-01-01T00:00:00Z'",
        "date_parts",
    ),
    kind("NUMERIC", "numeric", "Decimal128(38, 9)", "numeric > 0", ""),
    kind(
        "NUMERIC(10, 2)",
        "numeric_10_2",
        "Decimal128(10, 2)",
        "numeric_10_2 > 0",
        "",
    ),
    kind(
        "BIGNUMERIC",
        "bignumeric",
        "Decimal256(76, 38)",
        "bignumeric > 0",
        "",
    ),
    kind(
        "JSON",
        "json",
        "Utf8",
        "json_value(json, '$.n') = 'x'",
        "JSON column: derive a value of it, such as CAST(json_value(json, '$.name') AS DOUBLE)",
    ),
    kind(
        "GEOGRAPHY",
        "geography",
        "Utf8",
        "geography LIKE 'POINT%'",
        "an encoder",
    ),
    kind(
        "INTERVAL",
        "wait",
        "Interval(MonthDayNano)",
        "date_part('day', wait) > 0",
        "INTERVAL column: months have no fixed length",
    ),
    kind(
        "RANGE<DATE>",
        "range_date",
        "Struct",
        "range_date.start > DATE '1970-01-01'",
        "RANGE<DATE> column: name what is inside of it, such as range_date.start",
    ),
    kind(
        "RANGE<DATETIME>",
        "range_datetime",
        "Struct",
        "range_datetime.end > TIMESTAMP '1970-01-01'",
        "RANGE<DATETIME> column",
    ),
    kind(
        "RANGE<TIMESTAMP>",
        "range_timestamp",
        "Struct",
        "range_timestamp.start IS NULL",
        "RANGE<TIMESTAMP> column",
    ),
    kind(
        "ARRAY<INT64>",
        "numbers",
        "List",
        "array_length(numbers) > 1",
        "ARRAY<INT64> column: derive a number or an element, such as array_length(numbers) or numbers[1]",
    ),
    kind(
        "ARRAY<STRUCT>",
        "items",
        "List",
        "items[1]['sku'] = 'a'",
        "ARRAY<STRUCT<sku STRING, price NUMERIC>> column",
    ),
    kind(
        "STRUCT",
        "user",
        "Struct",
        "array_length(user.tags) > 0",
        "column: name what is inside of it, such as user.age",
    ),
    kind("INT64 in a STRUCT", "user.age", "Int64", "user.age > 5", ""),
    kind(
        "STRING in a STRUCT",
        "user.geo.country",
        "Utf8",
        "user.geo.country = 'de'",
        "an encoder",
    ),
];

/// Whether a plan is made; refusals must be those of a wrong type that name the column.
fn works(every: &Every, kind: &Kind, recipe: &str, advice: &str) -> bool {
    match every.plan(recipe) {
        Ok(_) => true,
        Err(error) => {
            let told = format!("{error}");
            assert_eq!(error.kind(), ErrorKind::Schema, "{}: {told}", kind.name);
            assert!(told.contains(kind.column), "{}: {told}", kind.name);
            assert!(
                told.contains(advice),
                "{}: no `{advice}` in: {told}",
                kind.name
            );
            false
        }
    }
}

/// The row of the documented table, from what happens.
fn row(every: &Every, kind: &Kind) -> String {
    let column = kind.column;
    let yes = |works: bool, word: &str| {
        if works {
            word.to_owned()
        } else {
            "—".to_owned()
        }
    };
    let feature = |step: &str, advice: &str| {
        let recipe =
            format!("key: id\n{SPLIT}features: [{{columns: [\"{column}\"], steps: [{step}]}}]\n");
        works(every, kind, &recipe, advice)
    };
    let mut features = Vec::new();
    if feature("standard_scaler", kind.advice) {
        features.push("numbers");
    }
    if feature("ordinal_encoder", "") {
        features.push("categories");
    }
    if feature("date_parts", "") {
        features.push("`date_parts`");
    }
    let features = if features.is_empty() {
        "—".to_owned()
    } else {
        features.join(", ")
    };
    let carried = works(every, kind, &carrying(&[column]), "INTERVAL");
    let split = |spec: &str| {
        let recipe = format!(
            "key: id\nsplit: {spec}\nfeatures: [{{columns: part, steps: [standard_scaler]}}]\n"
        );
        works(every, kind, &recipe, "")
    };
    let mut splits = Vec::new();
    if split(&format!("{{hash: {{columns: \"{column}\"}}}}")) {
        splits.push("hash");
    }
    if split(&format!(
        "{{time: {{column: \"{column}\", val_from: \"2020-01-01\", test_from: \"2021-01-01\"}}}}"
    )) {
        splits.push("time");
    }
    if split(&format!(
        "{{column: {{column: \"{column}\", train: 0, val: 1, test: 2}}}}"
    )) {
        splits.push("column");
    }
    let splits = if splits.is_empty() {
        "—".to_owned()
    } else {
        splits.join(", ")
    };
    let condition = kind.condition;
    let filtered = every.plan(&format!("where: \"{condition}\"\nkey: id\n{SPLIT}features: [{{columns: part, steps: [standard_scaler]}}]\n"));
    let place = match filtered
        .as_ref()
        .map(|p| (p.row_restriction.is_some(), p.filters_locally))
    {
        Ok((true, false)) => "BigQuery".to_owned(),
        Ok((false, true)) => "here".to_owned(),
        other => format!("{other:?}"),
    };
    format!(
        "| `{}` | `{}` | {features} | {} | {splits} | `{}`: {place} |",
        kind.name,
        kind.arrives,
        yes(carried, "yes"),
        kind.condition
    )
}

#[test]
fn the_documented_table_is_what_happens() {
    let every = Every::new();
    let sent = table::batch();
    for kind in &KINDS {
        if let Some(column) = sent.column_by_name(kind.column)
            && kind.column != "wait"
        {
            let told = column.data_type().to_string();
            assert!(told.starts_with(kind.arrives), "{}: {told}", kind.name);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/types.md");
    let page = fs::read_to_string(path).unwrap();
    let rows: Vec<String> = KINDS.iter().map(|kind| row(&every, kind)).collect();
    let missing: Vec<&String> = rows
        .iter()
        .filter(|row| !page.lines().any(|line| line == *row))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/types.md lacks these rows:\n{}",
        rows.join("\n")
    );
}

#[test]
fn refusals_come_before_reading_with_their_exit_codes() {
    let every = Every::new();
    let refused = |recipe: &str, code: i32, words: &[&str]| {
        let path = every.place.path().join("refused.yaml");
        fs::write(&path, format!("source: {}\n{recipe}", table::ADDRESS)).unwrap();
        let out = every.place.path().join("refused");
        let ended = call([
            "run",
            text(&path),
            "--emulator",
            &every.served.url,
            "--out",
            text(&out),
            "--quiet",
        ]);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        for word in words {
            assert!(
                ended.stderr.contains(word),
                "no `{word}` in: {}",
                ended.stderr
            );
        }
        assert!(!out.exists());
    };
    refused(&carrying(&["wait"]), 9, &["wait", "INTERVAL", "date_part"]);
    refused(
        &format!("key: id\n{SPLIT}features: [{{columns: items, steps: [one_hot_encoder]}}]\n"),
        9,
        &[
            "items",
            "ARRAY<STRUCT<sku STRING, price NUMERIC>>",
            "array_length(items)",
        ],
    );
    let derive = |sql: &str| {
        format!(
            "derive: {{x: \"{sql}\"}}\nkey: id\n{SPLIT}features: [{{columns: x, steps: [ordinal_encoder]}}]\n"
        )
    };
    refused(
        &derive("ST_X(geography)"),
        2,
        &["derive.x", "st_x", "regexp_match"],
    );
    refused(&derive("user.geo.city"), 2, &["derive.x", "city"]);
    refused(
        &derive("json_value(json, 'a')"),
        2,
        &["derive.x", "cannot read the path 'a'"],
    );
    refused(&derive("json_value(int64, '$')"), 2, &["derive.x", "Int64"]);
    refused(
        &format!(
            "key: id\n{SPLIT}features: [{{columns: user.geo.city, steps: [standard_scaler]}}]\n"
        ),
        9,
        &["user.geo.city"],
    );
}

/// Every expression that the page recommends, and what it gives for the six rows.
#[test]
fn expressions_of_the_page_give_what_it_says() {
    let every = Every::new();
    let numbers = [
        (
            "array_length(numbers)",
            [
                Some(2.0),
                Some(0.0),
                Some(1.0),
                Some(2.0),
                Some(0.0),
                Some(1.0),
            ],
        ),
        (
            "numbers[1]",
            [
                Some(1.0),
                None,
                Some(9223372036854775807.0),
                Some(-9223372036854775808.0),
                None,
                Some(7.0),
            ],
        ),
        (
            "numbers[-1]",
            [
                Some(2.0),
                None,
                Some(9223372036854775807.0),
                Some(0.0),
                None,
                Some(7.0),
            ],
        ),
        (
            "array_max(numbers)",
            [
                Some(2.0),
                None,
                Some(9223372036854775807.0),
                Some(0.0),
                None,
                Some(7.0),
            ],
        ),
        (
            "array_sum(numbers)",
            [
                Some(3.0),
                None,
                Some(9223372036854775807.0),
                Some(-9223372036854775808.0),
                None,
                Some(7.0),
            ],
        ),
        (
            "CAST(array_has(user.tags, 'x') AS INT)",
            [Some(1.0), Some(0.0), Some(0.0), Some(0.0), None, Some(0.0)],
        ),
        (
            "items[1]['price']",
            [Some(1e29), None, Some(1e-9), None, None, Some(1.5e-8)],
        ),
        (
            "date_part('month', wait)",
            [Some(0.0), Some(0.0), None, Some(1.0), Some(0.0), Some(2.0)],
        ),
        (
            "date_part('year', wait)",
            [
                Some(10_000.0),
                Some(-10_000.0),
                None,
                Some(0.0),
                Some(0.0),
                Some(1.0),
            ],
        ),
        (
            "date_part('day', wait)",
            [
                Some(3_660_000.0),
                Some(-3_660_000.0),
                None,
                Some(-2.0),
                Some(0.0),
                Some(3.0),
            ],
        ),
        (
            "date_part('hour', time)",
            [
                Some(0.0),
                Some(23.0),
                None,
                Some(0.0),
                Some(1.0),
                Some(12.0),
            ],
        ),
        (
            "date_part('epoch', time)",
            [
                Some(0.0),
                Some(86_399.999_999),
                None,
                Some(1e-6),
                Some(3_600.0),
                Some(45_000.0),
            ],
        ),
        (
            "byte_length(bytes)",
            [Some(0.0), Some(2.0), None, Some(1.0), Some(1.0), Some(2.0)],
        ),
        (
            "CAST(json_value(json, '$.a.b[0]') AS DOUBLE)",
            [Some(1.0), None, None, None, Some(7.0), None],
        ),
        (
            "CAST(regexp_match(geography, 'POINT ?[(]([^ ]+) ([^)]+)[)]')[1] AS DOUBLE)",
            [Some(-180.0), None, None, None, Some(1.5), Some(0.0)],
        ),
        (
            "CAST(range_date.start IS NULL AS INT)",
            [
                Some(0.0),
                Some(1.0),
                Some(1.0),
                Some(1.0),
                Some(0.0),
                Some(0.0),
            ],
        ),
        (
            "range_date.end - range_date.start",
            [None, None, None, None, Some(3_652_058.0), Some(3_652_058.0)],
        ),
        (
            "user.age + 1",
            [Some(6.0), Some(7.0), Some(8.0), Some(9.0), None, Some(11.0)],
        ),
    ];
    let derive: Vec<String> = numbers
        .iter()
        .enumerate()
        .map(|(i, (sql, _))| format!("  x{i}: \"{sql}\"\n"))
        .collect();
    let recipe = format!(
        "derive:\n{}  country: user.geo.country\n  packed: hex(bytes)\nkey: id\n{SPLIT}dtype: float64\npass_through: [country, packed]\nfeatures: [{{columns: \"x*\", steps: [abs], suffix: _abs}}, {{columns: \"x*\", steps: [{{sql: {{expression: CAST(x AS DOUBLE)}}}}]}}]\n",
        derive.concat()
    );
    let found = every.run(&recipe, "expressions");
    for (index, (sql, expected)) in numbers.iter().enumerate() {
        assert_eq!(floats(&found, &format!("x{index}")), expected, "{sql}");
        let sizes: Vec<_> = expected.iter().map(|x| x.map(f64::abs)).collect();
        assert_eq!(floats(&found, &format!("x{index}_abs")), sizes, "{sql}");
    }
    let texts = |values: Vec<Option<&str>>| StringArray::from(values);
    assert_eq!(
        column(&found, "country").as_string::<i32>(),
        &texts(vec![Some("de"), None, Some("fr"), None, None, Some("")])
    );
    assert_eq!(
        column(&found, "packed").as_string::<i32>(),
        &texts(vec![
            Some(""),
            Some("00ff"),
            None,
            Some("61"),
            Some("f0"),
            Some("7a7a")
        ])
    );
}

/// Decimals and integers as numbers: the nearest 64-bit float.
#[test]
fn decimals_are_rounded_once() {
    let every = Every::new();
    let recipe = format!(
        "key: id\n{SPLIT}dtype: float64\nfeatures: [{{columns: [int64, numeric, numeric_10_2, bignumeric, bool], steps: [{{sql: {{expression: x}}}}]}}, {{columns: [int64, numeric, numeric_10_2, bignumeric, bool], steps: [max_abs_scaler], suffix: _s}}]\n"
    );
    let found = every.run(&recipe, "decimals");
    for (name, largest, others) in [
        (
            "int64",
            9.223_372_036_854_776e18,
            [0.0, -1.0, 9_007_199_254_740_992.0],
        ),
        ("numeric", 1e29, [1e-9, 0.0, -2.5e-8]),
        ("numeric_10_2", 99_999_999.99, [0.01, 0.0, -0.25]),
        ("bignumeric", 1e38, [1e-38, 0.0, -1e-38]),
    ] {
        let found = floats(&found, &format!("{name}_s"));
        let ends = if name == "int64" {
            [-1.0, 1.0]
        } else {
            [1.0, -1.0]
        };
        assert_eq!(&found[..3], [Some(ends[0]), Some(ends[1]), None], "{name}");
        for (value, expected) in found[3..].iter().zip(others) {
            assert_eq!(*value, Some(expected / largest), "{name}");
        }
    }
}

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
