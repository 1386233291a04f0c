//! Whether a value is among the elements of an array, as IN UNNEST asks: it is not known where an element that is missing decides.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, make_comparator};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::argument;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![ScalarUDF::new_from_impl(Among {
        signature: Signature::any(2, Volatility::Immutable),
    })]
}

/// The function. An array that is the same for all rows is not made once for each of them.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Among {
    signature: Signature,
}

impl ScalarUDFImpl for Among {
    fn name(&self) -> &'static str {
        "millpond_is_among"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let (value, array) = (argument(&args, 0)?, argument(&args, 1)?);
        let element = match array.data_type() {
            DataType::List(item) => item.data_type(),
            DataType::Null => &DataType::Null,
            other => {
                return plan_err!("Second argument of IN UNNEST must be an array but was {other}");
            }
        };
        if common(value.data_type(), element).is_none() {
            return plan_err!(
                "No matching signature for operator IN UNNEST for argument types: {}, ARRAY<{element}>",
                value.data_type()
            );
        }
        Ok(Arc::new(Field::new("value", DataType::Boolean, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [values, arrays] = args.args.as_slice() else {
            return exec_err!("IN UNNEST takes a value and an array");
        };
        let rows = args.number_rows;
        let values = values.to_array(rows)?;
        let same = matches!(arrays, ColumnarValue::Scalar(_));
        let arrays = arrays.to_array(if same { 1 } else { rows })?;
        let Some(lists) = arrays.as_list_opt::<i32>() else {
            // No array has no elements.
            return Ok(answer(vec![Some(false); rows]));
        };
        let range = |row: usize| -> Result<Range<usize>> {
            let row = if same { 0 } else { row };
            if lists.is_null(row) {
                return Ok(0..0);
            }
            let at = |n: usize| {
                let offset = lists.value_offsets().get(n).copied().unwrap_or(0);
                usize::try_from(offset).unwrap_or(0)
            };
            Ok(at(row)..at(row + 1))
        };
        let elements = Arc::clone(lists.values());
        let found = match same {
            true if !matches!(values.data_type(), DataType::Struct(_)) => {
                let range = range(0)?;
                let own = elements.slice(range.start, range.len());
                among_same(&values, &own)?
            }
            _ => among_own(&values, &elements, range)?,
        };
        Ok(answer(found))
    }
}

fn answer(found: Vec<Option<bool>>) -> ColumnarValue {
    ColumnarValue::Array(Arc::new(BooleanArray::from(found)))
}

/// The type in which two values can be compared.
fn common(one: &DataType, other: &DataType) -> Option<DataType> {
    let rank = |kind: &DataType| match kind {
        DataType::Int64 => Some(0),
        DataType::Decimal128(_, _) => Some(1),
        DataType::Decimal256(_, _) => Some(2),
        DataType::Float64 => Some(3),
        _ => None,
    };
    let text = |kind: &DataType| {
        matches!(
            kind,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        )
    };
    match (one, other) {
        (one, other) if text(one) && text(other) => Some(DataType::Utf8),
        (one, other) if one == other || other.is_null() => Some(one.clone()),
        (DataType::Null, other) => Some(other.clone()),
        (DataType::Struct(own), DataType::Struct(theirs)) => {
            let pairs = own.iter().zip(theirs);
            let fits = |(own, theirs): (&FieldRef, &FieldRef)| {
                common(own.data_type(), theirs.data_type()).is_some()
            };
            let same = own.len() == theirs.len() && pairs.into_iter().all(fits);
            same.then(|| one.clone())
        }
        (one, other) => match (rank(one)?, rank(other)?) {
            (own, theirs) if own < theirs => Some(other.clone()),
            _ => Some(one.clone()),
        },
    }
}

/// Two arrays in the type in which their values can be compared. Minus zero is zero.
fn comparable(one: &ArrayRef, other: &ArrayRef) -> Result<(ArrayRef, ArrayRef)> {
    let Some(kind) = common(one.data_type(), other.data_type()) else {
        return exec_err!(
            "a value of {} is compared with one of {}",
            one.data_type(),
            other.data_type()
        );
    };
    let in_kind = |array: &ArrayRef| -> Result<ArrayRef> {
        let array = cast(array, &kind)?;
        Ok(match array.as_primitive_opt::<Float64Type>() {
            Some(floats) => Arc::new(floats.unary::<_, Float64Type>(|x| x + 0.0)) as ArrayRef,
            None => array,
        })
    };
    Ok((in_kind(one)?, in_kind(other)?))
}

/// Whether a value is one that equals nothing.
fn equals_nothing(floats: Option<&Float64Array>, at: usize) -> bool {
    floats.is_some_and(|floats| floats.value(at).is_nan())
}

/// Of every value, whether it is among the same elements.
fn among_same(values: &ArrayRef, elements: &ArrayRef) -> Result<Vec<Option<bool>>> {
    if elements.is_empty() {
        return Ok(vec![Some(false); values.len()]);
    }
    let (values, elements) = comparable(values, elements)?;
    let missing = elements.logical_null_count() > 0;
    if values.data_type().is_null() {
        return Ok(vec![None; values.len()]);
    }
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let rows = converter.convert_columns(&[Arc::clone(&elements)])?;
    let there = rows
        .iter()
        .enumerate()
        .filter(|(at, _)| elements.is_valid(*at));
    let known: HashSet<_> = there.map(|(_, row)| row.owned()).collect();
    let rows = converter.convert_columns(&[Arc::clone(&values)])?;
    let floats = values.as_primitive_opt::<Float64Type>();
    Ok(rows
        .iter()
        .enumerate()
        .map(|(at, row)| {
            if values.is_null(at) {
                None
            } else if !equals_nothing(floats, at) && known.contains(&row.owned()) {
                Some(true)
            } else {
                (!missing).then_some(false)
            }
        })
        .collect())
}

/// Of every value, whether it is among elements of its own.
fn among_own(
    values: &ArrayRef,
    elements: &ArrayRef,
    range: impl Fn(usize) -> Result<Range<usize>>,
) -> Result<Vec<Option<bool>>> {
    let equal = equality(values, elements)?;
    (0..values.len())
        .map(|row| {
            let mut known = true;
            let range = range(row)?;
            for at in range {
                match equal(row, at) {
                    Some(true) => return Ok(Some(true)),
                    Some(false) => {}
                    None => known = false,
                }
            }
            Ok(known.then_some(false))
        })
        .collect()
}

type Equality = Box<dyn Fn(usize, usize) -> Option<bool>>;

/// Whether a value of one array equals one of another, if that can be known.
fn equality(one: &ArrayRef, other: &ArrayRef) -> Result<Equality> {
    if one.data_type().is_null() || other.data_type().is_null() {
        return Ok(Box::new(|_, _| None));
    }
    if let (Some(own), Some(theirs)) = (one.as_struct_opt(), other.as_struct_opt()) {
        let pairs = own.columns().iter().zip(theirs.columns());
        let fields: Vec<Equality> = pairs
            .map(|(own, theirs)| equality(own, theirs))
            .collect::<Result<_>>()?;
        let (own, theirs) = (own.clone(), theirs.clone());
        return Ok(Box::new(move |at, there| {
            if own.is_null(at) || theirs.is_null(there) {
                return None;
            }
            let mut known = true;
            for field in &fields {
                match field(at, there) {
                    Some(false) => return Some(false),
                    Some(true) => {}
                    None => known = false,
                }
            }
            known.then_some(true)
        }));
    }
    let (one, other) = comparable(one, other)?;
    let compare = make_comparator(&one, &other, SortOptions::default())?;
    Ok(Box::new(move |at, there| {
        if one.is_null(at) || other.is_null(there) {
            return None;
        }
        let floats = one.as_primitive_opt::<Float64Type>();
        Some(!equals_nothing(floats, at) && compare(at, there).is_eq())
    }))
}
