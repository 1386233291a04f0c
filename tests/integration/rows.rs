//! The table of the tests: orders of a shop, with everything that real columns get wrong, made from a seed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;

use crate::tree::files;

/// Where the emulator finds the table that recipes call `bigquery://proj.shop.orders`.
pub const TABLE: &str = "proj/shop/orders";
/// The table's address on the emulator.
pub const ADDRESS: &str = "bigquery://proj.shop.orders";

/// A recipe that uses most steps, several passes, a filter and a derived column.
pub const RECIPE: &str = "
where: items IS NULL OR items < 60
derive:
  per_item: amount / NULLIF(items, 0)
key: id
label: returned
pass_through: note
split:
  hash: {columns: id, seed: 5, ratios: {train: 0.7, val: 0.15, test: 0.15}}
features:
  - columns: [amount, per_item]
    steps: [{simple_imputer: {strategy: median, add_indicator: true}}, robust_scaler]
  - columns: items
    steps: [{clip: {min: 0}}, log1p, {simple_imputer: mean}, standard_scaler]
  - columns: [score]
    steps: [min_max_scaler, {simple_imputer: {strategy: constant, fill_value: 0.5}}, max_abs_scaler]
  - columns: vip
    steps: [{simple_imputer: most_frequent}]
  - columns: country
    steps: [{one_hot_encoder: {handle_unknown: infrequent_if_exist, min_frequency: 40}}]
  - columns: sku
    steps: [{ordinal_encoder: {order: frequency, min_frequency: 2, missing: category}}]
  - columns: country
    steps: [{ordinal_encoder: {handle_unknown: use_encoded_value, unknown_value: -1}}]
    suffix: _code
  - columns: ordered_at
    steps: [{date_parts: {parts: [month, day_of_week, hour], encoding: cyclic, timezone: Europe/Berlin}}]
  - columns: born
    steps: [{date_parts: {parts: [year, week]}}]
output: {compression: zstd(1)}
";

/// Numbers from a seed: SplitMix64.
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// Draws that begin at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// At least 0 and below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// At least 0 and below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// `value`, or none with this chance.
    pub fn unless<T>(&mut self, chance: f64, value: T) -> Option<T> {
        (self.unit() >= chance).then_some(value)
    }
}

/// `rows` orders with the ids from 0. `note` has `note_chars` characters that do not compress well.
pub fn orders(rows: usize, seed: u64, note_chars: usize) -> RecordBatch {
    const COUNTRIES: [&str; 7] = ["de", "fr", "us", "jp", "", "ä", "li"];
    let mut draws = Draws::new(seed);
    let count = 0..rows;
    let id: Vec<i64> = count.clone().map(|i| i as i64).collect();
    let amount: Vec<Option<f64>> = count
        .clone()
        .map(|_| {
            let value = (draws.unit() * 9.0 - 2.0).exp();
            let value = if draws.below(50) == 0 {
                f64::NAN
            } else {
                value
            };
            draws.unless(0.1, value)
        })
        .collect();
    let items: Vec<Option<i64>> = count
        .clone()
        .map(|_| {
            let n = draws.below(70) as i64 - 3;
            draws.unless(0.2, n)
        })
        .collect();
    let score: Vec<Option<f64>> = count
        .clone()
        .map(|_| {
            let s = draws.unit() - 0.5;
            draws.unless(0.3, s)
        })
        .collect();
    let vip: Vec<Option<bool>> = count
        .clone()
        .map(|_| {
            let v = draws.below(4) == 0;
            draws.unless(0.1, v)
        })
        .collect();
    let country: Vec<Option<&str>> = count
        .clone()
        .map(|_| {
            let place = (draws.unit().powi(3) * COUNTRIES.len() as f64) as usize;
            draws.unless(0.05, COUNTRIES[place])
        })
        .collect();
    let sku: Vec<Option<String>> = count
        .clone()
        .map(|_| {
            let rank = (draws.unit().powi(2) * 5_000.0) as u64;
            draws.unless(0.03, format!("sku-{rank:05}"))
        })
        .collect();
    // From 1966 on, so that times before 1970 are among them.
    let ordered: Vec<Option<i64>> = count
        .clone()
        .map(|_| {
            let t = draws.below(60 * 365 * 86_400) as i64 - 4 * 365 * 86_400;
            draws.unless(0.05, t * 1_000_000 + 17)
        })
        .collect();
    let born: Vec<Option<i32>> = count
        .clone()
        .map(|_| {
            let d = draws.below(30_000) as i32 - 15_000;
            draws.unless(0.02, d)
        })
        .collect();
    let note: Vec<String> = count
        .clone()
        .map(|_| {
            let mut text = String::new();
            while text.len() < note_chars {
                text.push_str(&format!("{:016x}", draws.bits()));
            }
            text.truncate(note_chars);
            text
        })
        .collect();
    let returned: Vec<i64> = count.map(|_| i64::from(draws.below(5) == 0)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(id))),
        ("amount", Arc::new(Float64Array::from(amount))),
        ("items", Arc::new(Int64Array::from(items))),
        ("score", Arc::new(Float64Array::from(score))),
        ("vip", Arc::new(BooleanArray::from(vip))),
        ("country", Arc::new(StringArray::from(country))),
        ("sku", Arc::new(StringArray::from(sku))),
        (
            "ordered_at",
            Arc::new(TimestampMicrosecondArray::from(ordered).with_timezone("UTC")),
        ),
        ("born", Arc::new(Date32Array::from(born))),
        ("note", Arc::new(StringArray::from(note))),
        ("returned", Arc::new(Int64Array::from(returned))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Writes a batch as one Parquet file with small row groups.
pub fn write_file(path: &Path, batch: &RecordBatch) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(1_500))
        .build();
    let mut writer = ArrowWriter::try_new(
        File::create(path).unwrap(),
        batch.schema(),
        Some(properties),
    )
    .unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// Writes a batch into `directory` as four files of different lengths, one of them of one row, and gives their glob.
