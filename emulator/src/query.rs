//! SQL over the catalog, planned and run by DataFusion.
//!
//! What BigQuery and DataFusion spell alike and mean alike is run; a function, statement or conversion that is not known to
//! mean the same is refused by name, so that an answer is never merely close. Must not know about jobs or requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::common::config::Dialect;
use datafusion::datasource::ViewTable;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement as PlannedStatement;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement};
use datafusion::sql::sqlparser::dialect::BigQueryDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use futures::StreamExt;
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::catalog::{Catalog, CatalogError, Table};
use crate::name::{NameError, TableName};
use crate::wire::{self, UnsupportedColumn};

mod build;
pub(crate) mod change;
mod functions;
mod legacy;
mod meaning;
mod operators;
mod parameters;
mod rewrite;
mod source;
mod spelling;
pub(crate) mod sql_types;
mod unnest;

/// The statements that jobs take apart, in the parser's own words.
pub(crate) use datafusion::sql::sqlparser::ast;
pub(crate) use functions::assign;
pub(crate) use legacy::to_standard;
pub(crate) use parameters::Parameter;

/// Views in views, so many of them.
const MAX_VIEWS: usize = 16;

/// Why a query was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum QueryError {
    #[error("Syntax error: {0}")]
    Syntax(#[from] ParserError),
    #[error("{construct} is not supported by this emulator")]
    Unsupported { construct: String },
    #[error("{}", said(.0))]
    Plan(#[from] DataFusionError),
    #[error("{message}")]
    Invalid { message: String },
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("Table \"{name}\" must be qualified with a dataset (e.g. dataset.table).")]
    NoDataset { name: String },
    #[error("Query parameter {name:?} not found")]
    NoParameter { name: String },
    #[error("views are nested deeper than {MAX_VIEWS} levels at {view}")]
    ViewsTooDeep { view: TableName },
    #[error(transparent)]
    Column(#[from] UnsupportedColumn),
}

/// What a planner's error says, without the planner's own words around it.
fn said(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    [
        "Execution error: ",
        "Error during planning: ",
        "Arrow error: ",
        "External error: ",
    ]
    .iter()
    .fold(text, |text, words| match text.strip_prefix(words) {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

fn unsupported(construct: impl Into<String>) -> QueryError {
    QueryError::Unsupported {
        construct: construct.into(),
    }
}

/// What names without project or dataset mean.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    pub project: String,
    /// Project and dataset.
    pub dataset: Option<(String, String)>,
    /// Temporary tables, by the one name they are called by.
    pub temporary: BTreeMap<String, TableName>,
}

/// The statements of a text, in order.
///
/// # Errors
/// [`QueryError::Syntax`] where it cannot be read.
pub(crate) fn statements(sql: &str) -> Result<Vec<Statement>, QueryError> {
    Ok(Parser::parse_sql(&BigQueryDialect {}, sql)?)
}

/// Puts the parameters into a statement.
///
/// # Errors
/// [`QueryError::NoParameter`] for one that was not given.
pub(crate) fn bind(statement: &mut Statement, parameters: &[Parameter]) -> Result<(), QueryError> {
    rewrite::bind(statement, parameters)
}

/// The table that a name in a statement means.
///
/// # Errors
/// [`QueryError`] when it is no name of a table.
pub(crate) fn table_of(name: &ObjectName, defaults: &Defaults) -> Result<TableName, QueryError> {
    rewrite::table_of(name, defaults)
}

/// A query that has been planned.
pub(crate) struct Planned {
    context: SessionContext,
    plan: LogicalPlan,
    /// Columns of the result in wire types.
    pub schema: SchemaRef,
    /// Logical bytes of the columns it reads.
    pub bytes: u64,
    /// Tables it reads, views included.
    pub tables: Vec<TableName>,
}

/// Plans one SELECT. Blocks on the file system.
///
/// # Errors
/// [`QueryError`] naming what is wrong or not supported.
pub(crate) async fn plan(
    catalog: &Catalog,
    query: Query,
    defaults: &Defaults,
    parameters: &[Parameter],
) -> Result<Planned, QueryError> {
    let mut config = SessionConfig::new()
        .with_information_schema(false)
        .with_target_partitions(1);
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::BigQuery;
    options.sql_parser.map_string_types_to_utf8view = false;
    // Names keep their case; a name in another case is not found rather than taken for something else.
    options.sql_parser.enable_ident_normalization = false;
    // Nulls are the smallest values.
    options.sql_parser.default_null_ordering = "nulls_min".to_owned();
    options.execution.time_zone = Some("UTC".to_owned());
    let mut state = SessionContext::new_with_config(config).state();
    state.register_expr_planner(operators::planner())?;
    let context = SessionContext::new_with_state(state);
    for function in functions::all() {
        context.register_udf(function);
    }
    let mut planner = Planner {
        catalog,
        context,
        tables: Vec::new(),
        opened: Vec::new(),
    };
    let plan = planner.plan(query, defaults, parameters, 0).await?;
    let plan = meaning::keep_types(plan)?;
    let state = planner.context.state();
    let analyzed =
        state
            .analyzer()
            .execute_and_check(plan.clone(), state.config_options(), |_, _| {})?;
    meaning::check(&analyzed)?;
    let optimized = state.optimize(&plan)?;
    let bytes = planner.bytes(&optimized);
    let schema = result_schema(plan.schema().as_arrow())?;
    Ok(Planned {
        context: planner.context,
        plan,
        schema,
        bytes,
        tables: planner.tables,
    })
}

/// The one query that a text must be.
///
/// # Errors
/// [`QueryError::Unsupported`] naming any other statement.
pub(crate) fn select(sql: &str) -> Result<Query, QueryError> {
    let mut statements = statements(sql)?;
    match (statements.pop(), statements.pop()) {
        (Some(Statement::Query(query)), None) => Ok(*query),
        (Some(statement), None) => Err(unsupported(format!("the statement {}", kind(&statement)))),
        _ => Err(unsupported("a script of several statements")),
    }
}

/// The first words of a statement.
pub(crate) fn kind(statement: &Statement) -> String {
    let text = statement.to_string();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    words.join(" ")
}

/// The refusal of a statement.
pub(crate) fn unsupported_statement(statement: &Statement) -> QueryError {
    unsupported(format!("the statement {}", kind(statement)))
}

/// The wire types of a result. What has no type of its own is an integer, and what has no proper name is numbered.
fn result_schema(schema: &Schema) -> Result<SchemaRef, QueryError> {
    let typed: Vec<Field> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let data_type = match field.data_type() {
                DataType::Null => DataType::Int64,
                DataType::List(item) if item.data_type().is_null() => {
                    DataType::new_list(DataType::Int64, true)
                }
                other => other.clone(),
            };
            let field = Field::clone(field).with_data_type(data_type);
            if crate::schema::is_name(field.name()) {
                field
            } else {
                field.with_name(format!("f{index}_"))
            }
        })
        .collect();
    let schema = &Schema::new(typed);
    let none = Type::group_type_builder("schema")
        .build()
        .map_err(|e| unsupported(format!("this result ({e})")))?;
    let schema = wire::wire_schema(schema, &SchemaDescriptor::new(Arc::new(none)))?;
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|f| {
            let repeated = matches!(f.data_type(), DataType::List(_));
            Arc::new(Field::clone(f).with_nullable(!repeated))
        })
        .collect();
    Ok(Arc::new(Schema::new(fields)))
}

