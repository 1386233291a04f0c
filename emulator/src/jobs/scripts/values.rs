//! What expressions of a script give, and what its variables hold.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{DataFusionError, ScalarValue};
use futures::TryStreamExt;
use serde_json::json;

use super::{invalid, is_system, is_true};
use crate::catalog::micros;
use crate::jobs::query::{Running, columns, statistics};
use crate::jobs::{Done, JobError};
use crate::query::ast::{Expr, Query};
use crate::query::script::variables::{SYSTEM, Variable};
use crate::query::script::{self, Step, same};
use crate::query::{self, QueryError};
use crate::schema::FieldSchema;

/// A value and its type as a column.
pub(super) type Typed = (FieldRef, ScalarValue);

pub(super) fn broken(error: DataFusionError) -> JobError {
    QueryError::Plan(error).into()
}

impl Running<'_, '_> {
    /// The rows of a query of the script's own; `text` is what it is called as a job.
    pub(super) fn rows(
        &mut self,
        step: &Step,
        query: Query,
        text: &str,
    ) -> Result<RecordBatch, JobError> {
        let reads = !query.body.to_string().is_empty() && reads(&query);
        let planned = self.reading(query)?;
        if reads {
            let columns = columns(&planned)?;
            let done = Done {
                statistics: statistics(&planned, &json!({"fields": columns})),
                ..Done::default()
            };
            self.child(step, text, "EXPRESSION", done);
        }
        let planned = planned.untyped();
        let schema = Arc::clone(&planned.schema);
        let batches: Vec<RecordBatch> = self.handle.block_on(async {
            let rows = planned.run().await?;
            rows.try_collect().await
        })?;
        concat_batches(&schema, &batches).map_err(|e| invalid(e.to_string()))
    }

    fn row(&mut self, step: &Step, expr: &Expr) -> Result<RecordBatch, JobError> {
        let text = format!("SELECT {expr}");
        let rows = self.rows(step, script::query_for(expr.clone())?, &text)?;
        match rows.num_rows() {
            1 => Ok(rows),
            _ => Err(invalid(format!("{expr} is not one value"))),
        }
    }

    pub(super) fn truth(&mut self, step: &Step, condition: &Expr) -> Result<bool, JobError> {
        let rows = self.row(step, condition)?;
        if rows
            .columns()
            .first()
            .is_some_and(|c| c.data_type().is_null())
        {
            return Ok(false);
        }
        is_true(&rows)
    }

    /// The text that an expression gives.
    pub(super) fn text(&mut self, step: &Step, expr: &Expr) -> Result<Option<String>, JobError> {
        let to = Field::new("value", DataType::Utf8, true);
        match self.value(step, expr, Some(&to))?.1 {
            ScalarValue::Utf8(text) => Ok(text),
            _ => Err(invalid(format!("{expr} is not of type STRING"))),
        }
    }

    /// What an expression gives, as a variable of type `to` takes it.
    pub(super) fn value(
        &mut self,
        step: &Step,
        expr: &Expr,
        to: Option<&Field>,
    ) -> Result<Typed, JobError> {
        let rows = self.row(step, expr)?;
        let schema = rows.schema();
        let (Some(column), Some(field)) = (rows.columns().first(), schema.fields().first()) else {
            return Err(invalid(format!("{expr} is not one value")));
        };
        assigned(column, field, to)
    }

    pub(super) fn set(&mut self, step: &Step, name: &str, value: &Expr) -> Result<(), JobError> {
        if is_system(name) {
            return self.set_by_script(step, name, value);
        }
        let to = Field::clone(&self.variable(name)?.field);
        let (_, value) = self.value(step, value, Some(&to))?;
        self.hold(name, value)
    }

    /// Puts the fields of a struct into variables.
    pub(super) fn set_fields(
        &mut self,
        step: &Step,
        names: &[String],
        value: &Expr,
    ) -> Result<(), JobError> {
        let rows = self.row(step, value)?;
        let record = rows.columns().first().and_then(|c| c.as_struct_opt());
        let Some(record) = record.filter(|r| r.num_columns() == names.len()) else {
            return Err(invalid(format!(
                "SET of {} variables expects a struct with as many fields",
                names.len()
            )));
        };
        self.take_row(names, record.fields(), record.columns())
    }

    /// Puts the first row of columns into variables, nulls if there is none.
    pub(super) fn take_row(
        &mut self,
        names: &[String],
        fields: &arrow::datatypes::Fields,
        columns: &[ArrayRef],
    ) -> Result<(), JobError> {
        let mut values = Vec::new();
        for ((name, field), column) in names.iter().zip(fields).zip(columns) {
            let to = Field::clone(&self.variable(name)?.field);
            values.push(if column.is_empty() {
                ScalarValue::try_from(to.data_type()).map_err(broken)?
            } else {
                assigned(column, field, Some(&to))?.1
            });
        }
        for (name, value) in names.iter().zip(values) {
            self.hold(name, value)?;
        }
        Ok(())
    }

    fn hold(&mut self, name: &str, value: ScalarValue) -> Result<(), JobError> {
        let held = self.variable(name)?.hold(value);
        held.map_err(|e| invalid(e.to_string()))
    }

    pub(super) fn variable(&mut self, name: &str) -> Result<&mut Variable, JobError> {
        let mut variables = self.defaults.variables.iter_mut().rev();
        variables
            .find(|v| same(&v.name, name))
            .ok_or_else(|| invalid(format!("Undeclared variable: {name}")))
    }

