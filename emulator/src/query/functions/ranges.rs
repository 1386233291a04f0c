//! What ranges hold and share.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StructArray, UInt32Array,
    new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::dates::{DAY, in_range, micros_of, shifted, typed};
use super::{Call, Function, argument, integer, nullable};
use crate::{interval, wire};

/// No range is cut into more parts than this.
const MOST_PARTS: usize = 1 << 20;

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
        Function::made("millpond_range_array", &[3], list_of_first, split),
        // What ranges are ordered by: where they begin, and where they end.
        Function::made("millpond_range_from", &[1], integer, |call| {
            let ends = Ends::of(call, 0)?;
            let keys = (0..call.rows).map(|row| Some(ends.get(row)?.0));
            Ok(Arc::new(keys.collect::<Int64Array>()))
        }),
        Function::made("millpond_range_to", &[1], integer, |call| {
            let ends = Ends::of(call, 0)?;
            let keys = (0..call.rows).map(|row| Some(ends.get(row)?.1));
            Ok(Arc::new(keys.collect::<Int64Array>()))
        }),
    ]
}

fn of_first(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let field = argument(args, 0)?.as_ref().clone();
    Ok(Arc::new(field.with_nullable(true)))
}

fn list_of_first(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let range = argument(args, 0)?;
    let list = DataType::new_list(range.data_type().clone(), true);
    let field = Field::new("value", list, true);
    Ok(Arc::new(field.with_metadata(range.metadata().clone())))
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

/// Cuts ranges into parts as long as an interval; whether the last one may be shorter is said by the third argument.
fn split(call: &Call) -> Result<ArrayRef> {
    if call.arrays.iter().any(|array| array.data_type().is_null()) {
        return Ok(new_null_array(call.returns.data_type(), call.rows));
    }
    let ranges = range(call, 0)?;
    let kind = ranges.column(0).data_type();
    let steps = call
        .array(1)?
        .as_primitive_opt::<IntervalMonthDayNanoType>();
    let Some(steps) = steps else {
        return exec_err!("the second argument of GENERATE_RANGE_ARRAY must be INTERVAL");
    };
    let last_too = call.array(2)?.as_boolean_opt();
    let Some(last_too) = last_too else {
        return exec_err!("the third argument of GENERATE_RANGE_ARRAY must be BOOL");
    };
    let all = Ends::of(call, 0)?;
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    let (mut lengths, mut there) = (Vec::new(), Vec::new());
    for row in 0..call.rows {
        let before = starts.len();
        let known = steps.is_valid(row) && last_too.is_valid(row);
        there.push(known && all.get(row).is_some());
        if let (true, Some((from, to))) = (known, all.get(row)) {
            if from == i64::MIN || to == i64::MAX {
                return exec_err!("Cannot generate array from a RANGE with an UNBOUNDED end");
            }
            let step = Step::of(steps.value(row), kind)?;
            let (mut start, mut count) = (from, 0);
            while start < to {
                count += 1;
                if starts.len() >= MOST_PARTS {
                    return exec_err!("GENERATE_RANGE_ARRAY of more than {MOST_PARTS} elements");
                }
                // Beyond what there is of time the range has ended.
                let end = step.times(from, count).unwrap_or(i64::MAX);
                if end <= to || last_too.value(row) {
                    starts.push(Some(start));
                    ends.push(Some(end.min(to)));
                }
                start = end;
            }
        }
        lengths.push(starts.len() - before);
    }
    let DataType::List(item) = call.returns.data_type() else {
        return exec_err!("GENERATE_RANGE_ARRAY gives an array");
    };
    let parts = StructArray::try_new(
        ranges.fields().clone(),
        vec![typed(starts, kind)?, typed(ends, kind)?],
        None,
    )?;
    Ok(Arc::new(ListArray::try_new(
        Arc::clone(item),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(parts),
        Some(NullBuffer::from(there)),
    )?))
}

/// How far it is from one part of a range to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Months(i64),
    Micros(i64),
}

impl Step {
    /// The step that an interval of one part is among values of a type.
    fn of(step: IntervalMonthDayNano, kind: &DataType) -> Result<Self> {
        let micros = interval::micros(step);
        let (months, days) = (i64::from(step.months), i64::from(step.days));
        let allowed = match kind {
            DataType::Date32 => micros == 0,
            DataType::Timestamp(_, Some(_)) => months == 0,
            _ => true,
        };
        let found = match (months, days, micros) {
            (months, 0, 0) if months > 0 => Some(Self::Months(months)),
            (0, days, 0) if days > 0 => days.checked_mul(DAY).map(Self::Micros),
            (0, 0, micros) if micros > 0 => Some(Self::Micros(micros)),
            _ => None,
        };
        found.filter(|_| allowed).ok_or_else(|| {
            exec_datafusion_err!(
                "GENERATE_RANGE_ARRAY needs a step of one part above zero that its RANGE can be cut by"
            )
        })
    }

    /// So many steps from a point in time.
    fn times(self, from: i64, count: i64) -> Option<i64> {
        match self {
            Self::Months(months) => shifted(from, months.checked_mul(count)?),
            Self::Micros(micros) => from.checked_add(micros.checked_mul(count)?),
        }
        .and_then(in_range)
    }
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
