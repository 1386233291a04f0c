//! Long chains of operators, `a + b + c + ...`, as one function of all their operands.
//!
//! Whoever looks at an expression names it, with all that is within: for calls within calls the time grows with the third power of
//! their number. Steps are taken from left to right, as the calls would be.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use super::named;

/// Operators that stand in each other this deep are a chain from then on.
const DEEP: usize = 8;

/// A function of two values after the other, each of what the one before gave and the next argument.
#[derive(Debug)]
struct Chain {
    /// With the names of all steps, so that it tells chains apart.
    name: String,
    steps: Vec<Arc<ScalarUDF>>,
    /// What it gave when it was made; asking all of its operands would take longer with every step.
    returns: FieldRef,
    signature: Signature,
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Chain {}

impl Hash for Chain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Chain {
    fn of(function: &ScalarUDF) -> Option<&Self> {
        let inner: &dyn std::any::Any = function.inner().as_ref();
        inner.downcast_ref()
    }

    fn followed_by(before: Option<&Self>, step: Arc<ScalarUDF>, returns: FieldRef) -> ScalarUDF {
        let (name, steps) = match before {
            Some(chain) => (chain.name.as_str(), chain.steps.as_slice()),
            None => ("millpond_chain", [].as_slice()),
        };
        let short = step.name().trim_start_matches("millpond_");
        ScalarUDF::new_from_impl(Self {
            name: format!("{name}_{short}"),
            steps: steps.iter().cloned().chain([step]).collect(),
            returns,
            signature: Signature::variadic_any(Volatility::Immutable),
        })
    }
}

/// The names of the functions that a call of `function` calls: its own, or those of the steps of a chain.
pub(in crate::query) fn names_within(function: &ScalarUDF) -> Vec<&str> {
    match Chain::of(function) {
        Some(chain) => chain.steps.iter().map(|step| step.name()).collect(),
        None => vec![function.name()],
    }
}

/// What an expression gives.
///
/// # Errors
/// As the planner's own.
pub(in crate::query) fn field(expr: &Expr, schema: &DFSchema) -> Result<FieldRef> {
    if let Expr::ScalarFunction(call) = expr
        && let Some(chain) = Chain::of(&call.func)
    {
        return Ok(Arc::clone(&chain.returns));
    }
    Ok(expr.to_field(schema)?.1)
}

/// How deep calls of two values stand in their first one, as far as it matters.
fn depth(expr: &Expr) -> usize {
    let mut expr = expr;
    for depth in 0..DEEP {
        match expr {
            Expr::ScalarFunction(call) if call.args.len() == 2 => match call.args.first() {
                Some(first) => expr = first,
                None => return depth,
            },
            _ => return depth,
        }
    }
    DEEP
}

/// The call of a function of two values, as a step of a chain where there would be too many calls in each other.
///
/// # Errors
/// When there is no function of that name.
pub(in crate::query) fn called(
    name: &str,
    (left, right): (Expr, Expr),
    schema: &DFSchema,
) -> Result<Expr> {
    let step = named(name)?;
    let returns = |left: &Expr, right: &Expr| {
        step.return_field_from_args(ReturnFieldArgs {
            arg_fields: &[field(left, schema)?, field(right, schema)?],
            scalar_arguments: &[None, None],
        })
    };
    let call = match left {
        Expr::ScalarFunction(call) if Chain::of(&call.func).is_some() => {
            let left = Expr::ScalarFunction(call);
            let returns = returns(&left, &right)?;
            let Expr::ScalarFunction(mut call) = left else {
                return exec_err!("a chain is a call");
            };
            let chain = Chain::followed_by(Chain::of(&call.func), step, returns);
            call.func = Arc::new(chain);
            call.args.push(right);
            call
        }
        left if depth(&left) == DEEP => {
            let returns = returns(&left, &right)?;
            let chain = Arc::new(Chain::followed_by(None, step, returns));
            ScalarFunction::new_udf(chain, vec![left, right])
        }
        left => ScalarFunction::new_udf(step, vec![left, right]),
    };
    Ok(Expr::ScalarFunction(call))
}

impl ScalarUDFImpl for Chain {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of a chain follows from its arguments")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let mut operands = args.arg_fields.iter().zip(args.scalar_arguments);
        let missing = || exec_datafusion_err!("a chain has an operand more than steps");
        let (first, scalar) = operands.next().ok_or_else(missing)?;
        let (mut field, mut scalar) = (Arc::clone(first), *scalar);
        for step in &self.steps {
            let (next, next_scalar) = operands.next().ok_or_else(missing)?;
            field = step.return_field_from_args(ReturnFieldArgs {
                arg_fields: &[field, Arc::clone(next)],
                scalar_arguments: &[scalar, *next_scalar],
            })?;
            scalar = None;
        }
        Ok(field)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut operands = args.args.into_iter().zip(args.arg_fields);
        let missing = || exec_datafusion_err!("a chain has an operand more than steps");
        let (mut value, mut field) = operands.next().ok_or_else(missing)?;
        for step in &self.steps {
            let (next, next_field) = operands.next().ok_or_else(missing)?;
            let fields = vec![field, next_field];
            let returns = step.return_field_from_args(ReturnFieldArgs {
                arg_fields: &fields,
                scalar_arguments: &[None, None],
            })?;
            value = step.invoke_with_args(ScalarFunctionArgs {
                args: vec![value, next],
                arg_fields: fields,
                number_rows: args.number_rows,
                return_field: Arc::clone(&returns),
                config_options: Arc::clone(&args.config_options),
            })?;
            field = returns;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn operators_are_a_chain_where_they_are_many() {
        let schema = DFSchema::empty();
        let mut expr = lit(1_i64);
        for step in 0..100 {
            let (name, right) = match step % 2 {
                0 => ("millpond_add", lit(2_i64)),
                _ => ("millpond_float_subtract", lit(0.5)),
            };
            expr = called(name, (expr, right), &schema).unwrap();
        }
        let Expr::ScalarFunction(call) = &expr else {
            unreachable!("it is a call");
        };
        assert_eq!(call.args.len(), 100 - DEEP + 1);
        assert!(call.name().ends_with("_float_subtract_add_float_subtract"));
        let told = field(&expr, &schema).unwrap();
        assert_eq!(told.data_type(), &DataType::Float64);
        assert_eq!(
            expr.to_field(&schema).unwrap().1.data_type(),
            told.data_type()
        );
    }

    #[test]
    fn few_operators_are_calls() {
        let mut expr = col("a");
        let field = arrow::datatypes::Field::new("a", DataType::Int64, true);
        let schema = DFSchema::try_from(arrow::datatypes::Schema::new(vec![field])).unwrap();
        for _ in 0..DEEP {
            expr = called("millpond_add", (expr, lit(1_i64)), &schema).unwrap();
        }
        assert!(matches!(&expr, Expr::ScalarFunction(call) if call.name() == "millpond_add"));
    }
}