    /// Makes the variables that every text may ask for.
    pub(in crate::jobs) fn make_system(&mut self, session: Option<&str>) {
        let text = |value: Option<&str>| ScalarValue::Utf8(value.map(str::to_owned));
        let dataset = self.defaults.dataset.clone();
        let (project, dataset) = dataset.map_or((None, None), |(p, d)| (Some(p), Some(d)));
        let now = micros(self.work.now);
        let whole = ScalarValue::Int64(Some(0));
        for (name, value) in [
            ("project_id", text(Some(&self.defaults.project))),
            ("dataset_id", text(dataset.as_deref())),
            ("dataset_project_id", text(project.as_deref())),
            ("session_id", text(session)),
            ("time_zone", text(Some("UTC"))),
            ("query_label", text(None)),
            ("row_count", ScalarValue::Int64(None)),
            ("current_job_id", text(Some(self.work.id))),
            ("last_job_id", text(None)),
            ("error.message", text(None)),
            ("error.statement_text", text(None)),
            ("error.formatted_stack_trace", text(None)),
            ("script.job_id", text(Some(self.work.id))),
            ("script.bytes_processed", whole.clone()),
            ("script.bytes_billed", whole.clone()),
            ("script.slot_ms", whole.clone()),
            ("script.num_child_jobs", whole),
            (
                "script.creation_time",
                ScalarValue::TimestampMicrosecond(Some(now), Some("UTC".into())),
            ),
        ] {
            let kind = match &value {
                ScalarValue::Int64(_) => DataType::Int64,
                ScalarValue::Utf8(_) => DataType::Utf8,
                _ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            };
            self.defaults.variables.push(Variable {
                name: format!("{SYSTEM}{name}"),
                field: Arc::new(Field::new("value", kind, true)),
                value,
                bounds: None,
            });
        }
    }

    pub(super) fn set_system(&mut self, name: &str, value: ScalarValue) {
        let name = format!("{SYSTEM}{name}");
        let mut variables = self.defaults.variables.iter_mut();
        if let Some(variable) = variables.find(|v| v.name == name) {
            variable.value = value;
        }
    }

    /// A system variable set by the script itself.
    fn set_by_script(&mut self, step: &Step, name: &str, value: &Expr) -> Result<(), JobError> {
        let name = name.trim_start_matches('@').to_ascii_lowercase();
        let given = self.text(step, value)?;
        match (name.as_str(), &given) {
            ("dataset_id", Some(dataset)) => {
                let default = self.defaults.dataset.take();
                let project = default.map_or(self.defaults.project.clone(), |(p, _)| p);
                self.defaults.dataset = Some((project, dataset.clone()));
            }
            ("dataset_project_id", Some(project)) => {
                if let Some((own, _)) = &mut self.defaults.dataset {
                    own.clone_from(project);
                }
            }
            ("query_label", _) => {}
            ("time_zone", Some(zone)) if zone == "UTC" => {}
            ("time_zone", _) => {
                return Err(QueryError::Unsupported {
                    construct: "another time zone than UTC in @@time_zone".to_owned(),
                }
                .into());
            }
            _ => {
                return Err(invalid(format!(
                    "Cannot assign to system variable @@{name}"
                )));
            }
        }
        self.set_system(&name, ScalarValue::Utf8(given));
        Ok(())
    }

    /// What the variables about the error under way hold.
    pub(super) fn error_variables(&self) -> Vec<Variable> {
        let prefix = format!("{SYSTEM}error.");
        let variables = self.defaults.variables.iter();
        variables
            .filter(|v| v.name.starts_with(&prefix))
            .cloned()
            .collect()
    }

    pub(super) fn restore_error(&mut self, before: Vec<Variable>) {
        for variable in before {
            let name = variable.name.trim_start_matches('@');
            self.set_system(name, variable.value);
        }
    }

    pub(super) fn set_error(&mut self, message: &str, statement: &str) {
        let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
        self.set_system("error.message", text(message));
        self.set_system("error.statement_text", text(statement));
        self.set_system("error.formatted_stack_trace", text(message));
    }
}

/// Whether a query reads or computes more than one value.
fn reads(query: &Query) -> bool {
    let select = query.body.as_select();
    let Some(select) = select.filter(|s| s.from.is_empty() && query.with.is_none()) else {
        return true;
    };
    select.projection.iter().any(|item| match item {
        query::ast::SelectItem::ExprWithAlias { expr, .. } => script::has_query(expr),
        _ => true,
    })
}

/// A value as a variable of type `to` takes it.
fn assigned(column: &ArrayRef, from: &FieldRef, to: Option<&Field>) -> Result<Typed, JobError> {
    let scalar = |array: &ArrayRef| ScalarValue::try_from_array(array, 0).map_err(broken);
    let Some(to) = to else {
        if column.data_type().is_null() {
            let whole = Field::new("value", DataType::Int64, true);
            return Ok((Arc::new(whole), ScalarValue::Int64(None)));
        }
        return Ok((Arc::clone(from), scalar(column)?));
    };
    let kind = |field: &Field| query::sql_types::shown(&FieldSchema::from_arrow(field));
    let value = query::assign(column, from, to).map_err(|e| {
        let text = QueryError::Plan(e).to_string();
        if text.contains("cannot be inserted") {
            let (from, to) = (kind(from), kind(to));
            return invalid(format!(
                "Cannot coerce expression of type {from} to type {to}"
            ));
        }
        invalid(text)
    })?;
    Ok((Arc::new(to.clone()), scalar(&value)?))
}

/// The rows of a batch as structs.
pub(super) fn structs(rows: &RecordBatch) -> Result<Vec<Typed>, JobError> {
    let record: ArrayRef = Arc::new(StructArray::from(rows.clone()));
    let field = Arc::new(Field::new("value", record.data_type().clone(), true));
    (0..rows.num_rows())
        .map(|row| {
            let value = ScalarValue::try_from_array(&record, row).map_err(broken)?;
            Ok((Arc::clone(&field), value))
        })
        .collect()
}
