#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, NullArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::StreamExt;

use super::*;
use crate::recipe::Recipe;
use crate::source::{BatchStream, ReadContext, Rescan, Scan, ScanRequest, Snapshot, Unit};

/// A table in memory, cut into units of one batch each.
#[derive(Debug, Clone)]
struct Table {
    units: Vec<RecordBatch>,
    listed: Vec<Unit>,
}

impl Table {
    fn new(columns: Vec<(&str, ArrayRef)>, unit_rows: usize) -> Self {
        let whole = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(n, a)| (n, a, true)),
        )
        .unwrap();
        let units: Vec<_> = (0..whole.num_rows())
            .step_by(unit_rows)
            .map(|start| whole.slice(start, unit_rows.min(whole.num_rows() - start)))
            .collect();
        let listed = units
            .iter()
            .map(|u| Unit {
                name: "u".into(),
                rows: Some(u.num_rows() as u64),
                bytes: None,
            })
            .collect();
        Self { units, listed }
    }
}

#[async_trait]
impl Source for Table {
    fn name(&self) -> &str {
        "memory"
    }

    fn schema(&self) -> SchemaRef {
        self.units[0].schema()
    }

    async fn scan(&self, request: ScanRequest) -> Result<Arc<dyn Scan>> {
        assert_eq!(request.columns.len(), Source::schema(self).fields().len());
        Ok(Arc::new(self.clone()))
    }
}

impl Scan for Table {
    fn schema(&self) -> SchemaRef {
        self.units[0].schema()
    }

    fn units(&self) -> &[Unit] {
        &self.listed
    }

    fn rescan(&self) -> Rescan {
        Rescan::Free
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }

    fn open(&self, index: usize, _: &ReadContext) -> Result<BatchStream> {
        Ok(futures::stream::iter([Ok(self.units[index].clone())]).boxed())
    }
}

const N: i64 = 1_000;

fn ints(f: impl Fn(i64) -> Option<i64>) -> ArrayRef {
    Arc::new((0..N).map(f).collect::<Int64Array>())
}

fn floats(f: impl Fn(i64) -> f64) -> ArrayRef {
    Arc::new((0..N).map(|i| Some(f(i))).collect::<Float64Array>())
}

fn texts(f: impl Fn(i64) -> Option<String>) -> ArrayRef {
    Arc::new((0..N).map(f).collect::<StringArray>())
}

/// A column of every kind the rules tell apart.
fn table() -> Table {
    let hour = 3_600_000_000;
    Table::new(
        vec![
            ("row_id", ints(Some)),
            ("label", ints(|i| (i % 10 != 0).then_some(i % 2))),
            ("amount", ints(|i| Some((i % 40) * (i % 40) * (i % 40)))),
            ("score", floats(|i| (i as f64 * 0.7).sin())),
            (
                "ratio",
                floats(|i| {
                    if i == 3 {
                        f64::INFINITY
                    } else {
                        i as f64 / 7.0 - 50.0
                    }
                }),
            ),
            (
                "rare",
                floats(|i| if i % 50 == 0 { i as f64 } else { f64::NAN }),
            ),
            (
                "flag",
                Arc::new(
                    (0..N)
                        .map(|i| (i % 3 != 0).then_some(i % 2 == 0))
                        .collect::<BooleanArray>(),
                ),
            ),
            ("colour", texts(|i| Some(format!("colour{}", i % 5)))),
            ("city", texts(|i| Some(format!("city{}", i % 200)))),
            ("email", texts(|i| Some(format!("{i}@example.org")))),
            ("zip", ints(|i| Some(10_000 + i % 90))),
            (
                "born",
                Arc::new((0..N).map(|i| Some(i as i32 * 3)).collect::<Date32Array>()),
            ),
            (
                "seen at",
                Arc::new(
                    (0..N)
                        .map(|i| (i % 7 != 0).then_some(1_700_000_000_000_000 + i * hour))
                        .collect::<TimestampMicrosecondArray>()
                        .with_timezone("UTC"),
                ),
            ),
            ("same", ints(|_| Some(4))),
            ("nothing", Arc::new(NullArray::new(N as usize))),
            ("weird: #\nname", ints(|i| Some(i % 17 - 8))),
        ],
        100,
    )
}

fn address() -> TableSpec {
    TableSpec {
        table: "memory".to_owned(),
        bigquery: BigQueryOptions::default(),
        csv: CsvOptions::default(),
    }
}

