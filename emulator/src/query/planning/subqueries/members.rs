//! The values of a query that others are looked for among: `x IN (SELECT ...)`.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{cast, concat};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;

/// The one column of a query's rows.
pub(super) struct Members {
    values: Option<ArrayRef>,
    /// By the type that they were compared in last.
    known: std::cell::RefCell<Option<(DataType, Arc<HashSet<ScalarValue>>)>>,
}

impl Members {
    pub fn of(rows: &[RecordBatch]) -> Result<Self> {
        let columns: Vec<&dyn Array> = rows
            .iter()
            .filter(|batch| batch.num_rows() > 0)
            .filter_map(|batch| batch.columns().first().map(AsRef::as_ref))
            .collect();
        Ok(Self {
            values: match columns.is_empty() {
                true => None,
                false => Some(concat(&columns)?),
            },
            known: std::cell::RefCell::default(),
        })
    }

    /// Whether a value is among them; that is not known where it or one of them is null and none is equal.
    pub fn has(&self, value: Option<&ScalarValue>) -> Result<Option<bool>> {
        let (Some(values), Some(value)) = (&self.values, value) else {
            return Ok(Some(false));
        };
        if value.is_null() || values.data_type().is_null() {
            return Ok(None);
        }
        let (own, theirs) = (value.data_type(), values.data_type());
        let Some(common) = comparison_coercion(&own, theirs) else {
            return exec_err!("IN compares values of {own} with values of {theirs}");
        };
        let value = value.cast_to(&common)?;
        let set = self.set(values, common)?;
        let found = !is_nan(&value) && set.contains(&zero(value));
        Ok(match found {
            true => Some(true),
            false if values.null_count() > 0 => None,
            false => Some(false),
        })
    }

    fn set(&self, values: &ArrayRef, common: DataType) -> Result<Arc<HashSet<ScalarValue>>> {
        let mut known = self.known.borrow_mut();
        if let Some((of, set)) = known.as_ref()
            && *of == common
        {
            return Ok(Arc::clone(set));
        }
        let cast = cast(values, &common)?;
        let all = (0..cast.len()).filter(|row| cast.is_valid(*row));
        let all = all.map(|row| ScalarValue::try_from_array(&cast, row).map(zero));
        let set = Arc::new(all.collect::<Result<HashSet<_>>>()?);
        *known = Some((common, Arc::clone(&set)));
        Ok(set)
    }
}

/// Nothing equals NaN.
fn is_nan(value: &ScalarValue) -> bool {
    matches!(value, ScalarValue::Float64(Some(float)) if float.is_nan())
}

/// Both zeros are equal.
fn zero(value: ScalarValue) -> ScalarValue {
    match value {
        // The sum of both is the one without a sign.
        ScalarValue::Float64(Some(float)) => ScalarValue::Float64(Some(float + 0.0)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{Float64Array, Int64Array};
    use arrow::datatypes::{Field, Schema};

    fn members(column: ArrayRef) -> Members {
        let field = Field::new("x", column.data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        Members::of(&[RecordBatch::try_new(schema, vec![column]).unwrap()]).unwrap()
    }

    #[test]
    fn nulls_leave_it_open_and_nan_is_nowhere() {
        let numbers = members(Arc::new(Int64Array::from(vec![Some(1), None])));
        let is = |value: ScalarValue| numbers.has(Some(&value)).unwrap();
        assert_eq!(is(ScalarValue::Int64(Some(1))), Some(true));
        assert_eq!(is(ScalarValue::Int64(Some(2))), None);
        assert_eq!(is(ScalarValue::Float64(Some(1.0))), Some(true));
        assert_eq!(is(ScalarValue::Int64(None)), None);
        let floats = members(Arc::new(Float64Array::from(vec![0.0, f64::NAN])));
        let is = |value: f64| {
            floats
                .has(Some(&ScalarValue::Float64(Some(value))))
                .unwrap()
        };
        assert_eq!(is(-0.0), Some(true));
        assert_eq!(is(f64::NAN), Some(false));
        let none = Members::of(&[]).unwrap();
        assert_eq!(
            none.has(Some(&ScalarValue::Int64(None))).unwrap(),
            Some(false)
        );
    }
}
