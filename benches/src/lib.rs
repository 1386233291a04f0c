//! Tables to measure on: one batch of one kind of column, the same in every run.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Rows of every batch.
pub const ROWS: usize = 1 << 18;

/// A batch with the columns `id` (Int64), `number` (Float64, one in five missing) and `word` (dictionary of `distinct` strings, one
/// in twenty missing).
///
/// # Errors
/// When Arrow refuses the columns, which would be a mistake in here.
pub fn batch(distinct: i32) -> Result<RecordBatch, ArrowError> {
    let mut random = StdRng::seed_from_u64(7);
    let id: ArrayRef = Arc::new((0..ROWS as i64).collect::<Int64Array>());
    let number: ArrayRef = Arc::new(
        (0..ROWS)
            .map(|_| (random.random::<f64>() > 0.2).then(|| random.random::<f64>() * 1000.0))
            .collect::<Float64Array>(),
    );
    let keys: Int32Array = (0..ROWS)
        .map(|_| {
            // Few words are frequent and many are rare.
            let place = random.random::<f64>().powi(3) * f64::from(distinct);
            (random.random::<f64>() > 0.05).then_some(place as i32)
        })
        .collect();
    let words: StringArray = (0..distinct)
        .map(|i| Some(format!("{:08x}", i.wrapping_mul(0x61c8_8647))))
        .collect();
    let word: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::try_new(
        keys,
        Arc::new(words),
    )?);
    RecordBatch::try_from_iter([("id", id), ("number", number), ("word", word)])
}
