//! MIN and MAX.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, plan_err};
use datafusion::functions_aggregate::min_max;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature,
};

use super::moving_least::MovingLeast;

/// MIN.
pub(super) fn least() -> AggregateUDF {
    AggregateUDF::new_from_impl(Extreme {
        name: "min",
        inner: min_max::min_udaf(),
    })
}

/// MAX.
pub(super) fn greatest() -> AggregateUDF {
    AggregateUDF::new_from_impl(Extreme {
        name: "max",
        inner: min_max::max_udaf(),
    })
}

/// MIN and MAX, which are NaN as soon as one value is. The planner's own MAX is that already.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    name: &'static str,
    inner: Arc<AggregateUDF>,
}

impl Extreme {
    fn is_own(&self, args: &AccumulatorArgs<'_>) -> bool {
        self.name == "min" && *args.return_field.data_type() == DataType::Float64
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef> {
        if arguments
            .iter()
            .any(|a| matches!(a.data_type(), DataType::Interval(_)))
        {
            let name = self.name.to_uppercase();
            return plan_err!("{name} of INTERVAL is not supported by this emulator");
        }
        let field = self.inner.return_field(arguments)?;
        Ok(super::gathering::marked(field, arguments))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if self.is_own(&args) {
            return Ok(Box::new(LeastFloat::default()));
        }
        self.inner.accumulator(args)
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        if self.is_own(&args) {
            return Ok(Box::new(MovingLeast::default()));
        }
        self.inner.create_sliding_accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !self.is_own(&args) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }
}

#[derive(Debug, Default)]
struct LeastFloat {
    least: Option<f64>,
}

impl Accumulator for LeastFloat {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values.first();
        let values = values.ok_or_else(|| exec_datafusion_err!("an argument is missing"))?;
        for value in values.as_primitive::<Float64Type>().iter().flatten() {
            let less = self
                .least
                .is_none_or(|l| !l.is_nan() && (value.is_nan() || value < l));
            if less {
                self.least = Some(value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.least))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
