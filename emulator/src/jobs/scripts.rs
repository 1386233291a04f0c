//! Scripts: several statements in one job, each a job of its own below it.
//!
//! Owns the order in which things happen; must not know what a statement does.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch};
use datafusion::common::ScalarValue;
use serde_json::{Map, Value, json};

use super::query::Running;
use super::statements::{self, Effect};
use super::{Done, JobError, QueryResult};
use crate::lengths;
use crate::query::ast::{Expr, Statement as Parsed};
use crate::query::script::variables::{SYSTEM, Variable};
use crate::query::script::{Act, Place, Step, same};
use crate::query::{self, Statement, sql_types};
use crate::schema::FieldSchema;

mod dynamic;
mod procedures;
mod system_procedures;
mod transactions;
mod values;

pub(super) use transactions::Transaction;

/// Steps that one script may take; a loop that never ends must not hold a server for ever.
const MOST_STEPS: u64 = 1_000_000;

/// What errors begin with whose place is known.
const PLACED: &str = "Query error: ";

/// One statement of a script, as a job.
#[derive(Debug)]
pub(super) struct Child {
    pub sql: String,
    /// `STATEMENT`, or `EXPRESSION` for a query in an expression of the script itself.
    pub kind: &'static str,
    pub start: Place,
    pub end: Place,
    pub done: Done,
}

/// How far a script is.
#[derive(Debug, Default)]
pub(super) struct Script {
    children: Vec<Child>,
    /// What the last query gave.
    result: Option<QueryResult>,
    /// The last statement.
    last: Map<String, Value>,
    /// Errors whose handlers run, inner ones last.
    handled: Vec<JobError>,
    /// The text of the last statement that failed.
    failed: String,
    /// The last message that the script itself raised, and what became of it.
    raised: Option<(String, String)>,
    steps: u64,
    /// Whether expressions and statements are those of a script.
    running: bool,
}

/// What comes after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flow {
    Next,
    Leave(Option<String>),
    Iterate(Option<String>),
    Return,
}

pub(super) fn invalid(message: impl Into<String>) -> JobError {
    JobError::new("invalidQuery", message).at("query")
}

impl Running<'_, '_> {
    /// Runs step after step; what the last SELECT gives is the job's result.
    pub fn all(&mut self, steps: &[Step]) -> Result<Done, JobError> {
        if let Some(statement) = Step::single(steps) {
            let outcome = self.in_transaction(statement.clone());
            // A script that ends before its transaction does undoes it.
            let undone = self.roll_back();
            let done = outcome?;
            undone?;
            return Ok(done);
        }
        let mut done = Done::default();
        if !self.is_dry_run() {
            self.script.running = true;
            let outcome = self.steps(steps);
            let undone = self.roll_back();
            done.error = outcome.err().or(undone.err());
        }
        let script = std::mem::take(&mut self.script);
        done.statistics = parent(script.last, &script.children);
        done.result = script.result.filter(|_| done.error.is_none());
        done.children = script.children;
        Ok(done)
    }

