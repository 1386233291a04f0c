//! The demo's table: a click log as an advertiser would have it.
//!
//! Owns the shape of the data and the drawing of numbers. A value depends on its row and column alone, so that the same rows come
//! out whatever their number, and longer tables begin with the shorter ones.

use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use millpond::{Cancellation, ErrorKind};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::failure::Failure;

/// Distinct values of each categorical column.
const CARDINALITIES: [u32; 26] = [
    1_400, 550, 300_000, 120_000, 300, 20, 11_000, 600, 3, 60_000, 5_000, 250_000, 3_100, 26,
    11_000, 220_000, 10, 4_500, 2_000, 4, 230_000, 16, 15, 60_000, 80, 40_000,
];

/// Null share of each integer column.
const INTEGER_NULLS: [f64; 13] = [
    0.45, 0.0, 0.21, 0.21, 0.02, 0.22, 0.04, 0.0, 0.04, 0.45, 0.04, 0.76, 0.21,
];

/// Null share of each categorical column.
const CATEGORY_NULLS: [f64; 26] = [
    0.0, 0.0, 0.03, 0.03, 0.0, 0.12, 0.0, 0.0, 0.0, 0.0, 0.0, 0.03, 0.0, 0.0, 0.0, 0.03, 0.0, 0.0,
    0.44, 0.44, 0.03, 0.76, 0.0, 0.03, 0.44, 0.44,
];

/// The integer column that has a few negative values.
const BELOW_ZERO: usize = 1;

/// 2023-11-14T22:13:20Z, and a click every 137 ms.
const FIRST_CLICK_MICROS: i64 = 1_700_000_000_000_000;
const CLICK_MICROS: i64 = 137_000;

/// Rows above this land in another file.
const MAX_FILE_ROWS: u64 = 1_000_000;

/// Small tables are cut into this many files, so that several streams have something to read.
const MIN_FILES: u64 = 4;

/// Rows made at a time.
const BATCH_ROWS: u64 = 8_192;

/// Writes `rows` rows as Parquet files into `directory`, which must exist.
///
/// # Errors
/// When a file cannot be written, or the cancellation says so.
pub(super) fn write_table(
    directory: &Path,
    rows: u64,
    cancellation: &Cancellation,
) -> Result<(), Failure> {
    let schema = schema();
    let file_rows = rows.div_ceil(MIN_FILES).clamp(1, MAX_FILE_ROWS);
    let mut start = 0;
    for number in 0.. {
        if start >= rows {
            break;
        }
        let end = rows.min(start + file_rows);
        let path = directory.join(format!("part-{number:05}.parquet"));
        let fail = |error: &dyn std::fmt::Display| {
            Failure::new(
                ErrorKind::Sink,
                format!("cannot write {}: {error}", path.display()),
            )
        };
        let file = File::create(&path).map_err(|e| fail(&e))?;
        let level = ZstdLevel::try_new(1).map_err(|e| fail(&e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .build();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))
            .map_err(|e| fail(&e))?;
        while start < end {
            if cancellation.is_cancelled() {
                return Err(Failure::new(ErrorKind::Interrupted, "interrupted"));
            }
            let next = end.min(start + BATCH_ROWS);
            let batch = batch(&schema, start, next).map_err(|e| fail(&e))?;
            writer.write(&batch).map_err(|e| fail(&e))?;
            start = next;
        }
        writer.close().map_err(|e| fail(&e))?;
    }
    Ok(())
}

/// `row_id`, `ts`, `i1` to `i13`, `c1` to `c26`, `label`.
fn schema() -> SchemaRef {
    let mut fields = vec![
        Field::new("row_id", DataType::Int64, false),
        Field::new(
            "ts",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            false,
        ),
    ];
    fields.extend(
        (1..=INTEGER_NULLS.len()).map(|i| Field::new(format!("i{i}"), DataType::Int64, true)),
    );
    fields.extend(
        (1..=CARDINALITIES.len()).map(|i| Field::new(format!("c{i}"), DataType::Utf8, true)),
    );
    fields.push(Field::new("label", DataType::Int64, false));
    Arc::new(Schema::new(fields))
}