impl Planned {
    /// Runs the query. Rows come in wire types.
    pub async fn run(
        self,
    ) -> Result<impl futures::Stream<Item = Result<RecordBatch, QueryError>>, QueryError> {
        let frame = self.context.execute_logical_plan(self.plan).await?;
        let rows: SendableRecordBatchStream = frame.execute_stream().await?;
        let schema = self.schema;
        Ok(rows.map(move |batch| {
            let batch = batch?;
            let columns = batch
                .columns()
                .iter()
                .zip(schema.fields())
                .map(|(column, field)| wire::to_wire(column, field))
                .collect::<Result<Vec<_>, _>>()
                .map_err(DataFusionError::from)?;
            let options =
                arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
                .map_err(|e| DataFusionError::from(e).into())
        }))
    }
}

struct Planner<'a> {
    catalog: &'a Catalog,
    context: SessionContext,
    tables: Vec<TableName>,
    /// By the name under which each is registered.
    opened: Vec<(String, Arc<Table>)>,
}

impl Planner<'_> {
    async fn plan(
        &mut self,
        mut query: Query,
        defaults: &Defaults,
        parameters: &[Parameter],
        depth: usize,
    ) -> Result<LogicalPlan, QueryError> {
        let wanted = rewrite::rewrite(&mut query, defaults, parameters)?;
        for (key, name) in wanted {
            self.register(key, name, depth).await?;
        }
        let statement = PlannedStatement::Statement(Box::new(Statement::Query(Box::new(query))));
        Ok(self.context.state().statement_to_plan(statement).await?)
    }

    /// Makes a table or view known under the name the query was given for it.
    async fn register(
        &mut self,
        key: String,
        name: TableName,
        depth: usize,
    ) -> Result<(), QueryError> {
        if self.context.table_exist(key.as_str())? {
            return Ok(());
        }
        let table = self.catalog.table(&name)?;
        let view = table
            .metadata
            .as_ref()
            .and_then(|m| {
                m.resource
                    .get("view")
                    .or_else(|| m.resource.get("materializedView"))
            })
            .and_then(|view| view["query"].as_str());
        let provider: Arc<dyn TableProvider> = match view {
            Some(sql) => {
                if depth == MAX_VIEWS {
                    return Err(QueryError::ViewsTooDeep { view: name });
                }
                let defaults = Defaults {
                    project: name.project().to_owned(),
                    dataset: None,
                    temporary: BTreeMap::new(),
                };
                let query = select(sql)?;
                let plan = Box::pin(self.plan(query, &defaults, &[], depth + 1)).await?;
                Arc::new(ViewTable::new(plan, Some(sql.to_owned())))
            }
            None if table.kind() == "EXTERNAL" => {
                return Err(unsupported(format!("the external table {name}")));
            }
            None => source::provider(Arc::clone(&table))?,
        };
        self.context.register_table(key.as_str(), provider)?;
        if view.is_none() {
            self.opened.push((key, table));
        }
        if !self.tables.contains(&name) {
            self.tables.push(name);
        }
        Ok(())
    }

    /// What the service would call processed: all values of every column that is read.
    fn bytes(&self, plan: &LogicalPlan) -> u64 {
        let mut columns: Vec<(String, String)> = Vec::new();
        meaning::scanned(plan, &mut columns);
        columns.sort();
        columns.dedup();
        let size = |(key, column): &(String, String)| {
            let (_, table) = self.opened.iter().find(|(k, _)| k == key)?;
            let names = [column.clone()];
            let projection = crate::projection::Projection::resolve(&table.schema, &names).ok()?;
            let bytes = projection
                .leaves()
                .filter_map(|leaf| table.leaf_bytes.get(leaf));
            Some(bytes.sum::<u64>())
        };
        columns.iter().filter_map(size).sum()
    }
}

#[cfg(test)]
mod tests;
