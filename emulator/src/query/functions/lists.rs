//! Functions of arrays: ends of them, their order, and what is asked of gathered values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StructArray, UInt32Array,
    new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{SortOptions, cast, sort_to_indices, take};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, argument, float, integer, nullable};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_array_first", &[1], element, |call| {
            edge(call, Edge::First)
        }),
        Function::made("millpond_array_last", &[1], element, |call| {
            edge(call, Edge::Last)
        }),
        Function::made("millpond_array_head", &[2], same, head),
        Function::made("millpond_range_bucket", &[2], integer, range_bucket),
        Function::made("millpond_quantiles", &[2], same, quantiles),
        Function::made("millpond_percentile_cont", &[2], float, percentile_cont),
        Function::made("millpond_percentile_disc", &[2], element, percentile_disc),
        Function::made("millpond_top_count", &[2], counted, top_count),
        Function::made("millpond_top_sum", &[2], same, top_sum),
        Function::made("millpond_array_slice", &[3], same, slice),
        Function::made(
            "millpond_array_is_distinct",
            &[1],
            |_| nullable(DataType::Boolean),
            is_distinct,
        ),
        Function::made("millpond_extreme", &[2], value_of_pair, extreme),
    ]
}

fn item(field: &Field) -> Result<&FieldRef> {
    match field.data_type() {
        DataType::List(item) => Ok(item),
        other => plan_err!("an array is expected, not {other}"),
    }
}

fn element(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let array = argument(args, 0)?;
    let mut metadata = array.metadata().clone();
    let item = item(array)?;
    metadata.extend(item.metadata().clone());
    let field = Field::new("value", item.data_type().clone(), true);
    Ok(Arc::new(field.with_metadata(metadata)))
}

fn same(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let array = argument(args, 0)?;
    item(array)?;
    Ok(Arc::new(Field::clone(array).with_nullable(true)))
}

/// The elements of every row's array, or none where there is no array.
fn rows(call: &Call) -> Result<Vec<Option<ArrayRef>>> {
    let Some(lists) = call.array(0)?.as_list_opt::<i32>() else {
        return exec_err!("an array is expected");
    };
    Ok((0..lists.len())
        .map(|row| lists.is_valid(row).then(|| lists.value(row)))
        .collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    First,
    Last,
}

fn edge(call: &Call, edge: Edge) -> Result<ArrayRef> {
    let mut found = Vec::new();
    for values in rows(call)? {
        let at = match (&values, edge) {
            (None, _) => None,
            (Some(values), _) if values.is_empty() => {
                return exec_err!("ARRAY_FIRST and ARRAY_LAST expect an array with elements");
            }
            (Some(_), Edge::First) => Some(0),
            (Some(values), Edge::Last) => Some(values.len() - 1),
        };
        found.push(match (values, at) {
            (Some(values), Some(at)) => ScalarValue::try_from_array(&values, at)?,
            _ => ScalarValue::try_from(call.returns.data_type())?,
        });
    }
    gathered(found, call.returns.data_type())
}

fn gathered(values: Vec<ScalarValue>, data_type: &DataType) -> Result<ArrayRef> {
    if values.is_empty() {
        return Ok(arrow::array::new_empty_array(data_type));
    }
    ScalarValue::iter_to_array(values)
}

/// Arrays of chosen elements of the call's arrays.
fn chosen(call: &Call, choose: impl Fn(usize, &ArrayRef) -> Result<Vec<u32>>) -> Result<ArrayRef> {
    let lists = call.array(0)?.as_list::<i32>();
    let mut indices: Vec<u32> = Vec::new();
    let mut lengths = Vec::new();
    for row in 0..lists.len() {
        if lists.is_null(row) {
            lengths.push(0);
            continue;
        }
        let start = u32::try_from(lists.value_offsets().get(row).copied().unwrap_or(0));
        let start = start.map_err(|e| exec_datafusion_err!("{e}"))?;
        let own = choose(row, &lists.value(row))?;
        lengths.push(own.len());
        indices.extend(own.into_iter().map(|at| at + start));
    }
    let values = take(lists.values(), &UInt32Array::from(indices), None)?;
    let field = Arc::clone(item(call.field(0)?)?);
    Ok(Arc::new(ListArray::try_new(
        field,
        OffsetBuffer::from_lengths(lengths),
        values,
        lists.nulls().cloned(),
    )?))
}

fn head(call: &Call) -> Result<ArrayRef> {
    let counts = call.integers(1)?;
    chosen(call, |row, values| {
        let count = if counts.is_valid(row) {
            counts.value(row)
        } else {
            0
        };
        let count = usize::try_from(count).unwrap_or(0).min(values.len());
        Ok((0..u32::try_from(count).unwrap_or(0)).collect())
    })
}

/// The positions of the elements that are there, the least first.
fn order(values: &ArrayRef) -> Result<Vec<u32>> {
    let options = SortOptions {
        descending: false,
        nulls_first: true,
    };
    let sorted = sort_to_indices(values, Some(options), None)?;
    let all = sorted.values().iter().copied();
    Ok(all
        .filter(|at| usize::try_from(*at).is_ok_and(|at| values.is_valid(at)))
        .collect())
}

/// The elements that stand where an array of all in order is cut in so many parts, both ends included.
fn quantiles(call: &Call) -> Result<ArrayRef> {
    let counts = call.integers(1)?;
    chosen(call, |row, values| {
        let parts = if counts.is_valid(row) {
            counts.value(row)
        } else {
            0
        };
        let Some(parts) = usize::try_from(parts).ok().filter(|p| *p > 0) else {
            return exec_err!("APPROX_QUANTILES expects a number above 0");
        };
        let order = order(values)?;
        let Some(last) = order.len().checked_sub(1) else {
            return Ok(Vec::new());
        };
        let at = |part: usize| part * last / parts;
        Ok((0..=parts)
            .filter_map(|part| order.get(at(part)).copied())
            .collect())
    })
}

fn share(call: &Call) -> Result<f64> {
    let shares = cast(call.array(1)?, &DataType::Float64)?;
    let shares = shares.as_primitive::<Float64Type>();
    let share = shares.iter().next().flatten().unwrap_or(f64::NAN);
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        exec_err!("the percentile must be between 0 and 1")
    }
}

