//! Aggregates that are not the planner's: SUM and AVG that fail where BigQuery's fail; others are below.
//!
//! Sums are held in a type wider than any value, so that only the result can be out of range. Must not know how a query is
//! written.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Float64Type, Int64Type,
    IntervalMonthDayNanoType, IntervalUnit, i256,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use super::functions::decimals::{self, Kind};

mod extremes;
mod gathering;
mod moving_least;
mod sketching;
mod spans;

use spans::Spans;

/// The aggregates, to be registered with a planner.
pub(super) fn all() -> Vec<AggregateUDF> {
    let sum = |outcome| Sum {
        outcome,
        signature: Signature::user_defined(Volatility::Immutable),
    };
    let mut all = vec![
        AggregateUDF::new_from_impl(sum(Outcome::Sum)),
        AggregateUDF::new_from_impl(sum(Outcome::Mean)),
        extremes::least(),
        extremes::greatest(),
        gathering::arrays(),
    ];
    all.extend(sketching::all());
    all
}

/// What is made of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    Sum,
    Mean,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    outcome: Outcome,
    signature: Signature,
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        match self.outcome {
            Outcome::Sum => "millpond_sum",
            Outcome::Mean => "millpond_avg",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let name = match self.outcome {
            Outcome::Sum => "SUM",
            Outcome::Mean => "AVG",
        };
        let [argument] = arguments else {
            return plan_err!("{name} takes one argument, not {}", arguments.len());
        };
        Ok(vec![match argument {
            DataType::Null => DataType::Int64,
            whole if whole.is_integer() => DataType::Int64,
            float if float.is_floating() => DataType::Float64,
            same @ (DataType::Decimal128(_, _)
            | DataType::Decimal256(_, _)
            | DataType::Interval(IntervalUnit::MonthDayNano)) => same.clone(),
            other => {
                return plan_err!(
                    "No matching signature for aggregate function {name} for argument type {other}"
                );
            }
        }])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match (arguments.first(), self.outcome) {
            (Some(DataType::Int64), Outcome::Sum) => DataType::Int64,
            (Some(DataType::Decimal128(_, _)), _) => Kind::Numeric.data_type(),
            (Some(DataType::Decimal256(_, _)), _) => Kind::BigNumeric.data_type(),
            (Some(span @ DataType::Interval(_)), _) => span.clone(),
            _ => DataType::Float64,
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let argument = args.expr_fields.first();
        let argument = argument.ok_or_else(|| exec_datafusion_err!("an argument is missing"))?;
        let total = match argument.data_type() {
            DataType::Decimal128(_, _) => Total::Decimal(Kind::Numeric, i256::ZERO),
            DataType::Decimal256(_, _) => Total::Decimal(Kind::BigNumeric, i256::ZERO),
            DataType::Float64 => Total::Float(Floats::default()),
            DataType::Interval(_) => Total::Span(Spans::default()),
            _ => Total::Whole(0),
        };
        Ok(Box::new(Summing {
            total,
            count: 0,
            seen: args.is_distinct.then(HashSet::new),
            outcome: self.outcome,
            argument: argument.data_type().clone(),
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let argument = args.input_fields.first();
        let argument = argument.ok_or_else(|| exec_datafusion_err!("an argument is missing"))?;
        let field = |part: &str, data_type| {
            let name = format!("{}[{part}]", args.name);
            Arc::new(Field::new(name, data_type, true))
        };
        if args.is_distinct {
            let item = Field::new_list_field(argument.data_type().clone(), true);
            return Ok(vec![field("values", DataType::List(Arc::new(item)))]);
        }
        Ok(vec![
            field("total", DataType::Binary),
            field("count", DataType::Int64),
        ])
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        ScalarValue::try_from(data_type)
    }
}

/// A sum of floats from which values can be taken again.
#[derive(Debug, Default)]
struct Floats {
    finite: f64,
    nan: i64,
    positive: i64,
    negative: i64,
}

impl Floats {
    fn add(&mut self, value: f64, times: i64) {
        if value.is_nan() {
            self.nan += times;
        } else if value == f64::INFINITY {
            self.positive += times;
        } else if value == f64::NEG_INFINITY {
            self.negative += times;
        } else if times > 0 {
            self.finite += value;
        } else {
            self.finite -= value;
        }
    }

    fn total(&self) -> Result<f64> {
        if self.nan > 0 || self.positive > 0 && self.negative > 0 {
            Ok(f64::NAN)
        } else if self.positive > 0 {
            Ok(f64::INFINITY)
        } else if self.negative > 0 {
            Ok(f64::NEG_INFINITY)
        } else if self.finite.is_finite() {
            Ok(self.finite)
        } else {
            exec_err!("double overflow in SUM")
        }
    }
}

/// What has been added up.
#[derive(Debug)]
enum Total {
    Whole(i128),
    /// In units of the last digit of its kind.
    Decimal(Kind, i256),
    Float(Floats),
    Span(Spans),
}

impl Total {
    /// Everything that is known, to be merged with what another part of the rows gave.
    fn to_bytes(&self) -> [u8; 32] {
        match self {
            Self::Whole(total) => i256::from_i128(*total).to_le_bytes(),
            Self::Decimal(_, total) => total.to_le_bytes(),
            Self::Span(total) => total.to_bytes(),
            Self::Float(total) => {
                let counts = [total.nan, total.positive, total.negative];
                let counts = counts.map(i64::to_le_bytes);
                let mut bytes = [0; 32];
                let parts = std::iter::once(total.finite.to_le_bytes()).chain(counts);
                for (slot, byte) in bytes.iter_mut().zip(parts.flatten()) {
                    *slot = byte;
                }
                bytes
            }
        }
    }

    fn merge(&mut self, part: &[u8]) -> Result<()> {
        let wrong = || exec_datafusion_err!("a part of a sum has {} bytes", part.len());
        let bytes: [u8; 32] = part.try_into().map_err(|_| wrong())?;
        let number = i256::from_le_bytes(bytes);
        match self {
            Self::Span(total) => total.merge(bytes),
            Self::Whole(total) => *total += number.to_i128().ok_or_else(wrong)?,
            Self::Decimal(kind, total) => {
                let sum = total.checked_add(number);
                *total =
                    sum.ok_or_else(|| exec_datafusion_err!("{} overflow in SUM", kind.name()))?;
            }
            Self::Float(total) => {
                let mut parts = part.chunks_exact(8).filter_map(|b| b.try_into().ok());
                total.finite += parts.next().map_or(0.0, f64::from_le_bytes);
                let mut count = || parts.next().map_or(0, i64::from_le_bytes);
                total.nan += count();
                total.positive += count();
                total.negative += count();
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Summing {
    total: Total,
    count: i64,
    /// Values that have been counted, where each counts once.
    seen: Option<HashSet<ScalarValue>>,
    outcome: Outcome,
    argument: DataType,
}

impl Summing {
    /// Adds all values of an array, or takes them away again.
    fn add(&mut self, values: &ArrayRef, times: i64) -> Result<()> {
        let values = match &mut self.seen {
            None => Arc::clone(values),
            Some(seen) => {
                let mut new = Vec::new();
                for row in 0..values.len() {
                    let value = ScalarValue::try_from_array(values, row)?;
                    if !value.is_null() && seen.insert(value.clone()) {
                        new.push(value);
                    }
                }
                if new.is_empty() {
                    return Ok(());
                }
                ScalarValue::iter_to_array(new)?
            }
        };
        let there = values.len() - values.null_count();
        self.count += times * i64::try_from(there).unwrap_or(i64::MAX);
        match &mut self.total {
            Total::Whole(total) => {
                for value in values.as_primitive::<Int64Type>().iter().flatten() {
                    *total += i128::from(value) * i128::from(times);
                }
            }
            Total::Span(total) => {
                let values = values.as_primitive::<IntervalMonthDayNanoType>();
                values.iter().flatten().for_each(|v| total.add(v, times));
            }
            Total::Float(total) => {
                for value in values.as_primitive::<Float64Type>().iter().flatten() {
                    total.add(value, times);
                }
            }
            Total::Decimal(kind, total) => {
                let values = cast(&values, &kind.data_type())?;
                let mut one = |value: i256| {
                    let sum = if times > 0 {
                        total.checked_add(value)
                    } else {
                        total.checked_sub(value)
                    };
                    *total =
                        sum.ok_or_else(|| exec_datafusion_err!("{} overflow in SUM", kind.name()))?;
                    Ok::<_, datafusion::common::DataFusionError>(())
                };
                match kind {
                    Kind::Numeric => values
                        .as_primitive::<Decimal128Type>()
                        .iter()
                        .flatten()
                        .try_for_each(|v| one(i256::from_i128(v)))?,
                    Kind::BigNumeric => values
                        .as_primitive::<Decimal256Type>()
                        .iter()
                        .flatten()
                        .try_for_each(one)?,
                }
            }
        }
        Ok(())
    }
}

// A mean of integers is as exact as a float can be.
#[allow(clippy::cast_precision_loss)]
impl Accumulator for Summing {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values.first();
        self.add(
            values.ok_or_else(|| exec_datafusion_err!("an argument is missing"))?,
            1,
        )
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values.first();
        self.add(
            values.ok_or_else(|| exec_datafusion_err!("an argument is missing"))?,
            -1,
        )
    }

    fn supports_retract_batch(&self) -> bool {
        self.seen.is_none()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let count = self.count;
        Ok(match (&self.total, self.outcome) {
            (Total::Whole(_), Outcome::Sum) if count == 0 => ScalarValue::Int64(None),
            (Total::Whole(total), Outcome::Sum) => match i64::try_from(*total) {
                Ok(total) => ScalarValue::Int64(Some(total)),
                Err(_) => return exec_err!("int64 overflow in SUM: {total}"),
            },
            (Total::Decimal(kind, _), _) if count == 0 => kind.scalar(None)?,
            (Total::Decimal(kind, total), Outcome::Sum) => kind.scalar(Some(*total))?,
            (Total::Decimal(kind, total), Outcome::Mean) => {
                kind.scalar(Some(decimals::quotient(*total, i256::from(count))?))?
            }
            (Total::Span(_), _) if count == 0 => ScalarValue::IntervalMonthDayNano(None),
            (Total::Span(total), outcome) => {
                let parts = match outcome {
                    Outcome::Sum => 1,
                    Outcome::Mean => count,
                };
                ScalarValue::IntervalMonthDayNano(Some(total.divided(parts)?))
            }
            (_, _) if count == 0 => ScalarValue::Float64(None),
            (Total::Whole(total), Outcome::Mean) => {
                ScalarValue::Float64(Some(*total as f64 / count as f64))
            }
            (Total::Float(total), Outcome::Sum) => ScalarValue::Float64(Some(total.total()?)),
            (Total::Float(total), Outcome::Mean) => {
                ScalarValue::Float64(Some(total.total()? / count as f64))
            }
        })
    }

    fn size(&self) -> usize {
        let seen = self.seen.as_ref().map_or(0, HashSet::capacity);
        size_of_val(self) + seen * size_of::<ScalarValue>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        if let Some(seen) = &self.seen {
            let values: Vec<ScalarValue> = seen.iter().cloned().collect();
            let list = ScalarValue::new_list(&values, &self.argument, true);
            return Ok(vec![ScalarValue::List(list)]);
        }
        let total = self.total.to_bytes().to_vec();
        Ok(vec![
            ScalarValue::Binary(Some(total)),
            ScalarValue::Int64(Some(self.count)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        match states {
            [values] => values
                .as_list::<i32>()
                .iter()
                .flatten()
                .try_for_each(|values| self.add(&values, 1)),
            [totals, counts] => {
                let counts = counts.as_primitive::<Int64Type>();
                for (total, count) in totals.as_binary::<i32>().iter().zip(counts) {
                    if let (Some(total), Some(count)) = (total, count) {
                        self.total.merge(total)?;
                        self.count += count;
                    }
                }
                Ok(())
            }
            _ => exec_err!("a part of a sum has {} columns", states.len()),
        }
    }
}
