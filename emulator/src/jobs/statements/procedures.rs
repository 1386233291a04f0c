//! `CREATE PROCEDURE` and `DROP PROCEDURE`.

use serde_json::{Map, Value, json};

use super::kept_routines::{Made, of_routine};
use super::{Effect, invalid, refuse_half, unsupported};
use crate::catalog::CatalogError;
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::ast::{Expr, ObjectName, SqlOption};
use crate::query::script::{self, CreateProcedure, Way};
use crate::query::{self, rewrite::routines, sql_types};

/// Keeps a procedure.
pub(in crate::jobs) fn create_procedure(
    running: &mut Running<'_, '_>,
    create: &CreateProcedure,
) -> Result<Effect, JobError> {
    refuse_half(running, &format!("CREATE PROCEDURE {}", create.name))?;
    // What cannot be read is refused now.
    script::body(&create.body)?;
    let mut arguments = Vec::new();
    for (way, name, data_type) in &create.arguments {
        let mode = match way {
            Way::In => "IN",
            Way::Out => "OUT",
            Way::InOut => "INOUT",
        };
        let mut described = json!({"name": name.value, "mode": mode});
        match data_type {
            None => described["argumentKind"] = json!("ANY_TYPE"),
            Some(data_type) => {
                let field = sql_types::column("value", data_type)?;
                described["dataType"] = routines::described(&field);
            }
        }
        arguments.push(described);
    }
    let mut resource = Map::from_iter([
        ("routineType".to_owned(), json!("PROCEDURE")),
        ("language".to_owned(), json!("SQL")),
        ("arguments".to_owned(), Value::Array(arguments)),
        ("definitionBody".to_owned(), json!(create.body)),
    ]);
    for option in &create.options {
        let SqlOption::KeyValue { key, value } = option else {
            return Err(unsupported(format!("the option {option}")));
        };
        match (key.value.to_ascii_lowercase().as_str(), value) {
            ("strict_mode", Expr::Value(value)) => {
                let strict = value.to_string().eq_ignore_ascii_case("true");
                resource.insert("strictMode".to_owned(), json!(strict));
            }
            ("description", Expr::Value(value)) => {
                let text = value.value.clone().into_string();
                resource.insert("description".to_owned(), json!(text));
            }
            _ => return Err(unsupported(format!("the option {option} of a procedure"))),
        }
    }
    let parts = query::name_parts(&create.name)?;
    let name = routines::routine_name(&parts, &running.defaults)?;
    let made = Made {
        statement: "CREATE_PROCEDURE",
        or_replace: create.or_replace,
        if_not_exists: create.if_not_exists,
    };
    made.keep(running, &name, resource)
}

/// Drops a procedure.
pub(in crate::jobs) fn drop_procedure(
    running: &mut Running<'_, '_>,
    if_exists: bool,
    name: &ObjectName,
) -> Result<Effect, JobError> {
    refuse_half(running, &format!("DROP PROCEDURE {name}"))?;
    let parts = query::name_parts(name)?;
    let name = routines::routine_name(&parts, &running.defaults)?;
    let catalog = running.work.catalog;
    let missing = || invalid(format!("Not found: Routine {name}"));
    match catalog.routine(&name) {
        Ok(resource) if resource.get("routineType") != Some(&json!("PROCEDURE")) => Err(missing()),
        Ok(_) => {
            catalog.delete_routine(&name)?;
            Ok(of_routine("DROP_PROCEDURE", "DROP", &name))
        }
        Err(CatalogError::RoutineNotFound { .. }) if if_exists => {
            Ok(of_routine("DROP_PROCEDURE", "SKIP", &name))
        }
        Err(e) => Err(e.into()),
    }
}
