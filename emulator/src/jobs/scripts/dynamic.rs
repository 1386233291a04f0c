//! `EXECUTE IMMEDIATE`: a statement that is a text.

use super::{Flow, invalid};
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::ast::{Expr, Statement as Parsed};
use crate::query::script::variables::Variable;
use crate::query::script::{Act, Step};
use crate::query::{self, Statement};

impl Running<'_, '_> {
    pub(super) fn execute(
        &mut self,
        step: &Step,
        sql: &Expr,
        into: &[String],
        using: &[(Expr, Option<String>)],
    ) -> Result<Flow, JobError> {
        let text = self.text(step, sql)?;
        let text = text.ok_or_else(|| invalid("SQL in EXECUTE IMMEDIATE cannot be NULL"))?;
        let steps = query::script::script(&text)?;
        let [inner] = steps.as_slice() else {
            return Err(invalid(
                "EXECUTE IMMEDIATE must be given a single SQL statement",
            ));
        };
        let named = using.iter().filter(|(_, name)| name.is_some()).count();
        if named > 0 && named < using.len() {
            return Err(invalid(
                "EXECUTE IMMEDIATE ... USING cannot mix named and positional parameters",
            ));
        }
        let mut given = Vec::new();
        for (index, (value, name)) in using.iter().enumerate() {
            let (field, value) = self.value(step, value, None)?;
            let name = name.as_ref().map(|name| format!("@{name}"));
            given.push(Variable {
                name: name.unwrap_or_else(|| format!("?{index}")),
                field,
                value,
                bounds: None,
            });
        }
        let depth = self.defaults.variables.len();
        self.defaults.variables.extend(given);
        // Those of the job are not those of the text.
        let parameters = std::mem::take(&mut self.parameters);
        let outcome = self.dynamic(step, inner, into);
        self.parameters = parameters;
        self.defaults.variables.truncate(depth);
        outcome
    }

    fn dynamic(&mut self, step: &Step, inner: &Step, into: &[String]) -> Result<Flow, JobError> {
        if into.is_empty() {
            return match &inner.act {
                Act::Statement(statement) => {
                    self.statement(inner, statement)?;
                    Ok(Flow::Next)
                }
                Act::CreateProcedure(_) | Act::DropProcedure { .. } | Act::Assert { .. } => {
                    self.act(inner)
                }
                _ => Err(invalid(
                    "EXECUTE IMMEDIATE must be given a SQL statement, not one of a script",
                )),
            };
        }
        let query = match &inner.act {
            Act::Statement(Statement::Plain(plain)) => match plain.as_ref() {
                Parsed::Query(query) => query.as_ref().clone(),
                _ => return Err(invalid("EXECUTE IMMEDIATE ... INTO expects a query")),
            },
            _ => return Err(invalid("EXECUTE IMMEDIATE ... INTO expects a query")),
        };
        let rows = self.rows(step, query, &inner.text)?;
        if rows.num_rows() > 1 {
            return Err(invalid(
                "The query in EXECUTE IMMEDIATE ... INTO gives more than one row",
            ));
        }
        if rows.num_columns() != into.len() {
            return Err(invalid(format!(
                "The query in EXECUTE IMMEDIATE ... INTO has {} columns for {} variables",
                rows.num_columns(),
                into.len()
            )));
        }
        self.take_row(into, rows.schema().fields(), rows.columns())?;
        Ok(Flow::Next)
    }
}
