//! HLL_COUNT.EXTRACT: how many values a sketch has counted.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::{Call, Function, integer};
use crate::query::sketches::Sketch;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![Function::made(
        "millpond_hll_extract",
        &[1],
        integer,
        |call: &Call| {
            let sketches = call.array(0)?;
            if sketches.data_type().is_null() {
                return Ok(Arc::new(Int64Array::from(vec![0; call.rows])));
            }
            let Some(sketches) = sketches.as_binary_opt::<i32>() else {
                return exec_err!(
                    "HLL_COUNT.EXTRACT takes BYTES, not {}",
                    sketches.data_type()
                );
            };
            // A sketch that is missing has counted nothing.
            let counts = sketches.iter().map(|bytes| match bytes {
                None => Ok(0),
                Some(bytes) => Sketch::from_bytes(bytes)
                    .map(|sketch| sketch.estimate())
                    .ok_or_else(|| exec_datafusion_err!("Invalid sketch in HLL_COUNT.EXTRACT")),
            });
            let counts = counts.collect::<Result<Vec<i64>>>()?;
            Ok(Arc::new(Int64Array::from(counts)))
        },
    )]
}