/// Rows `start..end`.
fn batch(schema: &SchemaRef, start: u64, end: u64) -> Result<RecordBatch, ArrowError> {
    let n = (end - start) as usize;
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());

    let mut ids = Int64Builder::with_capacity(n);
    let mut times = TimestampMicrosecondBuilder::with_capacity(n).with_timezone("UTC");
    for row in start..end {
        ids.append_value(row as i64);
        times.append_value(FIRST_CLICK_MICROS + row as i64 * CLICK_MICROS);
    }
    columns.push(Arc::new(ids.finish()));
    columns.push(Arc::new(times.finish()));

    // How much the visitor of a row is inclined to click: moves the counts, and with chance decides the label.
    let inclination: Vec<f64> = (start..end)
        .map(|row| Draws::new(row, 0).normal())
        .collect();

    for (column, null_share) in INTEGER_NULLS.iter().enumerate() {
        let mut values = Int64Builder::with_capacity(n);
        for (row, latent) in (start..end).zip(&inclination) {
            let mut draws = Draws::new(row, 1 + column as u64);
            if draws.unit() < *null_share {
                values.append_null();
                continue;
            }
            let size = draws.normal() * (1.0 + 0.1 * column as f64) + 0.3 * latent + 1.0;
            let shift = if column == BELOW_ZERO { 2 } else { 0 };
            values.append_value(size.exp().floor() as i64 - shift);
        }
        columns.push(Arc::new(values.finish()));
    }

    for (column, (cardinality, null_share)) in CARDINALITIES.iter().zip(&CATEGORY_NULLS).enumerate()
    {
        let mut values = StringBuilder::with_capacity(n, n * 8);
        for row in start..end {
            let mut draws = Draws::new(row, 32 + column as u64);
            if draws.unit() < *null_share {
                values.append_null();
                continue;
            }
            // The cube of an even draw makes few categories frequent and most of them rare.
            let rank = (f64::from(*cardinality) * draws.unit().powi(3)) as u32;
            let rank = rank.min(cardinality - 1);
            let name = (column as u32 + 1)
                .wrapping_mul(0x9E37_79B1)
                .wrapping_mul(rank + 1);
            write!(values, "{name:08x}").map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
            values.append_value("");
        }
        columns.push(Arc::new(values.finish()));
    }

    let mut labels = Int64Builder::with_capacity(n);
    for (row, latent) in (start..end).zip(&inclination) {
        labels.append_value(i64::from(latent + Draws::new(row, 64).normal() > 1.2));
    }
    columns.push(Arc::new(labels.finish()));
    RecordBatch::try_new(Arc::clone(schema), columns)
}

/// The random numbers of one row in one column: SplitMix64 (Steele, Lea and Flood 2014) from a state that the two determine.
struct Draws(u64);

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl Draws {
    fn new(row: u64, column: u64) -> Self {
        // Mixed once, so that the states of neighbouring rows and columns do not lie on one sequence.
        Self(mix(
            row.wrapping_mul(GOLDEN_GAMMA) ^ mix(column.wrapping_add(7))
        ))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        mix(self.0)
    }

    /// Evenly between 0 and 1, both excluded.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// From the standard normal distribution (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (TAU * self.unit()).cos()
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn rows(start: u64, end: u64) -> RecordBatch {
        batch(&schema(), start, end).unwrap()
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        assert_eq!(rows(0, 300).slice(100, 50), rows(100, 150));
    }

    #[test]
    fn the_shape_is_that_of_a_click_log() {
        let n = 20_000;
        let batch = rows(0, n);
        assert_eq!(batch.num_columns(), 42);
        let labels: i64 = batch
            .column_by_name("label")
            .unwrap()
            .as_primitive::<Int64Type>()
            .iter()
            .flatten()
            .sum();
        // P(latent + noise > 1.2) for two standard normals is 0.198.
        assert!((labels as f64 / n as f64 - 0.198).abs() < 0.01, "{labels}");
        for (i, share) in INTEGER_NULLS.iter().enumerate() {
            let column = batch.column_by_name(&format!("i{}", i + 1)).unwrap();
            let found = column.null_count() as f64 / n as f64;
            assert!((found - share).abs() < 0.02, "i{}: {found}", i + 1);
        }
        let i2 = batch
            .column_by_name("i2")
            .unwrap()
            .as_primitive::<Int64Type>();
        assert!(i2.iter().flatten().min().unwrap() < 0);
        let c9 = batch.column_by_name("c9").unwrap().as_string::<i32>();
        let mut kinds: Vec<&str> = c9.iter().flatten().collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 3);
        assert!(kinds.iter().all(|k| k.len() == 8));
    }

    #[test]
    fn normal_draws_are_normal() {
        let n = 50_000;
        let draws: Vec<f64> = (0..n).map(|row| Draws::new(row, 3).normal()).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn files_hold_all_rows_once() {
        let dir = tempfile::tempdir().unwrap();
        write_table(dir.path(), 10, &Cancellation::new()).unwrap();
        let mut ids = Vec::new();
        let mut files: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|f| f.unwrap().path())
            .collect();
        files.sort();
        assert_eq!(files.len(), 4);
        for file in files {
            let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
                File::open(file).unwrap(),
            )
            .unwrap()
            .build()
            .unwrap();
            for batch in reader {
                ids.extend(
                    batch
                        .unwrap()
                        .column(0)
                        .as_primitive::<Int64Type>()
                        .values()
                        .iter()
                        .copied(),
                );
            }
        }
        assert_eq!(ids, (0..10).collect::<Vec<_>>());

        let cancelled = Cancellation::new();
        cancelled.cancel(ErrorKind::Interrupted);
        assert!(write_table(dir.path(), 10, &cancelled).is_err());
    }
}
