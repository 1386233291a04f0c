//! A fitted recipe gives, for the rows of its own run, the run's own bits.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field};
use millpond::{ErrorKind, FittedRecipe};

use crate::command::{call, succeed, text};
use crate::rows::{
    RECIPE, assert_same_bits, ids, orders, read_sorted, sort, with, without, write_file,
    write_table,
};

struct Ran {
    place: tempfile::TempDir,
    source: String,
    raw: RecordBatch,
}

impl Ran {
    fn out(&self) -> PathBuf {
        self.place.path().join("out")
    }

    fn fitted(&self) -> PathBuf {
        self.out().join("fitted.json")
    }

    /// All rows of the run, ordered by key.
    fn written(&self) -> RecordBatch {
        let splits: Vec<_> = ["train", "val", "test"]
            .iter()
            .map(|split| read_sorted(&self.out().join(split)))
            .collect();
        sort(&concat_batches(&splits[0].schema(), &splits).unwrap())
    }

    fn apply(&self, input: &str, name: &str) -> PathBuf {
        let out = self.place.path().join(name);
        succeed([
            "apply",
            "--fitted",
            text(&self.fitted()),
            "--input",
            input,
            "--out",
            text(&out),
            "--quiet",
        ]);
        out
    }
}

/// A run of the recipe without its filter, which is not applied to new rows.
fn ran() -> Ran {
    let place = tempfile::tempdir().unwrap();
    let raw = orders(5_000, 21, 8);
    let source = write_table(&place.path().join("rows"), &raw);
    let recipe = place.path().join("recipe.yaml");
    fs::write(
        &recipe,
        RECIPE.replace("where: items IS NULL OR items < 60\n", ""),
    )
    .unwrap();
    let out = place.path().join("out");
    succeed([
        "run",
        text(&recipe),
        "--source",
        &source,
        "--out",
        text(&out),
        "--quiet",
    ]);
    Ran { place, source, raw }
}

fn applied(directory: &Path) -> RecordBatch {
    read_sorted(directory)
}

#[test]
fn the_command_repeats_the_bits() {
    let ran = ran();
    let written = ran.written();
    assert_eq!(written.num_rows(), 5_000);
    let again = ran.apply(&ran.source, "again");
    assert!(again.join("_SUCCESS").is_file());
    assert_same_bits(&applied(&again), &written, "apply");
    let seven = ran.place.path().join("seven");
    succeed([
        "apply",
        "--fitted",
        text(&ran.fitted()),
        "--input",
        &ran.source,
        "--out",
        text(&seven),
        "--slots",
        "7",
        "--quiet",
    ]);
    assert_same_bits(&applied(&seven), &written, "apply with 7 slots");
}

#[test]
fn transform_repeats_the_bits_whatever_the_batch() {
    let ran = ran();
    let written = ran.written();
    let fitted = FittedRecipe::open(ran.fitted()).unwrap();
    assert_eq!(
        fitted.output_schema().unwrap().fields(),
        written.schema().fields()
    );
    for length in [1, 7, 1_000] {
        for start in [0, 2_999, 4_000] {
            let found = fitted.transform(&ran.raw.slice(start, length)).unwrap();
            let expected = written.slice(start, length);
            assert_eq!(ids(&found), ids(&expected));
            assert_same_bits(&found, &expected, &format!("{length} rows from {start}"));
        }
    }
    assert_same_bits(&fitted.transform(&ran.raw).unwrap(), &written, "all rows");
    let none = fitted.transform(&ran.raw.slice(0, 0)).unwrap();
    assert_eq!(none.num_rows(), 0);
    assert_eq!(none.schema().fields(), written.schema().fields());
}