fn percentile_cont(call: &Call) -> Result<ArrayRef> {
    if call.rows == 0 {
        return Ok(arrow::array::new_empty_array(&DataType::Float64));
    }
    let share = share(call)?;
    let found = rows(call)?.into_iter().map(|values| {
        let Some(values) = values else {
            return Ok(None);
        };
        let numbers = cast(&values, &DataType::Float64)?;
        let mut numbers: Vec<f64> = numbers
            .as_primitive::<Float64Type>()
            .iter()
            .flatten()
            .collect();
        numbers.sort_by(|a, b| a.total_cmp(b));
        let Some(last) = numbers.len().checked_sub(1) else {
            return Ok(None);
        };
        let at = share * last as f64;
        let below = at.floor() as usize;
        let low = numbers.get(below).copied();
        let high = numbers.get((below + 1).min(last)).copied();
        Ok(low.zip(high).map(|(low, high)| {
            let part = at - at.floor();
            if part == 0.0 {
                low
            } else {
                low * (1.0 - part) + high * part
            }
        }))
    });
    Ok(Arc::new(found.collect::<Result<Float64Array>>()?))
}

fn percentile_disc(call: &Call) -> Result<ArrayRef> {
    if call.rows == 0 {
        return gathered(Vec::new(), call.returns.data_type());
    }
    let share = share(call)?;
    let mut found = Vec::new();
    for values in rows(call)? {
        let none = || ScalarValue::try_from(call.returns.data_type());
        let Some(values) = values else {
            found.push(none()?);
            continue;
        };
        let order = order(&values)?;
        // The first one whose share of all that are not above it reaches the one asked for.
        let at = (share * order.len() as f64).ceil() as usize;
        let at = order.get(at.saturating_sub(1)).copied();
        found.push(match at.map(usize::try_from) {
            Some(Ok(at)) => ScalarValue::try_from_array(&values, at)?,
            _ => none()?,
        });
    }
    gathered(found, call.returns.data_type())
}