    fn steps(&mut self, steps: &[Step]) -> Result<Flow, JobError> {
        for step in steps {
            match self.step(step)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    fn step(&mut self, step: &Step) -> Result<Flow, JobError> {
        self.script.steps += 1;
        if self.script.steps > MOST_STEPS {
            return Err(invalid(format!(
                "the script takes more than {MOST_STEPS} steps, which this emulator does not run"
            )));
        }
        let outcome = self.act(step);
        outcome.map_err(|e| {
            // Errors of steps within have been here before.
            if !e.message.starts_with(PLACED) {
                self.script.failed.clone_from(&step.text);
            }
            placed(e, step.start)
        })
    }

    fn act(&mut self, step: &Step) -> Result<Flow, JobError> {
        match &step.act {
            Act::Statement(statement) => self.statement(step, statement)?,
            Act::Declare {
                names,
                data_type,
                default,
            } => {
                let kind = match data_type {
                    Some(data_type) => Some(sql_types::column("value", data_type)?),
                    None => None,
                };
                let declared = kind.as_ref().map(FieldSchema::to_arrow);
                let bounds = kind.filter(lengths::is_bounded);
                let (field, value) = match (default, &declared) {
                    (Some(default), to) => self.value(step, default, to.as_ref())?,
                    (None, Some(field)) => {
                        let none = ScalarValue::try_from(field.data_type());
                        (field.clone().into(), none.map_err(values::broken)?)
                    }
                    (None, None) => return Err(invalid("DECLARE without a type or a value")),
                };
                for name in names {
                    let mut variable = Variable {
                        name: name.clone(),
                        field: field.clone(),
                        value: ScalarValue::Null,
                        bounds: bounds.clone(),
                    };
                    let held = variable.hold(value.clone());
                    held.map_err(|e| invalid(e.to_string()))?;
                    self.defaults.variables.push(variable);
                }
            }
            Act::Set {
                names,
                fields: true,
                value,
            } => self.set_fields(step, names, value)?,
            Act::Set { names, value, .. } => {
                for name in names {
                    self.set(step, name, value)?;
                }
            }
            Act::If {
                branches,
                otherwise,
            } => {
                for (condition, body) in branches {
                    if self.truth(step, condition)? {
                        return self.steps(body);
                    }
                }
                return self.steps(otherwise);
            }
            Act::Loop {
                label,
                condition,
                body,
                until,
            } => loop {
                if let Some(condition) = condition
                    && !self.truth(step, condition)?
                {
                    break;
                }
                if let Some(out) = self.round(label.as_deref(), body)? {
                    return Ok(out);
                }
                if let Some(until) = until
                    && self.truth(step, until)?
                {
                    break;
                }
            },
            Act::For {
                label,
                variable,
                query,
                body,
            } => {
                let depth = self.defaults.variables.len();
                let rows = self.rows(step, query.as_ref().clone(), &step.text)?;
                for (field, value) in values::structs(&rows)? {
                    self.defaults.variables.push(Variable {
                        name: variable.clone(),
                        field,
                        value,
                        bounds: None,
                    });
                    let out = self.round(label.as_deref(), body);
                    self.defaults.variables.truncate(depth);
                    if let Some(out) = out? {
                        return Ok(out);
                    }
                }
            }
            Act::Leave(label) => return Ok(Flow::Leave(label.clone())),
            Act::Iterate(label) => return Ok(Flow::Iterate(label.clone())),
            Act::Return => return Ok(Flow::Return),
            Act::Block {
                label,
                body,
                handler,
            } => return self.block(label.as_deref(), body, handler.as_deref()),
            Act::Raise(message) => return Err(self.raise(step, message.as_ref())?),
            Act::Execute { sql, into, using } => return self.execute(step, sql, into, using),
            Act::Call { name, arguments } => self.call(step, name, arguments)?,
            Act::Assert { condition, message } => {
                if !self.truth(step, condition)? {
                    let message = match message {
                        Some(message) => self.text(step, message)?.unwrap_or_default(),
                        None => condition.to_string(),
                    };
                    return Err(invalid(format!("Assertion failed: {message}")));
                }
                let done = Effect::named("ASSERT").done();
                self.child(step, &step.text, "STATEMENT", done);
            }
            Act::CreateProcedure(create) => {
                let effect = statements::create_procedure(self, create)?;
                self.done(step, effect.done());
            }
            Act::DropProcedure { if_exists, name } => {
                let effect = statements::drop_procedure(self, *if_exists, name)?;
                self.done(step, effect.done());
            }
        }
        Ok(Flow::Next)
    }

    /// One round of a loop; what comes after the loop, if this was the last round.
    fn round(&mut self, label: Option<&str>, body: &[Step]) -> Result<Option<Flow>, JobError> {
        let own = |named: &Option<String>| match (named, label) {
            (None, _) => true,
            (Some(named), Some(label)) => same(named, label),
            (Some(_), None) => false,
        };
        // A loop without a body takes steps, too.
        self.script.steps += 1;
        if self.script.steps > MOST_STEPS {
            return Err(invalid(format!(
                "the script takes more than {MOST_STEPS} steps, which this emulator does not run"
            )));
        }
        Ok(match self.steps(body)? {
            Flow::Next => None,
            Flow::Leave(named) if own(&named) => Some(Flow::Next),
            Flow::Iterate(named) if own(&named) => None,
            other => Some(other),
        })
    }

    fn block(
        &mut self,
        label: Option<&str>,
        body: &[Step],
        handler: Option<&[Step]>,
    ) -> Result<Flow, JobError> {
        let depth = self.defaults.variables.len();
        let mut outcome = self.steps(body);
        self.defaults.variables.truncate(depth);
        if let (Err(error), Some(handler)) = (&outcome, handler) {
            let error = error.clone();
            let message = match &self.script.raised {
                Some((text, message)) if *text == error.message => message.clone(),
                _ => error.message.clone(),
            };
            let before = self.error_variables();
            let failed = self.script.failed.clone();
            self.set_error(&message, &failed);
            self.script.handled.push(error);
            outcome = self.steps(handler);
            self.script.handled.pop();
            self.defaults.variables.truncate(depth);
            self.restore_error(before);
        }
        match (outcome?, label) {
            (Flow::Leave(Some(named)), Some(label)) if same(&named, label) => Ok(Flow::Next),
            (other, _) => Ok(other),
        }
    }

    /// What RAISE ends with.
    fn raise(&mut self, step: &Step, message: Option<&Expr>) -> Result<JobError, JobError> {
        let Some(message) = message else {
            let again = self.script.handled.last().cloned();
            return again.ok_or_else(|| {
                invalid("Cannot re-raise an existing exception outside of an exception handler")
            });
        };
        let message = self.text(step, message)?;
        let message = message.unwrap_or_default();
        let error = placed(invalid(message.clone()), step.start);
        self.script.failed.clone_from(&step.text);
        self.script.raised = Some((error.message.clone(), message));
        Ok(error)
    }

    fn statement(&mut self, step: &Step, statement: &Statement) -> Result<(), JobError> {
        let done = match self.in_transaction(statement.clone()) {
            Ok(done) => done,
            Err(error) => {
                let failed = Done {
                    error: Some(error.clone()),
                    ..Done::default()
                };
                self.child(step, &step.text, "STATEMENT", failed);
                return Err(error);
            }
        };
        self.done(step, done);
        Ok(())
    }

    /// Takes down that a statement has run.
    fn done(&mut self, step: &Step, done: Done) {
        let rows = done.statistics.get("query");
        let rows = rows.and_then(|q| q["numDmlAffectedRows"].as_str());
        let rows = rows.and_then(|rows| rows.parse::<i64>().ok());
        self.set_system("row_count", ScalarValue::Int64(rows));
        self.script.result = done.result.clone().or(self.script.result.take());
        self.script.last = done.statistics.clone();
        self.child(step, &step.text, "STATEMENT", done);
    }

    fn child(&mut self, step: &Step, sql: &str, kind: &'static str, done: Done) {
        if !self.script.running {
            return;
        }
        let id = super::Job::child_id(self.work.id, self.script.children.len());
        self.set_system("last_job_id", ScalarValue::Utf8(Some(id)));
        self.script.children.push(Child {
            sql: sql.to_owned(),
            kind,
            start: step.start,
            end: step.end,
            done: Done {
                location: None,
                children: Vec::new(),
                ..done
            },
        });
    }

    fn one(&mut self, statement: Statement) -> Result<Done, JobError> {
        let statement = match statement {
            Statement::Plain(statement) => *statement,
            Statement::Alter(alter) => {
                let effect = statements::alter(self, &alter)?;
                return Ok(effect.done());
            }
            Statement::Files(statement) => {
                let effect = statements::files(self, &statement)?;
                return Ok(effect.done());
            }
            Statement::RowAccess(statement) => {
                let effect = statements::row_access(self, &statement)?;
                return Ok(effect.done());
            }
            Statement::Grant(grant) => {
                let effect = statements::grant(self, &grant)?;
                return Ok(effect.done());
            }
            Statement::TableFunction(statement) => {
                let effect = statements::table_function(self, &statement)?;
                return Ok(effect.done());
            }
            undrop @ Statement::Undrop { .. } => {
                let effect = statements::undrop(self, &undrop)?;
                return Ok(effect.done());
            }
        };
        let effect = match statement {
            Parsed::Query(query) => return self.select(*query),
            Parsed::StartTransaction {
                statements,
                has_end_keyword: false,
                ..
            } if statements.is_empty() => self.begin()?,
            Parsed::Commit { end: false, .. } => self.commit()?,
            Parsed::Rollback {
                savepoint: None, ..
            } => self.end_by_rolling_back()?,
            mut other => {
                query::bind(&mut other, &self.defaults, &self.parameters)?;
                let before = self.processed.get();
                let mut effect = statements::run(self, other)?;
                let bytes = json!((self.processed.get() - before).to_string());
                let members = &mut effect.members;
                members.entry("totalBytesProcessed").or_insert(bytes);
                effect
            }
        };
        Ok(effect.done())
    }
}

/// What the job of a script says about itself.
fn parent(last: Map<String, Value>, children: &[Child]) -> Map<String, Value> {
    let sum = |key: &str, at: &dyn Fn(&Map<String, Value>, &str) -> Value| {
        let all = children.iter().map(|c| at(&c.done.statistics, key));
        let numbers = all.filter_map(|v| v.as_str().and_then(|n| n.parse::<u64>().ok()));
        json!(numbers.sum::<u64>().to_string())
    };
    let top = |s: &Map<String, Value>, key: &str| s.get(key).cloned().unwrap_or_default();
    let query = |s: &Map<String, Value>, key: &str| s.get("query").map(|q| q[key].clone());
    let query = |s: &Map<String, Value>, key: &str| query(s, key).unwrap_or_default();
    let mut statistics = last;
    statistics.remove("transactionInfo");
    for key in ["totalBytesProcessed", "totalSlotMs"] {
        statistics.insert(key.to_owned(), sum(key, &top));
    }
    let count = children.len().to_string();
    statistics.insert("numChildJobs".to_owned(), json!(count));
    let own = statistics.entry("query").or_insert_with(|| json!({}));
    if let Value::Object(own) = own {
        for key in ["totalBytesProcessed", "totalBytesBilled", "totalSlotMs"] {
            own.insert(key.to_owned(), sum(key, &query));
        }
        own.insert("cacheHit".to_owned(), json!(false));
        own.insert("statementType".to_owned(), json!("SCRIPT"));
        for key in [
            "queryPlan",
            "timeline",
            "ddlTargetTable",
            "ddlOperationPerformed",
        ] {
            own.remove(key);
        }
    }
    statistics
}

/// An error with the place of the statement that failed.
fn placed(mut error: JobError, at: Place) -> JobError {
    if !error.message.starts_with(PLACED) {
        let has_place = error.message.ends_with(']') && error.message.contains(" at [");
        let place = format!(" at [{}:{}]", at.line, at.column);
        let place = if has_place { "" } else { &place };
        error.message = format!("{PLACED}{}{place}", error.message);
    }
    error
}

/// Names of tables that a transaction has changed.
type Changed = BTreeSet<crate::name::TableName>;

/// The truth of a value; null is not true.
fn is_true(rows: &RecordBatch) -> Result<bool, JobError> {
    let value = rows.columns().first().and_then(|c| c.as_boolean_opt());
    let value = value.ok_or_else(|| invalid("a condition must be of type BOOL"))?;
    Ok(value.is_valid(0) && value.value(0))
}

/// Whether a name is that of a system variable.
fn is_system(name: &str) -> bool {
    name.starts_with(SYSTEM)
}
