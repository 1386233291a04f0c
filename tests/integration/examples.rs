//! The example recipes can be read, and the first one runs.

use std::fs;
use std::path::{Path, PathBuf};

use millpond::Recipe;

use crate::command::{succeed, text};
use crate::rows::{Draws, read_file, write_file};
use crate::tree::files;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("examples")
}

#[test]
fn every_example_can_be_read_and_written() {
    let paths = files(&examples(), "yaml");
    assert!(paths.len() >= 4, "{paths:?}");
    for path in paths {
        let recipe =
            Recipe::from_yaml_file(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let again = Recipe::from_yaml(&recipe.to_yaml().unwrap()).unwrap();
        assert_eq!(
            serde_json::to_value(&recipe).unwrap(),
            serde_json::to_value(&again).unwrap(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn clicks_runs() {
    let place = tempfile::tempdir().unwrap();
    write_file(&place.path().join("rows/part-0.parquet"), &clicks(3_000));
    let (out, source) = (
        place.path().join("out"),
        format!("{}/rows/*.parquet", place.path().display()),
    );
    succeed([
        "run",
        text(&examples().join("clicks.yaml")),
        "--source",
        &source,
        "--out",
        text(&out),
        "--quiet",
    ]);
    let mut rows = 0;
    for split in ["train", "val", "test"] {
        let batch = read_file(&files(&out.join(split), "parquet")[0]);
        assert_eq!(batch.num_columns(), 2 + 13 + 26);
        rows += batch.num_rows();
    }
    assert_eq!(rows, 3_000);
}

#[test]
fn houses_runs() {
    let place = tempfile::tempdir().unwrap();
    let mut draws = Draws::new(6);
    let mut csv =
        "house_id,price,area_m2,rooms,built_year,lot_m2,district,heating,has_garden,sold_on\n"
            .to_owned();
    for id in 0..800 {
        let area = 30.0 + 200.0 * draws.unit();
        let lot = if draws.below(5) == 0 {
            String::new()
        } else {
            format!("{:.1}", draws.unit() * 900.0)
        };
        csv += &format!(
            "{id},{:.2},{area:.1},{},{},{lot},d{},{},{},20{:02}-{:02}-{:02}\n",
            area * 3_000.0,
            draws.below(7),
            1900 + draws.below(120),
            draws.below(9),
            ["gas", "oil", "heat pump"][draws.below(3) as usize],
            draws.below(2) == 0,
            10 + draws.below(14),
            1 + draws.below(12),
            1 + draws.below(28),
        );
    }
    fs::write(place.path().join("houses.csv"), csv).unwrap();
    let out = place.path().join("out");
    succeed([
        "run",
        text(&examples().join("houses.yaml")),
        "--source",
        text(&place.path().join("houses.csv")),
        "--out",
        text(&out),
        "--quiet",
    ]);
    assert!(out.join("_SUCCESS").is_file());
}

/// A table of the shape that `clicks.yaml` wants.
fn clicks(rows: usize) -> arrow::array::RecordBatch {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    let mut draws = Draws::new(2);
    let mut columns: Vec<(String, ArrayRef)> = vec![(
        "row_id".to_owned(),
        Arc::new(Int64Array::from_iter_values(0..rows as i64)),
    )];
    for number in 1..=13 {
        let values: Int64Array = (0..rows)
            .map(|_| {
                let v = (draws.unit() * 6.0).exp() as i64 - 2;
                draws.unless(0.2, v)
            })
            .collect();
        columns.push((format!("i{number}"), Arc::new(values)));
    }
    for number in 1..=26 {
        let distinct = 10.0 * f64::from(number) * f64::from(number);
        let values: StringArray = (0..rows)
            .map(|_| {
                let v = format!("{:08x}", (draws.unit().powi(3) * distinct) as u32);
                draws.unless(0.1, v)
            })
            .collect();
        columns.push((format!("c{number}"), Arc::new(values)));
    }
    columns.push((
        "label".to_owned(),
        Arc::new(
            (0..rows)
                .map(|_| Some(draws.below(2) as i64))
                .collect::<Int64Array>(),
        ),
    ));
    RecordBatch::try_from_iter(columns).unwrap()
}
