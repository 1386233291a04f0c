//! BigQuery's scalar functions that DataFusion does not have, or has with another meaning.
//!
//! Owns how a function is described to the planner; what each one computes is below. Must not know about tables or requests.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

mod angles;
mod bits;
mod calendar;
mod casts;
mod chains;
mod cuts;
mod dates;
mod decimal_powers;
pub(super) mod decimals;
mod encodings;
mod formats;
mod hashes;
mod hll;
mod joining;
mod json_edits;
mod json_lists;
mod json_parts;
mod json_paths;
mod jsons;
mod letters;
mod lists;
pub(super) mod marks;
mod members;
mod membership;
mod models;
mod networks;
mod normal_forms;
mod number_models;
mod numbers;
mod parts;
mod patterns;
mod pieces;
mod places;
mod ranges;
mod regexps;
mod safely;
mod series;
mod spans;
mod texts;
mod time_formats;
mod values;
mod words;

pub(crate) use casts::{PREFIX, assign};
pub(super) use chains::{called, field, names_within};
pub(super) use dates::DAYS_OF_WEEK;
pub(super) use safely::SAFELY;

/// The arguments of a call, all of one length.
struct Call {
    arrays: Vec<ArrayRef>,
    fields: Vec<FieldRef>,
    /// What the function said it would return.
    returns: FieldRef,
    rows: usize,
}

impl Call {
    fn array(&self, at: usize) -> Result<&ArrayRef> {
        self.arrays
            .get(at)
            .ok_or_else(|| exec_datafusion_err!("argument {} is missing", at + 1))
    }

    fn field(&self, at: usize) -> Result<&FieldRef> {
        self.fields
            .get(at)
            .ok_or_else(|| exec_datafusion_err!("argument {} is missing", at + 1))
    }

    fn texts(&self, at: usize) -> Result<StringArray> {
        let array = self.array(at)?;
        match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
            }
            other => exec_err!("argument {} must be STRING, not {other}", at + 1),
        }
    }

    fn integers(&self, at: usize) -> Result<Int64Array> {
        let array = self.array(at)?;
        if array.data_type().is_integer() || array.data_type().is_null() {
            let array = cast(array, &DataType::Int64)?;
            return Ok(array.as_primitive::<Int64Type>().clone());
        }
        exec_err!(
            "argument {} must be INT64, not {}",
            at + 1,
            array.data_type()
        )
    }

    /// The same call for one of its rows.
    fn row(&self, row: usize) -> Self {
        Self {
            arrays: self.arrays.iter().map(|a| a.slice(row, 1)).collect(),
            fields: self.fields.clone(),
            returns: Arc::clone(&self.returns),
            rows: 1,
        }
    }

    /// A text that is the same for all rows, such as the name of a date part.
    fn word(&self, at: usize) -> Result<String> {
        let texts = self.texts(at)?;
        match texts.iter().next().flatten() {
            Some(text) => Ok(text.to_ascii_uppercase()),
            None => exec_err!("argument {} must be a name", at + 1),
        }
    }
}

