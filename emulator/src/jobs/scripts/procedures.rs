//! `CALL`: the body of a procedure with its own variables.

use serde_json::Value;

use super::system_procedures::System;
use super::{invalid, is_system};
use crate::catalog::CatalogError;
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::ast::{Expr, ObjectName};
use crate::query::script::Step;
use crate::query::script::variables::Variable;
use crate::query::{self, QueryError, rewrite::routines};
use datafusion::common::ScalarValue;

/// Procedures in procedures, so many of them; the service has the same bound.
const MAX_DEPTH: usize = 50;

impl Running<'_, '_> {
    pub(super) fn call(
        &mut self,
        step: &Step,
        name: &ObjectName,
        given: &[Expr],
    ) -> Result<(), JobError> {
        let parts = query::name_parts(name)?;
        if let Some(own) = System::of(&parts)? {
            return self.system_call(step, own, given);
        }
        let shown = parts.join(".");
        let missing = || invalid(format!("Procedure is not found: {shown}"));
        let routine = routines::routine_name(&parts, &self.defaults)?;
        let resource = match self.work.catalog.routine(&routine) {
            Ok(resource) => resource,
            Err(CatalogError::RoutineNotFound { .. }) => return Err(missing()),
            Err(e) => return Err(e.into()),
        };
        let text = |key: &str| resource.get(key).and_then(Value::as_str);
        if text("routineType") != Some("PROCEDURE") {
            return Err(missing());
        }
        if let Some(language) = text("language").filter(|l| *l != "SQL") {
            return Err(QueryError::Unsupported {
                construct: format!("a call of {shown}, which is written in {language},"),
            }
            .into());
        }
        let body = query::script::body(text("definitionBody").unwrap_or_default())?;
        let declared = resource.get("arguments").and_then(Value::as_array);
        let declared = declared.map(Vec::as_slice).unwrap_or_default();
        if declared.len() != given.len() {
            return Err(invalid(format!(
                "Procedure {shown} expects {} arguments, but {} were given",
                declared.len(),
                given.len()
            )));
        }
        let mut own = Vec::new();
        let mut outs: Vec<(String, String)> = Vec::new();
        for (argument, value) in declared.iter().zip(given) {
            let name = argument["name"].as_str().unwrap_or_default().to_owned();
            let mode = argument["mode"].as_str().unwrap_or("IN");
            let to = match &argument["dataType"] {
                Value::Null => None,
                kind => Some(routines::column("value", kind)?.to_arrow()),
            };
            if mode != "IN" {
                let Expr::Identifier(variable) = value else {
                    return Err(invalid(format!(
                        "The argument {name} of {shown} must be a variable"
                    )));
                };
                outs.push((variable.value.clone(), name.clone()));
            }
            let (field, value) = match (mode, &to) {
                ("OUT", Some(to)) => {
                    let none = ScalarValue::try_from(to.data_type());
                    (to.clone().into(), none.map_err(super::values::broken)?)
                }
                _ => self.value(step, value, to.as_ref())?,
            };
            own.push(Variable {
                name,
                field,
                value,
                bounds: None,
            });
        }
        if self.procedures == MAX_DEPTH {
            return Err(invalid(format!(
                "Procedures are nested deeper than {MAX_DEPTH} levels"
            )));
        }
        let all = std::mem::take(&mut self.defaults.variables);
        let (system, before): (Vec<_>, Vec<_>) = all.into_iter().partition(|v| is_system(&v.name));
        let system_len = system.len();
        self.defaults.variables = system;
        self.defaults.variables.extend(own);
        self.procedures += 1;
        let outcome = self.steps(&body);
        self.procedures -= 1;
        let own = self.defaults.variables.split_off(system_len);
        self.defaults.variables.extend(before);
        outcome?;
        for (variable, argument) in outs {
            let value = own.iter().find(|v| v.name == argument);
            if let Some(value) = value {
                let array = value.value.to_array().map_err(super::values::broken)?;
                let fields = vec![value.field.as_ref().clone()].into();
                self.take_row(&[variable], &fields, &[array])?;
            }
        }
        Ok(())
    }
}
