//! `CREATE PROCEDURE` and `DROP PROCEDURE`.

use serde_json::{Map, Value, json};

use super::kept_routines::{Dropped, Made, argument, description};
use super::{Effect, refuse_half, unsupported};
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::ast::{Expr, ObjectName, SqlOption};
use crate::query::script::{self, CreateProcedure, Way};
use crate::query::{self, rewrite::routines};

const KIND: &str = "PROCEDURE";

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
        let mut described = argument(&name.value, data_type.as_ref())?;
        described["mode"] = json!(mode);
        arguments.push(described);
    }
    let mut resource = Map::from_iter([
        ("routineType".to_owned(), json!(KIND)),
        ("language".to_owned(), json!("SQL")),
        ("arguments".to_owned(), Value::Array(arguments)),
        ("definitionBody".to_owned(), json!(create.body)),
    ]);
    for option in &create.options {
        if let Some(text) = description(option) {
            resource.insert("description".to_owned(), json!(text));
            continue;
        }
        match option {
            SqlOption::KeyValue {
                key,
                value: Expr::Value(value),
            } if key.value.eq_ignore_ascii_case("strict_mode") => {
                let strict = value.to_string().eq_ignore_ascii_case("true");
                resource.insert("strictMode".to_owned(), json!(strict));
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
    let dropped = Dropped {
        statement: "DROP_PROCEDURE",
        kind: KIND,
        if_exists,
    };
    dropped.drop(running, name)
}
