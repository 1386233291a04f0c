//! What ranges hold and share.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StructArray, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::dates::micros_of;
use super::{Call, Function, argument, nullable};
use crate::wire;

pub(super) fn functions() -> Vec<ScalarUDF> {
    let truth = |_: &ReturnFieldArgs<'_>| nullable(DataType::Boolean);
    vec![
        Function::made("millpond_range_contains", &[2], truth, |call| {
            let within = Ends::of(call, 0)?;
            if wire::sql_type(call.field(1)?) == Some("range") {
                let other = Ends::of(call, 1)?;
                return Ok(truths(call, |row| {
                    let ((from, to), (start, end)) = (within.get(row)?, other.get(row)?);
                    Some(from <= start && end <= to)
                }));
            }
            let points = micros_of(call.array(1)?)?;
            Ok(truths(call, |row| {
                let (from, to) = within.get(row)?;
                let point = points.is_valid(row).then(|| points.value(row))?;
                Some(from <= point && point < to)
            }))
        }),
        Function::made("millpond_range_overlaps", &[2], truth, |call| {
            let (left, right) = (Ends::of(call, 0)?, Ends::of(call, 1)?);
            Ok(truths(call, |row| {
                Some(overlap(left.get(row)?, right.get(row)?))
            }))
        }),
        Function::made("millpond_range_intersect", &[2], of_first, intersect),
    ]
}

fn of_first(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let field = argument(args, 0)?.as_ref().clone();
    Ok(Arc::new(field.with_nullable(true)))
}

fn truths(call: &Call, one: impl Fn(usize) -> Option<bool>) -> ArrayRef {
    Arc::new((0..call.rows).map(one).collect::<BooleanArray>())
}

/// The ends of ranges in microseconds; those that have none end where numbers end.
struct Ends {
    starts: Int64Array,
    ends: Int64Array,
    nulls: Option<NullBuffer>,
}

impl Ends {
    fn of(call: &Call, at: usize) -> Result<Self> {
        let ranges = range(call, at)?;
        Ok(Self {
            starts: micros_of(ranges.column(0))?,
            ends: micros_of(ranges.column(1))?,
            nulls: ranges.nulls().cloned(),
        })
    }

    fn get(&self, row: usize) -> Option<(i64, i64)> {
        if self.nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            return None;
        }
        let end = |ends: &Int64Array, none: i64| match ends.is_valid(row) {
            true => ends.value(row),
            false => none,
        };
        Some((end(&self.starts, i64::MIN), end(&self.ends, i64::MAX)))
    }
}

fn range(call: &Call, at: usize) -> Result<&StructArray> {
    let (array, field) = (call.array(at)?, call.field(at)?);
    match array.as_struct_opt() {
        Some(ranges) if ranges.num_columns() == 2 && wire::sql_type(field) == Some("range") => {
            Ok(ranges)
        }
        _ => exec_err!("a RANGE is expected, not {}", array.data_type()),
    }
}

fn overlap(left: (i64, i64), right: (i64, i64)) -> bool {
    left.0 < right.1 && right.0 < left.1
}

fn intersect(call: &Call) -> Result<ArrayRef> {
    let (left, right) = (Ends::of(call, 0)?, Ends::of(call, 1)?);
    let (one, other) = (range(call, 0)?, range(call, 1)?);
    let rows = u32::try_from(call.rows).unwrap_or(u32::MAX);
    let (mut starts, mut ends, mut there) = (Vec::new(), Vec::new(), Vec::new());
    for (at, row) in (0..rows).zip(0..call.rows) {
        let both = left.get(row).zip(right.get(row));
        if let Some((left, right)) = both
            && !overlap(left, right)
        {
            return exec_err!(
                "Provided RANGE inputs do not overlap. Please use RANGE_OVERLAPS to check if two ranges overlap before calling RANGE_INTERSECT"
            );
        }
        let ((from, to), (start, end)) = both.unwrap_or_default();
        // Which of the two has the later start, and which the earlier end.
        starts.push(if from >= start { at } else { at + rows });
        ends.push(if to <= end { at } else { at + rows });
        there.push(both.is_some());
    }
    let column = |column: usize, at: Vec<u32>| -> Result<ArrayRef> {
        let both = concat(&[one.column(column).as_ref(), other.column(column).as_ref()])?;
        Ok(take(&both, &UInt32Array::from(at), None)?)
    };
    Ok(Arc::new(StructArray::try_new_with_length(
        one.fields().clone(),
        vec![column(0, starts)?, column(1, ends)?],
        Some(NullBuffer::from(there)),
        call.rows,
    )?))
}
