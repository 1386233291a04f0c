//! Bits of integers and of bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, argument, integer, nullable};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_bit_count", &[1], integer, |call| {
            let count = |bytes: &[u8]| bytes.iter().map(|b| i64::from(b.count_ones())).sum();
            let counts: Int64Array = match call.array(0)?.as_binary_opt::<i32>() {
                Some(all) => all.iter().map(|v| v.map(count)).collect(),
                None => call.integers(0)?.unary(|x| i64::from(x.count_ones())),
            };
            Ok(Arc::new(counts))
        }),
        Function::made("millpond_bit_not", &[1], kind, |call| {
            if let Some(all) = call.array(0)?.as_binary_opt::<i32>() {
                let flipped = all.iter().map(|v| Some(v?.iter().map(|b| !b).collect()));
                return Ok(Arc::new(
                    flipped
                        .collect::<Vec<Option<Vec<u8>>>>()
                        .into_iter()
                        .collect::<BinaryArray>(),
                ));
            }
            let values: Int64Array = call.integers(0)?.unary(|x| !x);
            Ok(Arc::new(values))
        }),
        Function::made("millpond_bit_and", &[2], kind, |call| {
            combined(call, |a, b| a & b, |a, b| a & b)
        }),
        Function::made("millpond_bit_or", &[2], kind, |call| {
            combined(call, |a, b| a | b, |a, b| a | b)
        }),
        Function::made("millpond_bit_xor", &[2], kind, |call| {
            combined(call, |a, b| a ^ b, |a, b| a ^ b)
        }),
        Function::made("millpond_shift_left", &[2], kind, |call| {
            shifted(call, Side::Left)
        }),
        Function::made("millpond_shift_right", &[2], kind, |call| {
            shifted(call, Side::Right)
        }),
    ]
}

/// INT64 or BYTES, as the first argument is.
fn kind(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    match argument(args, 0)?.data_type() {
        DataType::Binary => nullable(DataType::Binary),
        _ => integer(args),
    }
}

fn combined(call: &Call, whole: fn(i64, i64) -> i64, byte: fn(u8, u8) -> u8) -> Result<ArrayRef> {
    let bytes = |at: usize| {
        Ok::<_, datafusion::common::DataFusionError>(call.array(at)?.as_binary_opt::<i32>())
    };
    if let (Some(left), Some(right)) = (bytes(0)?, bytes(1)?) {
        let all = left.iter().zip(right).map(|pair| match pair {
            (Some(a), Some(b)) if a.len() != b.len() => {
                exec_err!("Bitwise binary operator for BYTES requires equal length of the inputs. Got {} bytes on the left hand side and {} bytes on the right hand side.", a.len(), b.len())
            }
            (Some(a), Some(b)) => Ok(Some(a.iter().zip(b).map(|(a, b)| byte(*a, *b)).collect())),
            _ => Ok(None),
        });
        let all = all.collect::<Result<Vec<Option<Vec<u8>>>>>()?;
        return Ok(Arc::new(BinaryArray::from_iter(all)));
    }
    let (left, right) = (call.integers(0)?, call.integers(1)?);
    let values: Int64Array = left
        .iter()
        .zip(&right)
        .map(|(a, b)| Some(whole(a?, b?)))
        .collect();
    Ok(Arc::new(values))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

fn shifted(call: &Call, side: Side) -> Result<ArrayRef> {
    let counts = call.integers(1)?;
    let count = |row: usize| {
        if counts.is_null(row) {
            return Ok(None);
        }
        match u32::try_from(counts.value(row)) {
            Ok(count) => Ok(Some(count)),
            Err(_) if counts.value(row) < 0 => {
                exec_err!("Bitwise shift by negative offset: {}", counts.value(row))
            }
            Err(_) => Ok(Some(u32::MAX)),
        }
    };
    if let Some(all) = call.array(0)?.as_binary_opt::<i32>() {
        let moved = (0..call.rows).map(|row| match (all.is_valid(row), count(row)?) {
            (true, Some(count)) => Ok(Some(bytes_shifted(all.value(row), count, side))),
            _ => Ok(None),
        });
        let moved = moved.collect::<Result<Vec<_>>>()?;
        return Ok(Arc::new(BinaryArray::from_iter(moved)));
    }
    let values = call.integers(0)?;
    let moved = (0..call.rows).map(|row| {
        let (true, Some(count)) = (values.is_valid(row), count(row)?) else {
            return Ok(None);
        };
        // The bits alone: no sign comes after them.
        let bits = values.value(row).cast_unsigned();
        let moved = match side {
            Side::Left => bits.checked_shl(count),
            Side::Right => bits.checked_shr(count),
        };
        Ok(Some(moved.unwrap_or(0).cast_signed()))
    });
    Ok(Arc::new(moved.collect::<Result<Int64Array>>()?))
}

/// All bytes as one row of bits, moved; their number stays.
fn bytes_shifted(bytes: &[u8], count: u32, side: Side) -> Vec<u8> {
    let (whole, rest) = ((count / 8) as usize, count % 8);
    let at = |index: Option<usize>| index.and_then(|i| bytes.get(i)).copied().unwrap_or(0);
    (0..bytes.len())
        .map(|index| {
            let (near, far) = match side {
                Side::Left => (index.checked_add(whole), index.checked_add(whole + 1)),
                Side::Right => (
                    index.checked_sub(whole),
                    index.checked_sub(whole.saturating_add(1)),
                ),
            };
            let (near, far) = (u16::from(at(near)), u16::from(at(far)));
            let both = match side {
                Side::Left => ((near << 8 | far) << rest) >> 8,
                Side::Right => (far << 8 | near) >> rest,
            };
            (both & 0xff) as u8
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_move_as_one_row_of_bits() {
        for (count, left, right) in [
            (0, [0x12, 0x34, 0x56], [0x12, 0x34, 0x56]),
            (4, [0x23, 0x45, 0x60], [0x01, 0x23, 0x45]),
            (8, [0x34, 0x56, 0x00], [0x00, 0x12, 0x34]),
            (12, [0x45, 0x60, 0x00], [0x00, 0x01, 0x23]),
            (99, [0, 0, 0], [0, 0, 0]),
        ] {
            let bytes = [0x12, 0x34, 0x56];
            assert_eq!(bytes_shifted(&bytes, count, Side::Left), left);
            assert_eq!(bytes_shifted(&bytes, count, Side::Right), right);
        }
    }
}