fn range_bucket(call: &Call) -> Result<ArrayRef> {
    let array = call.array(1)?;
    let Some(lists) = array.as_list_opt::<i32>() else {
        return exec_err!("RANGE_BUCKET expects an array of boundaries");
    };
    let points = cast(call.array(0)?, lists.values().data_type())?;
    let found = (0..call.rows).map(|row| {
        if points.is_null(row) || lists.is_null(row) {
            return Ok(None);
        }
        let bounds = lists.value(row);
        let point = ScalarValue::try_from_array(&points, row)?;
        let mut below = 0;
        let mut before: Option<ScalarValue> = None;
        for at in 0..bounds.len() {
            if bounds.is_null(at) {
                return exec_err!("RANGE_BUCKET does not accept NULL in the array of boundaries");
            }
            let bound = ScalarValue::try_from_array(&bounds, at)?;
            if before.as_ref().is_some_and(|before| *before > bound) {
                return exec_err!(
                    "Elements in input array to RANGE_BUCKET must be in ascending order"
                );
            }
            if bound <= point {
                below += 1;
            }
            before = Some(bound);
        }
        Ok(Some(below))
    });
    Ok(Arc::new(found.collect::<Result<Int64Array>>()?))
}

/// Pairs of a value and how often it is there.
fn counted(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let item = item(argument(args, 0)?)?;
    nullable(DataType::new_list(pair_of(item.data_type()), true))
}

fn pair_of(value: &DataType) -> DataType {
    DataType::Struct(
        vec![
            Field::new("value", value.clone(), true),
            Field::new("count", DataType::Int64, true),
        ]
        .into(),
    )
}

fn top_count(call: &Call) -> Result<ArrayRef> {
    let own = item(call.field(0)?)?.data_type().clone();
    let most = call.integers(1)?.iter().next().flatten().unwrap_or(0);
    let most = usize::try_from(most).unwrap_or(0);
    let converter = RowConverter::new(vec![SortField::new(own.clone())])?;
    let DataType::Struct(fields) = pair_of(&own) else {
        return exec_err!("a pair has two fields");
    };
    let mut found = Vec::new();
    for values in rows(call)? {
        let Some(values) = values else {
            found.push(None);
            continue;
        };
        let rows = converter.convert_columns(&[Arc::clone(&values)])?;
        let mut counts: std::collections::HashMap<_, (usize, i64)> =
            std::collections::HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            counts.entry(row.owned()).or_insert((at, 0)).1 += 1;
        }
        let mut all: Vec<(usize, i64)> = counts.into_values().collect();
        // Of values that are there equally often, the one seen first.
        all.sort_by_key(|(at, count)| (-count, *at));
        all.truncate(most);
        let at: Vec<u32> = all
            .iter()
            .filter_map(|(at, _)| u32::try_from(*at).ok())
            .collect();
        let counts: Int64Array = all.iter().map(|(_, count)| Some(*count)).collect();
        let values = take(&values, &UInt32Array::from(at), None)?;
        found.push(Some(StructArray::try_new(
            fields.clone(),
            vec![values, Arc::new(counts)],
            None,
        )?));
    }
    listed(found, &pair_of(&own))
}

/// Elements from one position to another, both included, where negative ones count from the end.
fn slice(call: &Call) -> Result<ArrayRef> {
    let (starts, ends) = (call.integers(1)?, call.integers(2)?);
    let missing = (0..call.rows).map(|row| starts.is_valid(row) && ends.is_valid(row));
    let there = arrow::buffer::NullBuffer::from_iter(missing);
    let lists = chosen(call, |row, values| {
        let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
        let place = |at: i64| if at < 0 { at.saturating_add(count) } else { at };
        let (from, to) = (place(starts.value(row)), place(ends.value(row)));
        let (from, to) = (from.max(0), to.min(count - 1));
        Ok((from..=to)
            .filter_map(|at| u32::try_from(at).ok())
            .collect())
    })?;
    let nulls = arrow::buffer::NullBuffer::union(lists.nulls(), Some(&there));
    let data = lists.to_data().into_builder().nulls(nulls).build()?;
    Ok(arrow::array::make_array(data))
}

fn is_distinct(call: &Call) -> Result<ArrayRef> {
    if call.array(0)?.data_type().is_null() {
        return Ok(new_null_array(&DataType::Boolean, call.rows));
    }
    let kind = item(call.field(0)?)?.data_type().clone();
    let converter = RowConverter::new(vec![SortField::new(kind)])?;
    let found = rows(call)?.into_iter().map(|values| {
        let Some(values) = values else {
            return Ok(None);
        };
        let rows = converter.convert_columns(&[values])?;
        let mut seen = std::collections::HashSet::new();
        Ok(Some(rows.iter().all(|row| seen.insert(row))))
    });
    let found = found.collect::<Result<arrow::array::BooleanArray>>()?;
    Ok(Arc::new(found))
}

