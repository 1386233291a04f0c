//! Functions of the planner's own that forget what its types cannot tell, such as which texts are JSON: arrays and structs made of
//! values, and choices among values.
//!
//! They compute what they did, and say of the result what their arguments say. Must not know what the marks mean.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::functions::core;
use datafusion::functions_nested as nested;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};

use crate::query::planning::choices::{are_moments_and_texts, common};
use crate::wire;

/// The functions, under the names by which the planner knows them.
pub(in crate::query) fn functions() -> Vec<ScalarUDF> {
    let of_values = [
        make_array(),
        nested::concat::array_concat_udf(),
        nested::reverse::array_reverse_udf(),
        nested::flatten::flatten_udf(),
        core::coalesce(),
        core::nullif(),
    ];
    let of_values = of_values
        .into_iter()
        .map(|inner| marked(inner, Marks::OfAny));
    let records = marked(core::named_struct(), Marks::OfFields);
    of_values.chain(std::iter::once(records)).collect()
}

/// Arrays of what is given.
pub(in crate::query) fn array() -> ScalarUDF {
    marked(make_array(), Marks::OfAny)
}

/// Arrays put behind each other.
pub(in crate::query) fn arrays() -> ScalarUDF {
    marked(nested::concat::array_concat_udf(), Marks::OfAny)
}

fn make_array() -> Arc<ScalarUDF> {
    nested::make_array::make_array_udf()
}

fn marked(inner: Arc<ScalarUDF>, marks: Marks) -> ScalarUDF {
    ScalarUDF::new_from_impl(Marked { inner, marks })
}

/// Which arguments tell what the result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Marks {
    /// The first one that is marked tells it of the whole result.
    OfAny,
    /// Every second one tells it of a field.
    OfFields,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Marked {
    inner: Arc<ScalarUDF>,
    marks: Marks,
}

impl Marked {
    /// Whether values of such types get their common one later.
    fn waits(&self, types: &[DataType]) -> bool {
        let (array, choice) = (self.name() == "make_array", self.name() == "coalesce");
        let record = |t: &DataType| t.is_null() || matches!(t, DataType::Struct(_));
        let moments = || are_moments_and_texts(&types.iter().collect::<Vec<_>>());
        (choice || array) && (types.iter().all(record) || moments())
    }
}

/// What the first of some fields that is marked says.
pub(in crate::query) fn first_mark(fields: &[FieldRef]) -> Option<&HashMap<String, String>> {
    let mut metadata = fields.iter().map(|f| f.metadata());
    metadata.find(|m| m.contains_key(wire::EXTENSION_NAME))
}

/// An array of structs that are to become one type has elements of that.
fn of_structs(array: FieldRef, given: &[FieldRef]) -> Result<FieldRef> {
    let mut structs = given.iter().filter(|f| !f.data_type().is_null());
    let Some(first) = structs
        .next()
        .filter(|f| matches!(f.data_type(), DataType::Struct(_)))
    else {
        return Ok(array);
    };
    if given.iter().all(|f| f.data_type() == first.data_type()) {
        return Ok(array);
    }
    let kind = if structs.all(|f| f.data_type() == first.data_type()) {
        first.data_type().clone()
    } else {
        let all: Vec<&Field> = given.iter().map(AsRef::as_ref).collect();
        let Some(both) = common(&all) else {
            return plan_err!("Array elements of different types do not have a common supertype");
        };
        both.data_type().clone()
    };
    let array = Field::clone(&array).with_data_type(DataType::new_list(kind, true));
    Ok(Arc::new(array))
}

impl ScalarUDFImpl for Marked {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        // The planner knows no common type of BYTES and nothing.
        let mut known = types.iter().filter(|t| !t.is_null());
        match known.next() {
            Some(first) if self.marks == Marks::OfAny && known.all(|t| t == first) => {
                Ok(vec![first.clone(); types.len()])
            }
            // Structs that differ, and dates beside literal texts, are made the same once their query is planned.
            Some(_) if self.waits(types) => Ok(types.to_vec()),
            _ => self.inner.coerce_types(types),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let given = args.arg_fields;
        let field = self.inner.return_field_from_args(args)?;
        let field = match self.name() {
            "make_array" => of_structs(field, given)?,
            _ => field,
        };
        match (self.marks, field.data_type()) {
            (Marks::OfAny, _) => Ok(match first_mark(given) {
                Some(mark) => Arc::new(Field::clone(&field).with_metadata(mark.clone())),
                None => field,
            }),
            (Marks::OfFields, DataType::Struct(children)) => {
                let values = given.iter().skip(1).step_by(2);
                let child = |(child, value): (&FieldRef, &FieldRef)| {
                    Field::clone(child).with_metadata(value.metadata().clone())
                };
                let children = children.iter().zip(values).map(child).collect();
                let record = DataType::Struct(children);
                Ok(Arc::new(Field::clone(&field).with_data_type(record)))
            }
            (Marks::OfFields, _) => Ok(field),
        }
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(
        &self,
        args: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
