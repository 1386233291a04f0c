//! Arrays of numbers from one to another.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, ListArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, nullable};

/// No array is made longer than this.
const MOST: usize = 32 << 20;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![Function::made(
        "millpond_generate_array",
        &[2, 3],
        series_of,
        generate,
    )]
}

fn series_of(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let mut kind = DataType::Int64;
    for field in args.arg_fields {
        kind = match (field.data_type(), &kind) {
            (DataType::Null, _) => kind,
            (own, _) if own.is_integer() => kind,
            (own, _) if own.is_floating() => DataType::Float64,
            (DataType::Decimal128(_, _), DataType::Int64 | DataType::Decimal128(_, _)) => {
                DataType::Decimal128(38, 9)
            }
            (DataType::Decimal128(_, _), DataType::Float64) => kind,
            (other, _) => {
                return plan_err!("GENERATE_ARRAY of {other} is not supported by this emulator");
            }
        };
    }
    nullable(DataType::new_list(kind, true))
}

fn generate(call: &Call) -> Result<ArrayRef> {
    let DataType::List(item) = call.returns.data_type() else {
        return exec_err!("GENERATE_ARRAY gives an array");
    };
    let kind = item.data_type();
    let columns = call.arrays.iter().map(|array| cast(array, kind));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let mut lengths = Vec::with_capacity(call.rows);
    let there: Vec<bool> = (0..call.rows)
        .map(|row| columns.iter().all(|c| c.is_valid(row)))
        .collect();
    let values: ArrayRef = match kind {
        DataType::Float64 => {
            let at = |row: usize, at: usize| {
                columns
                    .get(at)
                    .map(|c| c.as_primitive::<Float64Type>().value(row))
            };
            let mut all = Vec::new();
            for (row, there) in there.iter().enumerate() {
                let before = all.len();
                if *there {
                    let (from, to) = (at(row, 0).unwrap_or(0.0), at(row, 1).unwrap_or(0.0));
                    let step = at(row, 2).unwrap_or(1.0);
                    if step == 0.0 || step.is_nan() {
                        return exec_err!("Sequence step cannot be 0.");
                    }
                    let within = |x: f64| if step > 0.0 { x <= to } else { x >= to };
                    let mut count = 0.0;
                    while within(from + count * step) {
                        all.push(from + count * step);
                        count += 1.0;
                        checked(all.len())?;
                    }
                }
                lengths.push(all.len() - before);
            }
            Arc::new(Float64Array::from(all))
        }
        DataType::Decimal128(precision, scale) => {
            let numbers = columns.iter().map(|c| c.as_primitive::<Decimal128Type>());
            let numbers: Vec<Vec<i128>> = numbers.map(|c| c.values().to_vec()).collect();
            let one = 10_i128.pow(u32::from(scale.unsigned_abs()));
            let all = whole(&numbers, &there, one, &mut lengths)?;
            Arc::new(Decimal128Array::from(all).with_precision_and_scale(*precision, *scale)?)
        }
        _ => {
            let numbers = columns.iter().map(|c| c.as_primitive::<Int64Type>());
            let numbers: Vec<Vec<i128>> = numbers
                .map(|c| c.values().iter().map(|v| i128::from(*v)).collect())
                .collect();
            let all = whole(&numbers, &there, 1, &mut lengths)?;
            let all = all.into_iter().filter_map(|v| i64::try_from(v).ok());
            Arc::new(all.collect::<Int64Array>())
        }
    };
    Ok(Arc::new(ListArray::try_new(
        Arc::new(Field::clone(item)),
        OffsetBuffer::from_lengths(lengths),
        values,
        Some(NullBuffer::from(there)),
    )?))
}

fn checked(length: usize) -> Result<()> {
    match length > MOST {
        true => exec_err!("GENERATE_ARRAY of more than {MOST} elements"),
        false => Ok(()),
    }
}

/// The elements of all rows that have their arguments; `one` is the step where none is given.
fn whole(
    columns: &[Vec<i128>],
    there: &[bool],
    one: i128,
    lengths: &mut Vec<usize>,
) -> Result<Vec<i128>> {
    let at = |row: usize, at: usize| columns.get(at).and_then(|c| c.get(row)).copied();
    let mut all = Vec::new();
    for (row, there) in there.iter().enumerate() {
        let before = all.len();
        if let (true, Some(from), Some(to)) = (*there, at(row, 0), at(row, 1)) {
            let step = at(row, 2).unwrap_or(one);
            if step == 0 {
                return exec_err!("Sequence step cannot be 0.");
            }
            let mut next = from;
            while if step > 0 { next <= to } else { next >= to } {
                all.push(next);
                next += step;
                checked(all.len())?;
            }
        }
        lengths.push(all.len() - before);
    }
    Ok(all)
}