fn options() -> ProfileOptions {
    let mut options = ProfileOptions::new("label");
    options.key = Names::from("row_id");
    options
}

fn profile(table: &Table, options: &ProfileOptions) -> Result<String> {
    futures::executor::block_on(recipe_for(table, &address(), options))
}

fn recipe(text: &str) -> Recipe {
    Recipe::from_yaml(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// The steps that the recipe gives a column, as JSON; none when it is in no set.
fn steps_of(recipe: &Recipe, column: &str) -> Option<String> {
    let sets = serde_json::to_value(&recipe.features).unwrap();
    let set = sets
        .as_array()
        .unwrap()
        .iter()
        .find(|set| match &set["columns"] {
            serde_json::Value::Array(names) => names.iter().any(|n| n == column),
            name => name == column,
        })?;
    Some(set["steps"].to_string())
}

#[test]
fn every_kind_of_column_gets_its_treatment() {
    let text = profile(&table(), &options()).unwrap();
    let recipe = recipe(&text);
    let has = |column: &str, step: &str| {
        let steps =
            steps_of(&recipe, column).unwrap_or_else(|| panic!("{column} is in no set:\n{text}"));
        assert!(steps.contains(step), "{column}: {steps}");
    };
    has("amount", "log1p");
    has("score", "simple_imputer");
    assert!(!steps_of(&recipe, "score").unwrap().contains("log1p"));
    has("ratio", "clip");
    has("rare", "null_fraction_above");
    has("flag", "most_frequent");
    has("colour", "one_hot_encoder");
    has("city", "ordinal_encoder");
    has("zip", "standard_scaler");
    has("born", "date_parts");
    has("seen at", "hour");
    has("weird: #\nname", "standard_scaler");
    for absent in ["row_id", "label", "email", "same", "nothing"] {
        assert_eq!(steps_of(&recipe, absent), None, "{absent}");
    }
    assert_eq!(recipe.drop, Names::from(["same", "nothing"]));
    assert_eq!(recipe.key, Names::from("row_id"));
    assert_eq!(recipe.label.as_deref(), Some("label"));
    assert_eq!(recipe.filter.as_deref(), Some("\"label\" IS NOT NULL"));
    assert_eq!(recipe.split.columns(), ["row_id"]);
}

#[test]
fn the_comments_give_reasons_but_no_strings() {
    let text = profile(&table(), &options()).unwrap();
    for expected in [
        "Looked at 1,000 rows (all of them)",
        "10.0 % of the rows have no label",
        "the same value in all 1000 rows",
        "# - columns:",
        "#     - email",
        "98.0 % null",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    for secret in ["colour3", "city7", "@example.org"] {
        assert!(!text.contains(secret), "{secret} is in:\n{text}");
    }
}

#[test]
fn a_commented_identifier_works_when_it_is_uncommented() {
    let text = profile(&table(), &options()).unwrap();
    let uncommented: String = text
        .lines()
        .map(|l| {
            l.strip_prefix("  # -")
                .map_or(l.to_owned(), |r| format!("  -{r}"))
                + "\n"
        })
        .collect();
    let uncommented = uncommented
        .replace("\n  #     - email", "\n      - email")
        .replace("\n  #   steps", "\n    steps");
    assert!(
        steps_of(&recipe(&uncommented), "email")
            .unwrap()
            .contains("ordinal_encoder")
    );
}

#[test]
fn an_index_of_times_splits_by_time() {
    let mut options = options();
    options.key = Names::default();
    options.index = Some("seen at".to_owned());
    let text = profile(&table(), &options).unwrap();
    let recipe = recipe(&text);
    let split = serde_json::to_value(&recipe.split).unwrap();
    assert_eq!(split["time"]["column"], "seen at");
    assert_eq!(split["time"]["val_from"], "2023-12-18");
    assert_eq!(split["time"]["test_from"], "2023-12-22");
    assert_eq!(recipe.pass_through, Names::from("seen at"));
    assert_eq!(
        recipe.filter.as_deref(),
        Some("\"label\" IS NOT NULL AND \"seen at\" IS NOT NULL")
    );
}

#[test]
fn any_other_index_is_a_key() {
    let mut options = options();
    options.key = Names::default();
    options.index = Some("row_id".to_owned());
    let recipe = recipe(&profile(&table(), &options).unwrap());
    assert_eq!(recipe.key, Names::from("row_id"));
    assert_eq!(recipe.split.columns(), ["row_id"]);
}

#[test]
fn without_key_and_index_keys_are_proposed() {
    let mut options = options();
    options.key = Names::default();
    let error = profile(&table(), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        error.to_string(),
        "rows cannot be split without a key: give --key COLUMN (different in every row of the sample: row_id, email), \
         or --index COLUMN to split by time (born, seen at)"
    );
}

#[test]
fn columns_can_be_forced_and_dropped() {
    let mut options = options();
    options.force_categorical = Names::from(["zip", "fl*"]);
    options.drop = Names::from(["c*", "weird: #\nname"]);
    options.limit = Some(500);
    let recipe = recipe(&profile(&table(), &options).unwrap());
    assert!(
        steps_of(&recipe, "zip")
            .unwrap()
            .contains("ordinal_encoder")
    );
    assert!(
        steps_of(&recipe, "flag")
            .unwrap()
            .contains("one_hot_encoder")
    );
    assert_eq!(steps_of(&recipe, "city"), None);
    assert_eq!(
        recipe.drop,
        Names::from(["colour", "city", "same", "nothing", "weird: #\nname"])
    );
    assert_eq!(recipe.limit, Some(500));
}

#[test]
fn unknown_columns_are_refused_with_a_suggestion() {
    let refusal = |change: &dyn Fn(&mut ProfileOptions)| {
        let mut options = options();
        change(&mut options);
        let error = profile(&table(), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    assert_eq!(
        refusal(&|o| o.label = "lable".into()),
        "label column \"lable\" is not in the table, did you mean \"label\"?"
    );
    assert!(refusal(&|o| o.label = "qqqq".into()).contains("its columns are: row_id, label"));
    assert!(refusal(&|o| o.key = Names::from("rowid")).contains("did you mean \"row_id\"?"));
    assert!(refusal(&|o| o.index = Some("seen_at".into())).contains("did you mean \"seen at\"?"));
    assert!(refusal(&|o| o.drop = Names::from("colours")).contains("did you mean \"colour\"?"));
    assert!(
        refusal(&|o| o.force_categorical = Names::from("x*"))
            .contains("--force-categorical column \"x*\"")
    );
    assert!(refusal(&|o| o.force_categorical = Names::from("[")).contains("--force-categorical"));
    assert!(refusal(&|o| o.key = Names::from("label")).contains("both the label and a key"));
    assert!(refusal(&|o| o.drop = Names::from("row_id")).contains("cannot be dropped"));
}

#[test]
fn a_table_without_anything_to_learn_is_refused() {
    let nothing = Table::new(
        vec![
            ("row_id", ints(Some)),
            ("label", ints(|i| Some(i % 2))),
            ("same", ints(|_| Some(1))),
        ],
        100,
    );
    let error = profile(&nothing, &options()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("none of the table's 3 columns can be learned from"),
        "{error}"
    );

    let mut empty = table();
    empty.units = vec![empty.units[0].slice(0, 0)];
    empty.listed.truncate(1);
    let error = profile(&empty, &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[test]
fn the_sample_is_spread_and_bounded() {
    let table = table();
    let read = |rows| {
        futures::executor::block_on(Sample::read(&table, rows, MemoryBudget::new(1 << 30))).unwrap()
    };
    let sample = read(200);
    assert_eq!((sample.rows, sample.table_rows), (200, Some(1_000)));
    assert!(!sample.is_whole());
    // Twenty rows of each of the ten units: the last unit begins at 900.
    let column::Values::Integers(ids) = &sample.column("row_id").unwrap().values else {
        panic!("row_id is a column of integers");
    };
    assert_eq!(ids.range, Some((0.0, 919.0)));
    assert!(read(5_000).is_whole());
    assert_eq!(read(1).rows, 1);
}

#[test]
fn the_profile_does_not_depend_on_batches() {
    let whole = table();
    let one = Table {
        units: vec![concat_batches(&Source::schema(&whole), &whole.units).unwrap()],
        listed: vec![Unit {
            name: "u".into(),
            rows: Some(N as u64),
            bytes: None,
        }],
    };
    assert_eq!(
        profile(&whole, &options()).unwrap(),
        profile(&one, &options()).unwrap()
    );
}
