//! `CREATE TABLE FUNCTION` and `DROP TABLE FUNCTION`.

use serde_json::{Map, Value, json};

use super::function_bodies::check;
use super::kept_routines::{Dropped, Made, argument, described, description};
use super::{Effect, unsupported};
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::statements::table_functions::{CreateTableFunction, TableFunction};
use crate::query::{self, rewrite::routines};

const KIND: &str = "TABLE_VALUED_FUNCTION";

pub(super) fn run(
    running: &Running<'_, '_>,
    statement: &TableFunction,
) -> Result<Effect, JobError> {
    match statement {
        TableFunction::Create(create) => keep(running, create),
        TableFunction::Drop { if_exists, name } => {
            let dropped = Dropped {
                statement: "DROP_TABLE_FUNCTION",
                kind: KIND,
                if_exists: *if_exists,
            };
            dropped.drop(running, name)
        }
    }
}

fn keep(running: &Running<'_, '_>, create: &CreateTableFunction) -> Result<Effect, JobError> {
    let mut arguments = Vec::new();
    for (name, data_type) in &create.arguments {
        arguments.push(argument(&name.value, data_type.as_ref())?);
    }
    let mut resource = Map::from_iter([
        ("routineType".to_owned(), json!(KIND)),
        ("language".to_owned(), json!("SQL")),
        ("arguments".to_owned(), Value::Array(arguments)),
        ("definitionBody".to_owned(), json!(create.body.to_string())),
    ]);
    if let Some(columns) = &create.returns {
        let columns = columns.iter().map(|(name, data_type)| {
            Ok::<_, JobError>(json!({"name": name.value, "type": described(data_type)?}))
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        resource.insert("returnTableType".to_owned(), json!({"columns": columns}));
    }
    for option in &create.options {
        let refused = || unsupported(format!("the option {option} of a table function"));
        let text = description(option).ok_or_else(refused)?;
        resource.insert("description".to_owned(), json!(text));
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
