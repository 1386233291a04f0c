//! `CREATE FUNCTION` and `DROP FUNCTION`.

use serde_json::{Map, Value, json};

use super::function_bodies::check;
use super::kept_routines::{self, Dropped, Made, argument, described};
use super::{Effect, unsupported};
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::ast::{self, CreateFunction, CreateFunctionBody, Expr, FunctionReturnType};
use crate::query::{self, rewrite::routines};

/// What a function of a value is called, and a routine that does not say what it is.
pub(super) const SCALAR: &str = "SCALAR_FUNCTION";

/// `CREATE [TEMP] FUNCTION name(arguments) [RETURNS type] AS (expression)`; a function in another language is kept, not called.
pub(super) fn create_function(
    running: &mut Running<'_, '_>,
    create: &CreateFunction,
) -> Result<Effect, JobError> {
    if create.remote_connection.is_some() {
        return Err(unsupported("CREATE FUNCTION with a connection"));
    }
    let body = match &create.function_body {
        Some(
            CreateFunctionBody::AsBeforeOptions { body, .. }
            | CreateFunctionBody::AsAfterOptions(body),
        ) => body,
        _ => return Err(unsupported("CREATE FUNCTION without a body")),
    };
    let language = create.language.as_ref().map(|l| l.value.to_uppercase());
    let (language, body) = match (language.as_deref(), body) {
        (None | Some("SQL"), Expr::Nested(body)) => ("SQL", body.to_string()),
        (None | Some("SQL"), body) => ("SQL", body.to_string()),
        (Some("JS"), Expr::Value(text)) => {
            let text = text.clone().into_string();
            ("JAVASCRIPT", text.unwrap_or_default())
        }
        (Some(other), _) => return Err(unsupported(format!("a function in {other}"))),
    };
    let mut arguments = Vec::new();
    for given in create.args.iter().flatten() {
        let name = given.name.as_ref().map_or("", |name| &name.value);
        let any = given.data_type.to_string();
        let any = any.eq_ignore_ascii_case("ANY TYPE");
        let data_type = (!any).then_some(&given.data_type);
        arguments.push(argument(name, data_type)?);
    }
    let mut resource = Map::from_iter([
        ("routineType".to_owned(), json!(SCALAR)),
        ("language".to_owned(), json!(language)),
        ("arguments".to_owned(), Value::Array(arguments)),
        ("definitionBody".to_owned(), json!(body)),
    ]);
    for option in create.options.iter().flatten() {
        let (key, value) = function_option(option)?;
        resource.insert(key.to_owned(), value);
    }
    if let Some(FunctionReturnType::DataType(returns)) = &create.return_type {
        resource.insert("returnType".to_owned(), described(returns)?);
    }
    check(running, &resource)?;
    let parts = query::name_parts(&create.name)?;
    if create.temporary {
        let name = parts.join(".").to_ascii_lowercase();
        running.defaults.functions.insert(name, resource);
        return Ok(Effect::named("CREATE_FUNCTION"));
    }
    let name = routines::routine_name(&parts, &running.defaults)?;
    let made = Made {
        statement: "CREATE_FUNCTION",
        or_replace: create.or_replace,
        if_not_exists: create.if_not_exists,
    };
    made.keep(running, &name, resource)
}

/// A member of a routine that an option makes.
fn function_option(option: &ast::SqlOption) -> Result<(&'static str, Value), JobError> {
    let refused = || unsupported(format!("the option {option} of a function"));
    let ast::SqlOption::KeyValue { key, value } = option else {
        return Err(refused());
    };
    let text = |value: &Expr| kept_routines::text(value).ok_or_else(refused);
    match (key.value.to_ascii_lowercase().as_str(), value) {
        ("description", value) => Ok(("description", json!(text(value)?))),
        ("library", Expr::Array(all)) => {
            let all = all.elem.iter().map(text);
            Ok((
                "importedLibraries",
                json!(all.collect::<Result<Vec<_>, _>>()?),
            ))
        }
        ("library", value) => Ok(("importedLibraries", json!([text(value)?]))),
        _ => Err(refused()),
    }
}

/// `DROP FUNCTION name`.
pub(super) fn drop_function(
    running: &Running<'_, '_>,
    drop: &ast::DropFunction,
) -> Result<Effect, JobError> {
    let [function] = drop.func_desc.as_slice() else {
        return Err(unsupported("DROP of several things"));
    };
    let dropped = Dropped {
        statement: "DROP_FUNCTION",
        kind: SCALAR,
        if_exists: drop.if_exists,
    };
    dropped.drop(running, &function.name)
}