type Returns = fn(&ReturnFieldArgs<'_>) -> Result<FieldRef>;
type Body = fn(&Call) -> Result<ArrayRef>;

/// One function: its name in the planner, how many arguments it takes, and what it does.
struct Function {
    name: &'static str,
    arguments: &'static [usize],
    returns: Returns,
    body: Body,
    signature: Signature,
}

impl Function {
    fn made(
        name: &'static str,
        arguments: &'static [usize],
        returns: Returns,
        body: Body,
    ) -> ScalarUDF {
        Self::with_volatility(name, arguments, returns, body, Volatility::Immutable)
    }

    fn with_volatility(
        name: &'static str,
        arguments: &'static [usize],
        returns: Returns,
        body: Body,
        volatility: Volatility,
    ) -> ScalarUDF {
        let signatures = arguments
            .iter()
            .map(|count| match count {
                0 => TypeSignature::Nullary,
                n => TypeSignature::Any(*n),
            })
            .collect();
        ScalarUDF::new_from_impl(Self {
            name,
            arguments,
            returns,
            body,
            signature: Signature::one_of(signatures, volatility),
        })
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

// Names are unique, so they tell functions apart.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of {} follows from its arguments", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        (self.returns)(&args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = !args.args.is_empty()
            && args
                .args
                .iter()
                .all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        if rows == 0 {
            let none = arrow::array::new_empty_array(args.return_field.data_type());
            return Ok(ColumnarValue::Array(none));
        }
        let arrays = args
            .args
            .iter()
            .map(|a| plain_text(a.to_array(rows)?))
            .collect::<Result<Vec<_>>>()?;
        let array = (self.body)(&Call {
            arrays,
            fields: args.arg_fields,
            returns: args.return_field,
            rows,
        })?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &array, 0,
            )?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// Texts of one kind: aggregates of the planner's give long ones.
fn plain_text(array: ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::LargeUtf8 | DataType::Utf8View => Ok(cast(&array, &DataType::Utf8)?),
        _ => Ok(array),
    }
}

/// Every function, to be registered with a planner.
pub(super) fn all() -> Vec<ScalarUDF> {
    let families = [
        angles::functions(),
        bits::functions(),
        calendar::functions(),
        casts::functions(),
        cuts::functions(),
        dates::functions(),
        decimals::functions(),
        encodings::functions(),
        formats::functions(),
        hashes::functions(),
        hll::functions(),
        joining::functions(),
        json_edits::functions(),
        json_lists::functions(),
        json_paths::functions(),
        jsons::functions(),
        letters::functions(),
        lists::functions(),
        members::functions(),
        membership::functions(),
        models::functions(),
        networks::functions(),
        normal_forms::functions(),
        numbers::functions(),
        parts::functions(),
        patterns::functions(),
        pieces::functions(),
        places::functions(),
        ranges::functions(),
        regexps::functions(),
        series::functions(),
        spans::functions(),
        texts::functions(),
        values::functions(),
        words::functions(),
    ];
    families.into_iter().flatten().collect()
}

/// The same functions, with a null for every row that they fail for.
pub(super) fn all_safely() -> Vec<ScalarUDF> {
    safely::functions(&all())
}

/// A function by its name in the planner.
pub(super) fn named(name: &str) -> Result<Arc<ScalarUDF>> {
    /// Made once: every operator of a query asks for one.
    static ALL: LazyLock<HashMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
        let named = |f: ScalarUDF| (f.name().to_owned(), Arc::new(f));
        all().into_iter().map(named).collect()
    });
    ALL.get(name)
        .cloned()
        .ok_or_else(|| exec_datafusion_err!("there is no function {name}"))
}

fn nullable(data_type: DataType) -> Result<FieldRef> {
    Ok(Arc::new(Field::new("value", data_type, true)))
}

fn text(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Utf8)
}

fn integer(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Int64)
}

fn float(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Float64)
}

/// The field of an argument.
fn argument<'a>(args: &'a ReturnFieldArgs<'_>, at: usize) -> Result<&'a FieldRef> {
    args.arg_fields
        .get(at)
        .ok_or_else(|| exec_datafusion_err!("argument {} is missing", at + 1))
}

/// A text that the query itself holds.
fn constant(args: &ReturnFieldArgs<'_>, at: usize) -> Result<String> {
    let given = args.scalar_arguments.get(at).copied().flatten();
    given
        .and_then(|value| value.try_as_str().flatten())
        .map(str::to_owned)
        .ok_or_else(|| exec_datafusion_err!("argument {} must be a constant", at + 1))
}

/// Applies `one` to every value that is there.
fn each<T, U>(
    values: impl IntoIterator<Item = Option<T>>,
    one: impl Fn(T) -> Result<U>,
) -> Result<Vec<Option<U>>> {
    values
        .into_iter()
        .map(|value| value.map(&one).transpose())
        .collect()
}

fn external(message: String) -> DataFusionError {
    DataFusionError::Execution(message)
}
