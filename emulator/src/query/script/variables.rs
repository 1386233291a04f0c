//! The variables of a script in a query: each is a function without arguments that gives its value.
//!
//! Must not know how a script runs.

use std::hash::{Hash, Hasher};

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result as Planned, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::sql::sqlparser::ast::Expr;

use crate::lengths::{self, TooLong};
use crate::query::rewrite::build;
use crate::query::rewrite::names::same;
use crate::schema::FieldSchema;

/// What names of system variables begin with.
pub(crate) const SYSTEM: &str = "@@";

/// A variable and what it holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    pub name: String,
    /// Its type as a column.
    pub field: FieldRef,
    pub value: ScalarValue,
    /// The type, where it says how long texts or bytes may be.
    pub bounds: Option<FieldSchema>,
}

impl Variable {
    /// Puts another value into it.
    ///
    /// # Errors
    /// [`TooLong`] for a text or bytes that are longer than its type allows.
    pub fn hold(&mut self, value: ScalarValue) -> Result<(), TooLong> {
        if let (Some(bounds), Ok(one)) = (&self.bounds, value.to_array()) {
            lengths::check_column(bounds, &one)?;
        }
        self.value = value;
        Ok(())
    }
}

/// The call that gives the value of the innermost variable of a name.
pub(in crate::query) fn find(variables: &[Variable], name: &str) -> Option<Expr> {
    let index = variables.iter().rposition(|v| same(&v.name, name))?;
    Some(call(index))
}

/// The call that gives the value of a system variable or parameter by its name, signs included, or of a field of it.
pub(in crate::query) fn named(variables: &[Variable], name: &str, path: &[String]) -> Option<Expr> {
    // Names of system variables have dots in them.
    let whole = path
        .iter()
        .fold(name.to_owned(), |name, part| format!("{name}.{part}"));
    if let Some(call) = find(variables, &whole) {
        return Some(call);
    }
    let call = find(variables, name)?;
    Some(path.iter().fold(call, |value, field| {
        build::call("millpond_field", vec![value, build::text(field)])
    }))
}

/// The call that gives the value of a variable.
fn call(index: usize) -> Expr {
    build::call(&function_name(index), Vec::new())
}

fn function_name(index: usize) -> String {
    format!("millpond_variable_{index}")
}

/// The functions that give the values of variables.
pub(in crate::query) fn functions(variables: &[Variable]) -> impl Iterator<Item = ScalarUDF> + '_ {
    variables.iter().enumerate().map(|(index, variable)| {
        let field = FieldRef::new(variable.field.as_ref().clone().with_nullable(true));
        held(function_name(index), field, variable.value.clone())
    })
}

/// A function without arguments that gives a value.
pub(in crate::query) fn held(name: String, field: FieldRef, value: ScalarValue) -> ScalarUDF {
    ScalarUDF::new_from_impl(Held {
        name,
        value,
        field,
        signature: Signature::nullary(Volatility::Immutable),
    })
}

#[derive(Debug)]
struct Held {
    name: String,
    value: ScalarValue,
    field: FieldRef,
    signature: Signature,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Held {}

impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Held {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Planned<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Planned<FieldRef> {
        Ok(FieldRef::clone(&self.field))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Planned<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}
