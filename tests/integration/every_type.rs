//! Every BigQuery type: what arrives, what it can be used for, what is refused and with what advice.

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

mod page;
mod paths;
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