pub fn write_table(directory: &Path, batch: &RecordBatch) -> String {
    let rows = batch.num_rows();
    let cuts = [
        0,
        rows / 2,
        (rows / 2 + 1).min(rows),
        (rows * 4 / 5).max(rows / 2 + 1).min(rows),
        rows,
    ];
    for (number, cut) in cuts.windows(2).enumerate() {
        let path = directory.join(format!("part-{number}.parquet"));
        write_file(&path, &batch.slice(cut[0], cut[1] - cut[0]));
    }
    format!("{}/*.parquet", directory.display())
}

/// Reads one Parquet file.
pub fn read_file(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap())
        .unwrap()
        .build()
        .unwrap();
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// All rows of the Parquet files below `directory`, ordered by `id`.
pub fn read_sorted(directory: &Path) -> RecordBatch {
    let paths: Vec<PathBuf> = files(directory, "parquet");
    let batches: Vec<_> = paths.iter().map(|path| read_file(path)).collect();
    sort(&concat_batches(&batches[0].schema(), &batches).unwrap())
}

/// The rows ordered by `id`.
pub fn sort(batch: &RecordBatch) -> RecordBatch {
    let order =
        arrow::compute::sort_to_indices(batch.column_by_name("id").unwrap(), None, None).unwrap();
    take_record_batch(batch, &order).unwrap()
}

/// The ids of a batch.
pub fn ids(batch: &RecordBatch) -> Vec<i64> {
    batch
        .column_by_name("id")
        .unwrap()
        .as_primitive::<Int64Type>()
        .values()
        .to_vec()
}

/// A batch without one of its columns.
pub fn without(batch: &RecordBatch, column: &str) -> RecordBatch {
    let kept: Vec<usize> = (0..batch.num_columns())
        .filter(|i| batch.schema().field(*i).name() != column)
        .collect();
    batch.project(&kept).unwrap()
}

/// A batch with one column replaced, or added at the end.
pub fn with(batch: &RecordBatch, column: &str, values: ArrayRef) -> RecordBatch {
    let schema = batch.schema();
    let mut columns: Vec<(String, ArrayRef)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(f, c)| (f.name().clone(), Arc::clone(c)))
        .collect();
    match columns.iter_mut().find(|(name, _)| name == column) {
        Some((_, old)) => *old = values,
        None => columns.push((column.to_owned(), values)),
    }
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Fails when two batches are not the same to the bit: floats are compared by their bits, nulls by being null.
pub fn assert_same_bits(left: &RecordBatch, right: &RecordBatch, what: &str) {
    assert_eq!(left.schema().fields(), right.schema().fields(), "{what}");
    assert_eq!(left.num_rows(), right.num_rows(), "{what}");
    for (field, (a, b)) in left
        .schema()
        .fields()
        .iter()
        .zip(left.columns().iter().zip(right.columns()))
    {
        assert!(
            *bits(a) == *bits(b),
            "{what}: column {} differs",
            field.name()
        );
    }
}

/// A column as something whose equality is that of bits.
fn bits(column: &ArrayRef) -> ArrayRef {
    use arrow::datatypes::{Float32Type, Float64Type};
    match column.data_type() {
        DataType::Float64 => Arc::new(
            column
                .as_primitive::<Float64Type>()
                .unary::<_, Int64Type>(|v| i64::from_ne_bytes(v.to_ne_bytes())),
        ),
        DataType::Float32 => Arc::new(
            column
                .as_primitive::<Float32Type>()
                .unary::<_, Int64Type>(|v| i64::from(v.to_bits())),
        ),
        _ => Arc::clone(column),
    }
}
