//! What a query reads from: tables, views, external tables and wildcards, made known to the planner, and what of them is read.
//!
//! Must not know how a query is written or what it computes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement as PlannedStatement;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, SetExpr, Statement, TableFactor};

use super::planning::meaning::Scanned;
use super::rewrite::Relation;
use super::rewrite::names::{Of, Spelled};
use super::script::variables::Variable;
use super::{
    Defaults, Parameter, QueryError, Read,
    planning::{meaning, stages},
    rewrite,
    rewrite::{arrays, names, routines, times_of_tables},
    select,
    statements::row_access,
    unsupported,
};
use crate::catalog::{Catalog, CatalogError, Table};
use crate::external::{self, Rows};
use crate::name::TableName;
use crate::projection::Projection;
use crate::row_access::{RowAccessError, Visible};
use crate::wire;
use arrivals::Arrivals;
use information::JobsBefore;
use pruned::Pruned;
use required_filters::Required;
use wildcard::Wildcard;

pub(super) mod arrivals;
pub(super) mod information;
pub(super) mod pruned;
pub(super) mod required_filters;
pub(super) mod source;
pub(super) mod wildcard;

/// Views in views, so many of them.
const MAX_VIEWS: usize = 16;

/// Plans queries, and remembers what they name.
pub(super) struct Planner<'a> {
    catalog: &'a Catalog,
    context: SessionContext,
    jobs: Option<Arc<dyn JobsBefore>>,
    tables: Vec<TableName>,
    /// By the name under which each is registered.
    opened: BTreeMap<String, Opened>,
    external: bool,
    routines: bool,
    /// Whether policies leave out rows of what is read.
    row_access: bool,
    /// Whether something is read that changes without any table changing.
    changing: bool,
}

/// A relation that rows are read from.
enum Opened {
    Table(Arc<Table>),
    Wildcard(Arc<Wildcard>),
    Arrivals(Arc<Arrivals>),
}

/// Whether a name is the one under which a relation is registered.
fn names_key(name: &ObjectName, key: &str) -> bool {
    match name.0.as_slice() {
        [part] => part.as_ident().is_some_and(|ident| ident.value == key),
        _ => false,
    }
}

impl<'a> Planner<'a> {
    pub fn new(
        catalog: &'a Catalog,
        context: SessionContext,
        jobs: Option<Arc<dyn JobsBefore>>,
    ) -> Self {
        Self {
            catalog,
            context,
            jobs,
            tables: Vec::new(),
            opened: BTreeMap::new(),
            external: false,
            routines: false,
            row_access: false,
            changing: false,
        }
    }

    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Plans a query; returns the names, too, that its result has twice.
    pub async fn plan(
        &mut self,
        query: Query,
        defaults: &Defaults,
        parameters: &[Parameter],
    ) -> Result<(LogicalPlan, Vec<String>), QueryError> {
        self.plan_below(query, defaults, parameters, 0).await
    }