/// Of pairs of a value and a weight, those values whose weights are the largest in sum.
fn top_sum(call: &Call) -> Result<ArrayRef> {
    let most = call.integers(1)?.iter().next().flatten().unwrap_or(0);
    let most = usize::try_from(most).unwrap_or(0);
    let DataType::Struct(fields) = item(call.field(0)?)?.data_type().clone() else {
        return exec_err!("pairs are expected");
    };
    let mut found: Vec<Option<StructArray>> = Vec::new();
    for pairs in rows(call)? {
        let Some(pairs) = pairs else {
            found.push(None);
            continue;
        };
        let pairs = pairs.as_struct();
        let (values, weights) = (pairs.column(0), pairs.column(1));
        let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
        let keys = converter.convert_columns(&[Arc::clone(values)])?;
        let mut sums: std::collections::HashMap<_, (usize, ScalarValue)> =
            std::collections::HashMap::new();
        for (at, key) in keys.iter().enumerate() {
            let weight = ScalarValue::try_from_array(weights, at)?;
            match sums.entry(key) {
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert((at, weight));
                }
                std::collections::hash_map::Entry::Occupied(mut entry) => {
                    // Weights that are missing weigh nothing, and do not make the sum go missing.
                    let before = &entry.get().1;
                    let sum = match (before.is_null(), weight.is_null()) {
                        (true, _) => weight,
                        (_, true) => continue,
                        _ => before.add_checked(&weight)?,
                    };
                    entry.get_mut().1 = sum;
                }
            }
        }
        let mut all: Vec<(usize, ScalarValue)> = sums.into_values().collect();
        all.sort_by(|(at, sum), (other, than)| {
            let order = than.partial_cmp(sum);
            order
                .unwrap_or(std::cmp::Ordering::Equal)
                .then(at.cmp(other))
        });
        all.truncate(most);
        let at = all.iter().filter_map(|(at, _)| u32::try_from(*at).ok());
        let values = take(values, &UInt32Array::from_iter_values(at), None)?;
        let sums = gathered(
            all.into_iter().map(|(_, sum)| sum).collect(),
            weights.data_type(),
        )?;
        found.push(Some(StructArray::try_new(
            fields.clone(),
            vec![values, sums],
            None,
        )?));
    }
    listed(found, &DataType::Struct(fields))
}

/// Arrays of records, one for each row.
fn listed(found: Vec<Option<StructArray>>, kind: &DataType) -> Result<ArrayRef> {
    let lengths = found.iter().map(|f| f.as_ref().map_or(0, StructArray::len));
    let lengths = OffsetBuffer::from_lengths(lengths);
    let nulls = found.iter().map(Option::is_some).collect();
    let parts: Vec<&dyn Array> = found.iter().flatten().map(|f| f as &dyn Array).collect();
    let values = match parts.is_empty() {
        true => arrow::array::new_empty_array(kind),
        false => arrow::compute::concat(&parts)?,
    };
    let item = Arc::new(Field::new_list_field(kind.clone(), true));
    Ok(Arc::new(ListArray::try_new(
        item,
        lengths,
        values,
        Some(nulls),
    )?))
}

/// The type of the second field of pairs.
fn value_of_pair(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    match item(argument(args, 0)?)?.data_type() {
        DataType::Struct(fields) => match fields.get(1) {
            Some(value) => Ok(Arc::new(Field::clone(value).with_nullable(true))),
            None => plan_err!("a pair has two fields"),
        },
        other => plan_err!("pairs are expected, not {other}"),
    }
}

fn extreme(call: &Call) -> Result<ArrayRef> {
    let side = call.word(1)?;
    let mut found = Vec::new();
    for pairs in rows(call)? {
        let none = || ScalarValue::try_from(call.returns.data_type());
        let at = match pairs.as_ref().and_then(|p| p.as_struct_opt()) {
            None => None,
            Some(pairs) => {
                let order = order(pairs.column(0))?;
                let at = if side == "MAX" {
                    order.last()
                } else {
                    order.first()
                };
                at.and_then(|at| usize::try_from(*at).ok())
                    .map(|at| (pairs.column(1), at))
            }
        };
        found.push(match at {
            Some((values, at)) => ScalarValue::try_from_array(values, at)?,
            None => none()?,
        });
    }
    gathered(found, call.returns.data_type())
}
