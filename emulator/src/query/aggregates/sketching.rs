//! HLL_COUNT: sketches made of values, and of other sketches.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use crate::query::sketches::{Kind, PRECISIONS, Sketch, USUAL_PRECISION};

/// The three of them.
pub(super) fn all() -> [AggregateUDF; 3] {
    [Outcome::Made, Outcome::Merged, Outcome::Counted].map(|outcome| {
        AggregateUDF::new_from_impl(Sketching {
            outcome,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    })
}

/// What goes in and what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    /// A sketch of values.
    Made,
    /// A sketch of sketches.
    Merged,
    /// How many values sketches have counted.
    Counted,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sketching {
    outcome: Outcome,
    signature: Signature,
}

/// The kind of values of a type.
fn kind_of(data_type: &DataType) -> Option<Kind> {
    Some(match data_type {
        DataType::Int64 => Kind::Whole,
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => Kind::Decimal,
        DataType::Utf8 => Kind::Text,
        DataType::Binary => Kind::Bytes,
        _ => return None,
    })
}

impl AggregateUDFImpl for Sketching {
    fn name(&self) -> &str {
        match self.outcome {
            Outcome::Made => "millpond_hll_init",
            Outcome::Merged => "millpond_hll_merge_partial",
            Outcome::Counted => "millpond_hll_merge",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let function = self
            .name()
            .trim_start_matches("millpond_hll_")
            .to_uppercase();
        let refused = || {
            plan_err!(
                "No matching signature for aggregate function HLL_COUNT.{function} for argument types: {}",
                arguments
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        };
        let value = match arguments.first() {
            Some(DataType::LargeUtf8 | DataType::Utf8View) => DataType::Utf8,
            Some(whole) if whole.is_integer() => DataType::Int64,
            Some(DataType::Null) if self.outcome == Outcome::Made => DataType::Int64,
            Some(DataType::Null) => DataType::Binary,
            Some(other) => other.clone(),
            None => return refused(),
        };
        let known = match self.outcome {
            Outcome::Made => kind_of(&value).is_some(),
            _ => value == DataType::Binary,
        };
        match arguments {
            [_] if known => Ok(vec![value]),
            [_, precision] if known && self.outcome == Outcome::Made && precision.is_integer() => {
                Ok(vec![value, DataType::Int64])
            }
            _ => refused(),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.outcome {
            Outcome::Counted => DataType::Int64,
            _ => DataType::Binary,
        })
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let sketch = None;
        Ok(Box::new(Counting {
            outcome: self.outcome,
            sketch,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[sketch]", args.name);
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        match self.outcome {
            Outcome::Counted => Ok(ScalarValue::Int64(Some(0))),
            _ => ScalarValue::try_from(data_type),
        }
    }
}

#[derive(Debug)]
struct Counting {
    outcome: Outcome,
    sketch: Option<Sketch>,
}

impl Counting {
    fn count(&mut self, values: &ArrayRef, precision: Option<&ArrayRef>) -> Result<()> {
        if values.null_count() == values.len() {
            return Ok(());
        }
        let Some(kind) = kind_of(values.data_type()) else {
            return exec_err!("HLL_COUNT.INIT of {}", values.data_type());
        };
        let given = precision.and_then(|p| p.as_primitive_opt::<Int64Type>()?.iter().next()?);
        let precision = match given {
            None => Some(USUAL_PRECISION),
            Some(given) => u8::try_from(given).ok(),
        };
        let Some(precision) = precision.filter(|p| PRECISIONS.contains(p)) else {
            return exec_err!(
                "The precision of HLL_COUNT.INIT must be between {} and {}",
                PRECISIONS.start(),
                PRECISIONS.end()
            );
        };
        let sketch = self
            .sketch
            .get_or_insert_with(|| Sketch::new(kind, precision));
        match values.data_type() {
            DataType::Int64 => {
                let values = values.as_primitive::<Int64Type>().iter().flatten();
                values.for_each(|v| sketch.add(&v.to_le_bytes()));
            }
            DataType::Decimal128(_, _) => {
                let values = values.as_primitive::<Decimal128Type>().iter().flatten();
                values.for_each(|v| sketch.add(&v.to_le_bytes()));
            }
            DataType::Decimal256(_, _) => {
                let values = values.as_primitive::<Decimal256Type>().iter().flatten();
                values.for_each(|v| sketch.add(&v.to_le_bytes()));
            }
            DataType::Utf8 => {
                let values = values.as_string::<i32>().iter().flatten();
                values.for_each(|v| sketch.add(v.as_bytes()));
            }
            _ => {
                let values = values.as_binary::<i32>().iter().flatten();
                values.for_each(|v| sketch.add(v));
            }
        }
        Ok(())
    }

    fn merge(&mut self, sketches: &ArrayRef) -> Result<()> {
        for bytes in sketches.as_binary::<i32>().iter().flatten() {
            let wrong =
                || exec_datafusion_err!("Invalid or incompatible sketch in HLL_COUNT.MERGE");
            let other = Sketch::from_bytes(bytes).ok_or_else(wrong)?;
            match &mut self.sketch {
                Some(sketch) => sketch.merge(other).ok_or_else(wrong)?,
                none => *none = Some(other),
            }
        }
        Ok(())
    }
}

impl Accumulator for Counting {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match (self.outcome, values) {
            (Outcome::Made, [values]) => self.count(values, None),
            (Outcome::Made, [values, precision]) => self.count(values, Some(precision)),
            (_, [sketches]) => self.merge(sketches),
            _ => exec_err!("HLL_COUNT takes other arguments"),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(match self.outcome {
            Outcome::Counted => {
                let count = self.sketch.as_ref().map_or(0, Sketch::estimate);
                ScalarValue::Int64(Some(count))
            }
            _ => ScalarValue::Binary(self.sketch.as_ref().map(Sketch::to_bytes)),
        })
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sketch.as_ref().map_or(0, Sketch::size)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sketch = self.sketch.as_ref().map(Sketch::to_bytes);
        Ok(vec![ScalarValue::Binary(sketch)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        match states {
            [sketches] => self.merge(sketches),
            _ => exec_err!("a part of a sketch has {} columns", states.len()),
        }
    }
}