    async fn plan_below(
        &mut self,
        mut query: Query,
        defaults: &Defaults,
        parameters: &[Parameter],
        depth: usize,
    ) -> Result<(LogicalPlan, Vec<String>), QueryError> {
        self.routines |= routines::expand(&mut query, self.catalog, defaults)?;
        let arrivals = self.arrivals(&query, defaults);
        let times = times_of_tables::times(self.catalog, &query, defaults, parameters).await?;
        let wanted = rewrite::rewrite(&mut query, defaults, parameters, arrivals, times)?;
        let mut columns = BTreeMap::new();
        for (key, relation) in wanted {
            if self
                .context
                .table_exist(TableReference::bare(key.clone()))?
            {
                let known = self
                    .context
                    .table_provider(TableReference::bare(key.clone()));
                columns.insert(key, names_of(known.await?.as_ref()));
                continue;
            }
            // What has rows of its own, of which not all may be seen.
            let own = match &relation {
                Relation::Table(name) | Relation::Sample(name, _) => Some((name.clone(), "")),
                Relation::Arrivals(name) => {
                    Some((name.clone(), ", _PARTITIONTIME, _PARTITIONDATE"))
                }
                _ => None,
            };
            let provider = match relation {
                Relation::Table(name) => self.table(&key, name, depth).await?,
                Relation::At(name, at) => {
                    if Visible::of(&*self.catalog.table(&name)?) != Visible::All {
                        let refused = RowAccessError::TimeTravel { table: name };
                        return Err(CatalogError::from(refused).into());
                    }
                    let table = times_of_tables::snapshot(self.catalog, &name, at)?;
                    if view_of(&table).is_some() || table.kind() == "EXTERNAL" {
                        return Err(QueryError::Invalid {
                            message: format!(
                                "FOR SYSTEM_TIME AS OF is not allowed on {name}, which is a {}",
                                table.kind()
                            ),
                        });
                    }
                    self.changing = true;
                    if !self.tables.contains(&name) {
                        self.tables.push(name);
                    }
                    let opened = Opened::Table(Arc::clone(&table));
                    self.opened.insert(key.clone(), opened);
                    source::provider(table)?
                }
                Relation::Sample(name, percent) => self.sample(&key, &name, percent)?,
                Relation::Wildcard(prefix) => {
                    let wildcard = Arc::new(Wildcard::open(self.catalog, &prefix)?);
                    let opened = Opened::Wildcard(Arc::clone(&wildcard));
                    self.opened.insert(key.clone(), opened);
                    Arc::new(Pruned(wildcard))
                }
                Relation::Arrivals(name) => {
                    let arrivals = Arc::new(Arrivals::new(self.catalog.table(&name)?));
                    if !self.tables.contains(&name) {
                        self.tables.push(name);
                    }
                    let opened = Opened::Arrivals(Arc::clone(&arrivals));
                    self.opened.insert(key.clone(), opened);
                    Arc::new(Pruned(arrivals))
                }
                Relation::Information(view) => {
                    self.changing = true;
                    let batch = view.rows(self.catalog, self.jobs.as_deref())?;
                    Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)
                }
            };
            let provider = match own {
                Some((name, pseudo)) => {
                    let whole = (provider, key.as_str());
                    self.visible(whole, &name, pseudo, depth).await?
                }
                None => provider,
            };
            columns.insert(key.clone(), names_of(provider.as_ref()));
            self.context
                .register_table(TableReference::bare(key), provider)?;
        }
        let (mut query, spelled) = self.spelled(query, &columns, &defaults.variables).await?;
        arrays::call(&mut query);
        if let Some(plan) = self.whole_table(&query).await? {
            return Ok((plan, names::duplicates(&spelled)));
        }
        let statement = PlannedStatement::Statement(Box::new(Statement::Query(Box::new(query))));
        let plan = self.context.state().statement_to_plan(statement).await?;
        Ok((plan, names::duplicates(&spelled)))
    }

    /// What is seen of a table that is to be known as a key; it has the same columns.
    async fn visible(
        &mut self,
        (provider, key): (Arc<dyn TableProvider>, &str),
        name: &TableName,
        pseudo: &str,
        depth: usize,
    ) -> Result<Arc<dyn TableProvider>, QueryError> {
        let table = self.catalog.table(name)?;
        let condition = match Visible::of(&table) {
            Visible::Where(condition) if !matches!(table.kind(), "VIEW" | "MATERIALIZED_VIEW") => {
                condition
            }
            _ => return Ok(provider),
        };
        if depth == MAX_VIEWS {
            let (view, most) = (name.clone(), MAX_VIEWS);
            return Err(QueryError::ViewsTooDeep { view, most });
        }
        self.row_access = true;
        // Who is asked about, and what time it is, may be part of it.
        self.changing = true;
        let query = select(&row_access::visible(
            name,
            &format!("*{pseudo}"),
            &condition,
        ))?;
        let defaults = Defaults {
            project: name.project().to_owned(),
            ..Defaults::default()
        };
        // The query finds all rows under the name of the table, which means what is seen from then on.
        let whole = match pseudo {
            "" => name.to_resource(),
            _ => key.to_owned(),
        };
        let whole = TableReference::bare(whole);
        let before = self.context.deregister_table(whole.clone())?;
        self.context.register_table(whole.clone(), provider)?;
        let opened = Opened::Table(table);
        self.opened.entry(name.to_resource()).or_insert(opened);
        let planned = Box::pin(self.plan_below(query, &defaults, &[], depth + 1)).await;
        self.context.deregister_table(whole.clone())?;
        if let Some(before) = before {
            self.context.register_table(whole, before)?;
        }
        Ok(Arc::new(ViewTable::new(planned?.0, None)))
    }

    /// A query with its names spelled, and the names of its columns.
    async fn spelled(
        &self,
        query: Query,
        columns: &BTreeMap<String, Vec<String>>,
        variables: &[Variable],
    ) -> Result<(Query, Option<Vec<String>>), QueryError> {
        let mut fields: Vec<Option<Vec<String>>> = Vec::new();
        loop {
            let mut spelled = query.clone();
            match names::spell(&mut spelled, columns, variables, &fields)? {
                Spelled::Names(names) => return Ok((spelled, names)),
                Spelled::Asks(asked) => {
                    let of = asked.of;
                    let asked = Statement::Query(Box::new(asked.query));
                    let asked = PlannedStatement::Statement(Box::new(asked));
                    let plan = self.context.state().statement_to_plan(asked).await;
                    let plan = match (plan, of) {
                        (Ok(plan), _) => plan,
                        (Err(_), Of::Elements) => {
                            fields.push(None);
                            continue;
                        }
                        (Err(e), Of::Value) => return Err(e.into()),
                    };
                    let column = plan.schema().fields().first();
                    let plain = column.filter(|c| wire::sql_type(c).is_none());
                    let kind = plain.map(|c| c.data_type());
                    let kind = match (kind, of) {
                        (Some(DataType::List(item)), Of::Elements) => Some(item.data_type()),
                        (kind, _) => kind,
                    };
                    fields.push(match (kind, of) {
                        (Some(DataType::Struct(own)), _) => {
                            Some(own.iter().map(|f| f.name().clone()).collect())
                        }
                        (_, Of::Elements) => Some(Vec::new()),
                        (_, Of::Value) => None,
                    });
                }
            }
        }
    }

    /// The plan of a query that is nothing but `SELECT * FROM` one table. DataFusion's planner compares each column of a select list with all
    /// before it, as text: three quarters of a minute for ten thousand columns.
    async fn whole_table(&self, query: &Query) -> Result<Option<LogicalPlan>, QueryError> {
        let [(key, Opened::Table(_))] = self.opened.iter().collect::<Vec<_>>()[..] else {
            return Ok(None);
        };
        let from = match query.body.as_ref() {
            SetExpr::Select(select) => match select.from.as_slice() {
                [from] if from.joins.is_empty() => &from.relation,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let of_table = matches!(from, TableFactor::Table { name, .. } if names_key(name, key));
        if !of_table || query.to_string() != format!("SELECT * FROM {from}") {
            return Ok(None);
        }
        let key = TableReference::bare(key.clone());
        let provider = self.context.table_provider(key.clone()).await?;
        let scan = LogicalPlanBuilder::scan(key, provider_as_source(provider), None)?;
        Ok(Some(scan.build()?))
    }

    /// The tables of a query whose pseudo columns it may name.
    fn arrivals(&self, query: &Query, defaults: &Defaults) -> BTreeSet<TableName> {
        let names_them = |text: &str| {
            let text = text.to_ascii_uppercase();
            text.contains("_PARTITIONTIME") || text.contains("_PARTITIONDATE")
        };
        let named = names_them(&query.to_string());
        let by_arrival = |name: &TableName| {
            self.catalog.table(name).is_ok_and(|table| {
                let policy = || matches!(Visible::of(&table), Visible::Where(c) if names_them(&c));
                table.has_partition_time()
                    && matches!(table.kind(), "TABLE" | "SNAPSHOT")
                    && (named || policy())
            })
        };
        let mut tables = rewrite::tables(query, defaults);
        tables.retain(by_arrival);
        tables
    }

    /// A table or view, to be known as `key`.
    async fn table(
        &mut self,
        key: &str,
        name: TableName,
        depth: usize,
    ) -> Result<Arc<dyn TableProvider>, QueryError> {
        let table = self.catalog.table(&name)?;
        if !self.tables.contains(&name) {
            self.tables.push(name.clone());
        }
        if let Some(sql) = view_of(&table) {
            if depth == MAX_VIEWS {
                let most = MAX_VIEWS;
                return Err(QueryError::ViewsTooDeep { view: name, most });
            }
            let defaults = Defaults {
                project: name.project().to_owned(),
                ..Defaults::default()
            };
            let query = select(&sql)?;
            let (plan, _) = Box::pin(self.plan_below(query, &defaults, &[], depth + 1)).await?;
            return Ok(Arc::new(ViewTable::new(plan, Some(sql))));
        }
        if table.kind() == "EXTERNAL" {
            self.external = true;
            return Ok(
                match external::open(self.catalog.places(), &table).map_err(CatalogError::from)? {
                    Rows::OfTable => source::provider(table)?,
                    Rows::Here(schema, batches) => {
                        Arc::new(MemTable::try_new(schema, vec![batches])?)
                    }
                },
            );
        }
        let opened = Opened::Table(Arc::clone(&table));
        self.opened.insert(key.to_owned(), opened);
        Ok(source::provider(table)?)
    }

    /// Some of the rows of a table, to be known as `key`.
    fn sample(
        &mut self,
        key: &str,
        name: &TableName,
        percent: f64,
    ) -> Result<Arc<dyn TableProvider>, QueryError> {
        let table = self.catalog.table(name)?;
        if table.kind() == "EXTERNAL" {
            match external::open(self.catalog.places(), &table).map_err(CatalogError::from)? {
                Rows::OfTable => self.external = true,
                Rows::Here(_, _) => return Err(unsupported(format!("a sample of {name}"))),
            }
        } else if table.kind() != "TABLE" {
            return Err(QueryError::Invalid {
                message: format!(
                    "TABLESAMPLE is not allowed on {name}, which is a {}",
                    table.kind()
                ),
            });
        } else {
            let opened = Opened::Table(Arc::clone(&table));
            self.opened.insert(key.to_owned(), opened);
        }
        Ok(source::sample(table, percent)?)
    }

    /// What a planned query reads. What the service would call processed are all values of every column that is read.
    ///
    /// # Errors
    /// [`QueryError`] when tables of a wildcard do not fit each other.
    pub fn read(&self, plan: &LogicalPlan) -> Result<Read, QueryError> {
        let mut read = Read {
            tables: self.tables.clone(),
            external: self.external,
            row_access: self.row_access,
            changing: self.external || self.routines || self.changing,
            ..Read::default()
        };
        let mut counted: BTreeSet<(TableName, String)> = BTreeSet::new();
        for scan in meaning::scanned(plan) {
            if let Some(Opened::Wildcard(_)) = self.opened.get(&scan.key) {
                read.changing = true;
            }
            for table in self.tables_of(&scan)? {
                if !read.tables.contains(&table.name) {
                    read.tables.push(table.name.clone());
                }
                for column in &scan.columns {
                    if counted.insert((table.name.clone(), column.clone())) {
                        read.bytes += column_bytes(&table, column);
                    }
                }
            }
        }
        read.unfiltered = required_filters::missing(plan, &|scan| {
            let required = self.required(scan);
            required.filter(|(_, columns)| !columns.is_empty())
        });
        read.stages = stages::stages(plan, &|scan| {
            let tables = self.tables_of(scan).unwrap_or_default();
            let columns = |table: &Arc<Table>| {
                let columns = scan.columns.iter();
                columns.map(|c| column_bytes(table, c)).sum::<u64>()
            };
            tables.iter().map(columns).sum()
        });
        Ok(read)
    }

    /// What a relation requires a condition on.
    fn required(&self, scan: &Scanned) -> Option<Required> {
        let opened = |table: &Table| (table.name.clone(), table.required_filter());
        match self.opened.get(&scan.key)? {
            Opened::Table(table) => Some(opened(table)),
            Opened::Arrivals(arrivals) => Some(opened(arrivals.table())),
            Opened::Wildcard(_) => None,
        }
    }

    /// The tables of a relation that are read.
    fn tables_of(&self, scan: &Scanned) -> Result<Vec<Arc<Table>>, QueryError> {
        Ok(match self.opened.get(&scan.key) {
            None => Vec::new(),
            Some(Opened::Table(table)) => vec![Arc::clone(table)],
            Some(Opened::Wildcard(wildcard)) => {
                wildcard.chosen(&self.context.state(), &scan.conditions)?
            }
            Some(Opened::Arrivals(arrivals)) => {
                vec![arrivals.chosen(&self.context.state(), &scan.conditions)?]
            }
        })
    }
}

fn names_of(provider: &dyn TableProvider) -> Vec<String> {
    let schema = provider.schema();
    schema.fields().iter().map(|f| f.name().clone()).collect()
}

/// Logical bytes of a column, none for one that the table does not have.
fn column_bytes(table: &Table, column: &str) -> u64 {
    let Ok(projection) = Projection::resolve(&table.schema, &[column.to_owned()]) else {
        return 0;
    };
    let leaves = projection.leaves();
    leaves
        .filter_map(|leaf| table.leaf_bytes.get(leaf))
        .sum::<u64>()
}

/// The query that a view is.
fn view_of(table: &Table) -> Option<String> {
    let resource = &table.metadata.as_ref()?.resource;
    let view = resource
        .get("view")
        .or_else(|| resource.get("materializedView"))?;
    view["query"].as_str().map(str::to_owned)
}