#[test]
fn columns_are_found_by_name_and_text_may_be_dictionaries() {
    let ran = ran();
    let fitted = FittedRecipe::open(ran.fitted()).unwrap();
    let expected = fitted.transform(&ran.raw).unwrap();
    let backwards: Vec<usize> = (0..ran.raw.num_columns()).rev().collect();
    assert_same_bits(
        &fitted
            .transform(&ran.raw.project(&backwards).unwrap())
            .unwrap(),
        &expected,
        "backwards",
    );
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let coded = arrow::compute::cast(ran.raw.column_by_name("sku").unwrap(), &kind).unwrap();
    let coded = with(&ran.raw, "sku", coded);
    assert_ne!(coded.schema(), ran.raw.schema());
    assert_same_bits(&fitted.transform(&coded).unwrap(), &expected, "dictionary");
}

#[test]
fn the_label_may_be_missing() {
    let ran = ran();
    let written = ran.written();
    let input = ran.place.path().join("unlabelled.parquet");
    write_file(&input, &without(&without(&ran.raw, "returned"), "note"));
    let expected = without(&without(&written, "returned"), "note");
    assert_same_bits(
        &applied(&ran.apply(text(&input), "unlabelled")),
        &expected,
        "apply without label",
    );

    let fitted = FittedRecipe::open(ran.fitted()).unwrap();
    assert_eq!(fitted.label(), Some("returned"));
    let found = fitted
        .transform(&without(&without(&ran.raw, "returned"), "note"))
        .unwrap();
    assert_same_bits(&found, &expected, "transform without label");
}

#[test]
fn a_missing_input_column_is_named() {
    let ran = ran();
    let input = ran.place.path().join("short.parquet");
    write_file(&input, &without(&ran.raw, "sku"));
    let out = ran.place.path().join("never");
    let ended = call([
        "apply",
        "--fitted",
        text(&ran.fitted()),
        "--input",
        text(&input),
        "--out",
        text(&out),
    ]);
    assert_eq!(ended.code, Some(9), "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("error: ") && ended.stderr.contains("sku"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.lines().count(), 1);
    assert!(!out.exists());

    let fitted = FittedRecipe::open(ran.fitted()).unwrap();
    let error = fitted.transform(&without(&ran.raw, "sku")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(error.to_string().contains("sku"), "{error}");
}

#[test]
fn unseen_categories_take_the_rare_id_and_are_counted() {
    let ran = ran();
    let fresh: StringArray = (0..5_000).map(|_| Some("brand new")).collect();
    let input = ran.place.path().join("fresh.parquet");
    write_file(&input, &with(&ran.raw, "sku", Arc::new(fresh)));
    let out = ran.place.path().join("fresh");
    let ended = succeed([
        "apply",
        "--fitted",
        text(&ran.fitted()),
        "--input",
        text(&input),
        "--out",
        text(&out),
        "--json",
    ]);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["unknown_categories"]["sku"], 5_000, "{report}");
    let found = applied(&out);
    let ids = found.column_by_name("sku").unwrap();
    assert_eq!(
        found.schema().field_with_name("sku").unwrap().data_type(),
        &DataType::Int32
    );
    assert!(
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Int32Type>(ids)
            .values()
            .iter()
            .all(|id| *id == 0)
    );
}

#[test]
fn what_is_no_fitted_recipe_is_refused() {
    let ran = ran();
    let path = ran.place.path().join("wrong.json");
    for (content, word) in [("{}", "not a fitted recipe"), ("[1", "wrong.json")] {
        fs::write(&path, content).unwrap();
        let error = FittedRecipe::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Manifest);
        assert!(error.to_string().contains(word), "{error}");
    }
    let mut saved: serde_json::Value =
        serde_json::from_slice(&fs::read(ran.fitted()).unwrap()).unwrap();
    saved["format_version"] = 99.into();
    fs::write(&path, saved.to_string()).unwrap();
    let error = FittedRecipe::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest);
    assert!(error.to_string().contains("99"), "{error}");
    assert_eq!(
        FittedRecipe::open(ran.place.path().join("none.json"))
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    // The schema of what is read says what serving code must bring.
    let fitted = FittedRecipe::open(ran.fitted()).unwrap();
    let schema = fitted.input_schema();
    assert_eq!(
        schema.field_with_name("sku").unwrap(),
        &Field::new("sku", DataType::Utf8, true)
    );
}
