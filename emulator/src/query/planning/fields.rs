//! Fields of structs behind the names of columns: `column.Field`, in any case of letters, and members of JSON.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, Result, TableReference, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult};
use datafusion::logical_expr::{Expr, lit};

use crate::query::functions;
use crate::{projection, wire};

/// Plans paths through structs.
#[derive(Debug)]
struct Paths;

impl ExprPlanner for Paths {
    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut value = Expr::Column(Column::from((qualifier, &Arc::new(field.clone()))));
        let mut field = field.clone();
        for name in nested {
            value = match field.data_type() {
                DataType::Struct(fields) => {
                    let Some((_, found)) = projection::find(fields, name) else {
                        return plan_err!("Field name {name} does not exist in {}", field.name());
                    };
                    let found = Field::clone(found);
                    // The planner's own function gives fields of structs that are not there.
                    let call = functions::named("millpond_field")?;
                    let arguments = vec![value, lit(found.name().clone())];
                    let value = Expr::ScalarFunction(ScalarFunction::new_udf(call, arguments));
                    field = found;
                    value
                }
                DataType::Utf8 if wire::sql_type(&field) == Some("json") => {
                    let member = functions::named("millpond_field")?;
                    let arguments = vec![value, lit(name.clone())];
                    Expr::ScalarFunction(ScalarFunction::new_udf(member, arguments))
                }
                other => {
                    return plan_err!("Cannot access field {name} on a value with type {other}");
                }
            };
        }
        Ok(PlannerResult::Planned(value))
    }
}

/// The planner's extension for paths.
pub(in crate::query) fn planner() -> Arc<dyn ExprPlanner> {
    Arc::new(Paths)
}
