//! `CREATE FUNCTION` and `DROP FUNCTION`.

use serde_json::{Map, Value, json};

use super::kept_routines::{Made, check, of_routine};
use super::{Effect, unsupported};
use crate::catalog::CatalogError;
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::ast::{self, CreateFunction, CreateFunctionBody, Expr, FunctionReturnType};
use crate::query::{self, rewrite::routines, sql_types};

const SCALAR: &str = "SCALAR_FUNCTION";

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
    for argument in create.args.iter().flatten() {
        let name = argument.name.as_ref().map(|n| n.value.clone());
        let any = argument
            .data_type
            .to_string()
            .eq_ignore_ascii_case("ANY TYPE");
        let mut described = json!({"name": name});
        if any {
            described["argumentKind"] = json!("ANY_TYPE");
        } else {
            let field = sql_types::column("value", &argument.data_type)?;
            described["dataType"] = routines::described(&field);
        }
        arguments.push(described);
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
        let field = sql_types::column("value", returns)?;
        resource.insert("returnType".to_owned(), routines::described(&field));
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
    let text = |value: &Expr| match value {
        Expr::Value(value) => value.value.clone().into_string().ok_or_else(refused),
        _ => Err(refused()),
    };
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
    let parts = query::name_parts(&function.name)?;
    let name = routines::routine_name(&parts, &running.defaults)?;
    let catalog = running.work.catalog;
    let gone = catalog.routine(&name).and_then(|resource| {
        let kind = resource.get("routineType").and_then(Value::as_str);
        match kind.is_none_or(|kind| kind == SCALAR) {
            false => Err(CatalogError::RoutineNotFound {
                routine: name.clone(),
            }),
            true if running.is_dry_run() => Ok(()),
            true => catalog.delete_routine(&name),
        }
    });
    match gone {
        Ok(()) => Ok(of_routine("DROP_FUNCTION", "DROP", &name)),
        Err(CatalogError::RoutineNotFound { .. }) if drop.if_exists => {
            Ok(of_routine("DROP_FUNCTION", "SKIP", &name))
        }
        Err(e) => Err(e.into()),
    }
}
