//! Whether the bodies of functions mean anything, asked when they are made.

use arrow::array::new_null_array;
use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use serde_json::{Map, Value};

use super::invalid;
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::rewrite::routines;
use crate::query::{self, QueryError, sql_types};
use crate::schema::FieldSchema;

/// The name of a function while it is checked.
const CHECKED: &str = "millpond_checked";

/// Refuses a function or a table function whose body does not mean anything, by a call with values that are missing. What any type of argument
/// may make of it is only known where it is called, as is what this emulator does not have.
///
/// # Errors
/// What is wrong with the body, or a result that does not become what the function is to return.
pub(super) fn check(
    running: &Running<'_, '_>,
    resource: &Map<String, Value>,
) -> Result<(), JobError> {
    let text = |key: &str| resource.get(key).and_then(Value::as_str);
    if text("language") != Some("SQL") {
        return Ok(());
    }
    let mut given = Vec::new();
    let arguments = resource.get("arguments").and_then(Value::as_array);
    for argument in arguments.into_iter().flatten() {
        match &argument["dataType"] {
            Value::Null => return Ok(()),
            kind => given.push(routines::column("value", kind)?),
        }
    }
    let mut body = resource.clone();
    let returns = body.remove("returnType");
    let mut defaults = running.defaults.clone();
    defaults.functions.insert(CHECKED.to_owned(), body);
    let query = match text("routineType") {
        Some("TABLE_VALUED_FUNCTION") => routines::rows_of(CHECKED, &given)?,
        _ => routines::value_of(CHECKED, &given)?,
    };
    let planned = query::plan(running.work.catalog, query, &defaults, &running.parameters);
    let planned = match running.handle.block_on(planned) {
        Ok(planned) => planned,
        Err(QueryError::Unsupported { .. }) => return Ok(()),
        Err(QueryError::Plan(e)) if matches!(e.find_root(), DataFusionError::NotImplemented(_)) => {
            return Ok(());
        }
        Err(e) => return Err(e.into()),
    };
    let own = planned.untyped();
    if let (Some(returns), [own]) = (returns, &own.schema.fields()[..]) {
        let to = routines::column("value", &returns)?;
        let field = to.to_arrow();
        let days = |kind: &DataType| matches!(kind, DataType::Date32 | DataType::Timestamp(_, _));
        let coerced = days(own.data_type()) && days(field.data_type());
        let none = new_null_array(own.data_type(), 1);
        if !coerced && query::assign(&none, own, &field).is_err() {
            return Err(invalid(format!(
                "Function declared to return {} but the function body produces incompatible type {}",
                sql_types::shown(&to),
                sql_types::shown(&FieldSchema::from_arrow(own))
            )));
        }
    }
    Ok(())
}
