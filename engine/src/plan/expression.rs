//! SQL expressions over a batch in hand: derived columns, and the `sql` step of a feature chain.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{ColumnarValue, Expr, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use millpond_features::{ColumnExpression, ExpressionCompiler, ExpressionError};

use super::paths::{parse, with_derived};
use super::session::{Session, from_datafusion, from_planning};
use crate::error::{Error, Result};

/// Compiles SQL scalar expressions with DataFusion.
pub(crate) struct SqlExpressions {
    session: Session,
}

impl SqlExpressions {
    /// A compiler with DataFusion's built-in functions.
    ///
    /// # Errors
    /// When DataFusion cannot be started.
    pub fn try_new() -> Result<Self> {
        Ok(Self {
            session: Session::for_expressions()?,
        })
    }

    /// Plans `sql` over `schema`; `what` names it in errors.
    pub(super) fn compile(
        &self,
        sql: &str,
        schema: &SchemaRef,
        what: &str,
    ) -> Result<(Arc<dyn PhysicalExpr>, DataType)> {
        let df_schema =
            DFSchema::try_from(Arc::clone(schema)).map_err(|e| from_planning(e, what))?;
        let state = self.session.context().state();
        let expr = parse(&state, sql, schema, what)?;
        let physical = state
            .create_physical_expr(expr, &df_schema)
            .map_err(|e| from_planning(e, what))?;
        let data_type = physical
            .data_type(schema)
            .map_err(|e| from_planning(e, what))?;
        Ok((physical, data_type))
    }
}

/// Refuses functions that give another value at every call: outputs could not be repeated.
pub(super) fn repeatable(expr: &Expr, sql: &str, what: &str) -> Result<()> {
    let mut offender = None;
    expr.apply(|e| {
        if let Expr::ScalarFunction(call) = e
            && call.func.signature().volatility != Volatility::Immutable
        {
            offender = Some(call.func.name().to_owned());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|e| from_datafusion(e, what))?;
    match offender {
        Some(name) => Err(Error::config(format!(
            "{what}: \"{sql}\" calls {name}(), whose value changes from run to run; results must be repeatable"
        ))),
        None => Ok(()),
    }
}

impl ExpressionCompiler for SqlExpressions {
    fn compile(
        &self,
        sql: &str,
        input: &Field,
    ) -> Result<Arc<dyn ColumnExpression>, ExpressionError> {
        let own = input.clone();
        let x = input.clone().with_name("x");
        let fields = if input.name() == "x" {
            vec![own]
        } else {
            vec![own, x]
        };
        let schema = Arc::new(Schema::new(fields));
        let what = format!("sql step of column \"{}\"", input.name());
        let (expr, output) =
            self.compile(sql, &schema, &what)
                .map_err(|e| ExpressionError::Compile {
                    expression: sql.to_owned(),
                    source: Box::new(e),
                })?;
        Ok(Arc::new(SqlColumn {
            sql: sql.to_owned(),
            schema,
            expr,
            output,
        }))
    }
}

/// A compiled expression over one column, which goes by its own name and by `x`.
#[derive(Debug)]
struct SqlColumn {
    sql: String,
    schema: SchemaRef,
    expr: Arc<dyn PhysicalExpr>,
    output: DataType,
}

impl ColumnExpression for SqlColumn {
    fn output_type(&self) -> &DataType {
        &self.output
    }

    fn evaluate(&self, values: &ArrayRef) -> Result<ArrayRef, ExpressionError> {
        let columns = vec![Arc::clone(values); self.schema.fields().len()];
        let options = RecordBatchOptions::new().with_row_count(Some(values.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| self.failed(Box::new(e)))?;
        self.expr
            .evaluate(&batch)
            .and_then(|v: ColumnarValue| v.into_array(batch.num_rows()))
            .map_err(|e| self.failed(Box::new(e)))
    }
}

impl SqlColumn {
    fn failed(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ExpressionError {
        ExpressionError::Evaluate {
            expression: self.sql.clone(),
            source,
        }
    }
}

/// The columns of `schema` that `sql` names.
///
/// # Errors
/// When the SQL is wrong for the schema.
pub(crate) fn columns_named(
    session: &Session,
    sql: &str,
    schema: &SchemaRef,
    what: &str,
) -> Result<Vec<String>> {
    let expr = parse(&session.context().state(), sql, schema, what)?;
    Ok(expr
        .column_refs()
        .into_iter()
        .map(|c| c.name.clone())
        .collect())
}

/// The recipe's derived columns, compiled for batches of one schema.
#[derive(Debug)]
pub(crate) struct DerivedColumns {
    input: SchemaRef,
    columns: Vec<DerivedColumn>,
}

/// One derived column, and the schema of batches that have it.
#[derive(Debug)]
struct DerivedColumn {
    name: String,
    expr: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl DerivedColumns {
    /// Compiles `derivations` in order over `schema`; each may use the ones before it. Those that are not `required` are
    /// left out when the schema lacks what they are made of.
    ///
    /// # Errors
    /// When a required expression is wrong for the schema.
    pub fn try_new(
        derivations: &[(String, String)],
        schema: &SchemaRef,
        compiler: &SqlExpressions,
        required: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        let mut columns = Vec::with_capacity(derivations.len());
        let mut current = Arc::clone(schema);
        for (name, sql) in derivations {
            let compiled = compiler.compile(sql, &current, &format!("derive.{name}"));
            let (expr, data_type) = match compiled {
                Ok(compiled) => compiled,
                Err(e) if required(name) => return Err(e),
                Err(_) => continue,
            };
            current = with_derived(&current, Arc::new(Field::new(name, data_type, true)));
            columns.push(DerivedColumn {
                name: name.clone(),
                expr,
                schema: Arc::clone(&current),
            });
        }
        Ok(Self {
            input: Arc::clone(schema),
            columns,
        })
    }

    /// Whether the column `name` was compiled.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|c| c.name == name)
    }

    /// The compiled schema with the derived columns added.
    pub fn schema(&self) -> &SchemaRef {
        self.columns.last().map_or(&self.input, |c| &c.schema)
    }

    /// `batch`, which must have the compiled schema, with the derived columns added.
    ///
    /// # Errors
    /// When an expression fails on the data.
    pub fn add_to(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let mut batch = batch;
        for DerivedColumn { name, expr, schema } in &self.columns {
            let what = format!("derive.{name}");
            let value = expr
                .evaluate(&batch)
                .and_then(|v| v.into_array(batch.num_rows()))
                .map_err(|e| from_datafusion(e, &what))?;
            let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
            for field in schema.fields() {
                if field.name() != name
                    && let Some(existing) = batch.column_by_name(field.name())
                {
                    arrays.push(Arc::clone(existing));
                }
            }
            arrays.push(value);
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            batch = RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
                .map_err(|e| Error::with_source(crate::ErrorKind::Data, what, e))?;
        }
        Ok(batch)
    }
}
