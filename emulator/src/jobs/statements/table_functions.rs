//! `CREATE TABLE FUNCTION` and `DROP TABLE FUNCTION`.

use serde_json::{Map, Value, json};

use super::kept_routines::{Made, check, of_routine};
use super::{Effect, invalid, unsupported};
use crate::catalog::CatalogError;
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::ast::{Expr, ObjectName, SqlOption};
use crate::query::statements::table_functions::{CreateTableFunction, TableFunction};
use crate::query::{self, rewrite::routines, sql_types};

const KIND: &str = "TABLE_VALUED_FUNCTION";

pub(super) fn run(
    running: &Running<'_, '_>,
    statement: &TableFunction,
) -> Result<Effect, JobError> {
    match statement {
        TableFunction::Create(create) => keep(running, create),
        TableFunction::Drop { if_exists, name } => drop(running, *if_exists, name),
    }
}

fn keep(running: &Running<'_, '_>, create: &CreateTableFunction) -> Result<Effect, JobError> {
    let mut arguments = Vec::new();
    for (name, data_type) in &create.arguments {
        let mut described = json!({"name": name.value});
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
        ("routineType".to_owned(), json!(KIND)),
        ("language".to_owned(), json!("SQL")),
        ("arguments".to_owned(), Value::Array(arguments)),
        ("definitionBody".to_owned(), json!(create.body.to_string())),
    ]);
    if let Some(columns) = &create.returns {
        let columns = columns.iter().map(|(name, data_type)| {
            let field = sql_types::column("value", data_type)?;
            Ok::<_, JobError>(json!({"name": name.value, "type": routines::described(&field)}))
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        resource.insert("returnTableType".to_owned(), json!({"columns": columns}));
    }
    for option in &create.options {
        match option {
            SqlOption::KeyValue {
                key,
                value: Expr::Value(value),
            } if key.value.eq_ignore_ascii_case("description") => {
                let text = value.value.clone().into_string();
                resource.insert("description".to_owned(), json!(text));
            }
            other => {
                return Err(unsupported(format!(
                    "the option {other} of a table function"
                )));
            }
        }
    }
    check(running, &resource)?;
    let parts = query::name_parts(&create.name)?;
    let name = routines::routine_name(&parts, &running.defaults)?;
    let made = Made {
        statement: "CREATE_TABLE_FUNCTION",
        or_replace: create.or_replace,
        if_not_exists: create.if_not_exists,
    };
    made.keep(running, &name, resource)
}

fn drop(running: &Running<'_, '_>, if_exists: bool, name: &ObjectName) -> Result<Effect, JobError> {
    let parts = query::name_parts(name)?;
    let name = routines::routine_name(&parts, &running.defaults)?;
    let catalog = running.work.catalog;
    match catalog.routine(&name) {
        Ok(resource) if resource.get("routineType") != Some(&json!(KIND)) => {
            Err(invalid(format!("Not found: Table function {name}")))
        }
        Ok(_) => {
            if !running.is_dry_run() {
                catalog.delete_routine(&name)?;
            }
            Ok(of_routine("DROP_TABLE_FUNCTION", "DROP", &name))
        }
        Err(CatalogError::RoutineNotFound { .. }) if if_exists => {
            Ok(of_routine("DROP_TABLE_FUNCTION", "SKIP", &name))
        }
        Err(e) => Err(e.into()),
    }
}
