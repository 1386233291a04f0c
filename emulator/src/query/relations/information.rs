//! `INFORMATION_SCHEMA` and `__TABLES__`: what there is, as tables that are made when they are read.
//!
//! Owns their names, scopes and columns. Must not know how a query is written.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use serde_json::{Map, Value, json};

use crate::catalog::{Catalog, CatalogError, Table};
use crate::cells::{self, JsonReading, UnknownFields, json_row};
use crate::name::{TableName, is_hidden_dataset};
use crate::query::{Defaults, QueryError, sql_types, text::escapes, unsupported};
use crate::schema::{self, FieldSchema};

mod columns;
mod constraints;
mod datasets;
mod definition;
mod jobs;
mod options;
mod partitions;
mod privileges;
mod routines;
mod sessions;
mod tables;

pub(crate) use jobs::JobsBefore;

/// One row, by the names of its columns; what is left out is null.
type Row = Map<String, Value>;

/// Names and types of columns.
type Columns = &'static [(&'static str, &'static str)];

/// What stands behind a table's name for its partitions.
pub(in crate::query) const SUMMARY: &str = "$__PARTITIONS_SUMMARY__";

/// Which things a view is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Schemata,
    SchemataOptions,
    Tables,
    TableOptions,
    TableStorage,
    Columns,
    ColumnFieldPaths,
    Views,
    MaterializedViews,
    Partitions,
    Routines,
    Parameters,
    ObjectPrivileges,
    TableConstraints,
    KeyColumnUsage,
    ConstraintColumnUsage,
    Jobs,
    Sessions,
    /// `__TABLES__`.
    Sizes,
    /// `table$__PARTITIONS_SUMMARY__`.
    PartitionsSummary,
}

/// Which datasets a view looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    Dataset(String),
    /// One table of a dataset.
    Table(String, String),
    /// All of a region, in lower case.
    Region(String),
    /// All of them.
    Project,
}

/// One view of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::query) struct View {
    kind: Kind,
    project: String,
    scope: Scope,
}

/// A table or a dataset that a view tells about.
struct Seen<'a> {
    project: &'a str,
    dataset: &'a str,
}

impl View {
    /// The view that the parts of a name mean; `None` when they are those of a table.
    ///
    /// # Errors
    /// [`QueryError`] for a view that there is not, or one without a dataset or region that needs it.
    pub fn named(parts: &[String], defaults: &Defaults) -> Result<Option<Self>, QueryError> {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let whole = || parts.join(".");
        let missing = || QueryError::NoDataset { name: whole() };
        let (kind, qualifiers) = match parts.as_slice() {
            [qualifiers @ .., sizes] if sizes.eq_ignore_ascii_case("__TABLES__") => {
                (Kind::Sizes, qualifiers)
            }
            [qualifiers @ .., schema, view]
                if schema.eq_ignore_ascii_case("INFORMATION_SCHEMA") =>
            {
                let kind =
                    Kind::of(view).ok_or_else(|| unsupported(format!("the view {}", whole())))?;
                (kind, qualifiers)
            }
            [qualifiers @ .., table] => {
                let Some(table) = table.strip_suffix(SUMMARY) else {
                    return Ok(None);
                };
                let (project, dataset) = match (qualifiers, defaults.dataset.as_ref()) {
                    ([], Some((project, dataset))) => (project.as_str(), dataset.as_str()),
                    ([dataset], _) => (defaults.project.as_str(), *dataset),
                    ([project, dataset], _) => (*project, *dataset),
                    _ => return Err(missing()),
                };
                return Ok(Some(Self {
                    kind: Kind::PartitionsSummary,
                    project: project.to_owned(),
                    scope: Scope::Table(dataset.to_owned(), table.to_owned()),
                }));
            }
            [] => return Ok(None),
        };
        let scoped = |project: &str, scope: &str| {
            let region = scope.to_ascii_lowercase();
            let scope = match region.strip_prefix("region-") {
                Some(region) => Scope::Region(region.to_owned()),
                None => Scope::Dataset(scope.to_owned()),
            };
            (project.to_owned(), scope)
        };
        let of_project = kind.is_of_project();
        let (project, scope) = match (qualifiers, defaults.dataset.as_ref()) {
            ([], _) if of_project => (defaults.project.clone(), Scope::Project),
            ([], Some((project, dataset))) => (project.clone(), Scope::Dataset(dataset.clone())),
            ([], None) => return Err(missing()),
            // A project alone, where no dataset can be meant; jobs are asked for by region.
            ([one], _)
                if of_project
                    && !kind.is_of_jobs()
                    && !one.to_ascii_lowercase().starts_with("region-") =>
            {
                ((*one).to_owned(), Scope::Project)
            }
            ([scope], _) => scoped(&defaults.project, scope),
            ([project, scope], _) => scoped(project, scope),
            _ => return Err(missing()),
        };
        let by_dataset = matches!(scope, Scope::Dataset(_));
        if of_project && by_dataset || kind == Kind::Sizes && !by_dataset {
            return Err(unsupported(format!("the view {} of that scope", whole())));
        }
        Ok(Some(Self {
            kind,
            project,
            scope,
        }))
    }

    /// The name it is registered under, which no table has.
    pub fn key(&self) -> String {
        format!(
            "information {:?} {} {:?}",
            self.kind, self.project, self.scope
        )
    }

    /// Its rows now; nobody has run a job where nobody knows of any.
    ///
    /// # Errors
    /// [`QueryError`] when the dataset is not there, or the catalog cannot be read.
    pub fn rows(
        &self,
        catalog: &Catalog,
        before: Option<&dyn JobsBefore>,
    ) -> Result<RecordBatch, QueryError> {
        let mut rows = Vec::new();
        if self.kind.is_of_jobs() {
            let region = match &self.scope {
                Scope::Region(region) => Some(region.as_str()),
                _ => None,
            };
            let all = before.map(|before| before.of(&self.project));
            let all = all.unwrap_or_default();
            let ran = all.iter().filter(|job| jobs::ran_in(job, region));
            let rows = match self.kind {
                Kind::Sessions => {
                    let open = before.map(JobsBefore::open_sessions).unwrap_or_default();
                    sessions::rows(ran, &open)
                }
                _ => ran.map(jobs::job).collect(),
            };
            return batch(self.kind.columns(), rows);
        }
        if let Scope::Table(dataset, table) = &self.scope {
            let table = catalog.table(&TableName::try_new(&self.project, dataset, table)?)?;
            rows.extend(partitions::summary(&table)?);
            return batch(self.kind.columns(), rows);
        }
        for dataset in self.datasets(catalog)? {
            let seen = Seen {
                project: &self.project,
                dataset: &dataset,
            };
            match self.kind {
                Kind::Schemata => rows.push(datasets::schema(catalog, &seen)?),
                Kind::SchemataOptions => rows.extend(datasets::options(catalog, &seen)?),
                Kind::Routines => rows.extend(routines::rows(catalog, &seen)?),
                Kind::Parameters => rows.extend(routines::parameters(catalog, &seen)?),
                Kind::ObjectPrivileges => {
                    rows.extend(privileges::of_dataset(catalog, &seen)?);
                    for table in all_tables(catalog, &seen)? {
                        rows.extend(privileges::of_table(&table));
                    }
                }
                _ => {
                    for table in all_tables(catalog, &seen)? {
                        self.of_table(&table, &mut rows)?;
                    }
                }
            }
        }
        batch(self.kind.columns(), rows)
    }

    /// The datasets it looks at.
    fn datasets(&self, catalog: &Catalog) -> Result<Vec<String>, QueryError> {
        let region = match &self.scope {
            Scope::Dataset(dataset) => {
                catalog.require_dataset(&self.project, dataset)?;
                return Ok(vec![dataset.clone()]);
            }
            Scope::Region(region) => Some(region),
            Scope::Project | Scope::Table(_, _) => None,
        };
        let mut found = Vec::new();
        for dataset in catalog.datasets(&self.project)? {
            // Those of the service itself.
            if is_hidden_dataset(&dataset) {
                continue;
            }
            let location = catalog.dataset(&self.project, &dataset)?;
            if region.is_none_or(|region| location.location().eq_ignore_ascii_case(region)) {
                found.push(dataset);
            }
        }
        Ok(found)
    }

    fn of_table(&self, table: &Arc<Table>, rows: &mut Vec<Row>) -> Result<(), QueryError> {
        match self.kind {
            Kind::Tables => rows.push(tables::table(table)),
            Kind::TableStorage => rows.extend(tables::storage(table)),
            Kind::Sizes => rows.push(tables::sizes(table)),
            Kind::Views => rows.extend(tables::view(table)),
            Kind::MaterializedViews => rows.extend(tables::materialized_view(table)),
            Kind::TableOptions => rows.extend(options::of_table(table)),
            Kind::Columns => rows.extend(columns::columns(table)),
            Kind::ColumnFieldPaths => rows.extend(columns::field_paths(table)),
            Kind::Partitions => rows.extend(partitions::rows(table)?),
            Kind::TableConstraints => rows.extend(constraints::constraints(table)),
            Kind::KeyColumnUsage => rows.extend(constraints::key_columns(table)),
            Kind::ConstraintColumnUsage => rows.extend(constraints::used_columns(table)),
            Kind::Schemata
            | Kind::SchemataOptions
            | Kind::Routines
            | Kind::Parameters
            | Kind::ObjectPrivileges
            | Kind::Jobs
            | Kind::Sessions
            | Kind::PartitionsSummary => {}
        }
        Ok(())
    }
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "SCHEMATA" => Self::Schemata,
            "SCHEMATA_OPTIONS" => Self::SchemataOptions,
            "TABLES" => Self::Tables,
            "TABLE_OPTIONS" => Self::TableOptions,
            "TABLE_STORAGE" | "TABLE_STORAGE_BY_PROJECT" => Self::TableStorage,
            "COLUMNS" => Self::Columns,
            "COLUMN_FIELD_PATHS" => Self::ColumnFieldPaths,
            "VIEWS" => Self::Views,
            "MATERIALIZED_VIEWS" => Self::MaterializedViews,
            "PARTITIONS" => Self::Partitions,
            "ROUTINES" => Self::Routines,
            "PARAMETERS" => Self::Parameters,
            "OBJECT_PRIVILEGES" => Self::ObjectPrivileges,
            "JOBS" | "JOBS_BY_PROJECT" | "JOBS_BY_USER" => Self::Jobs,
            "SESSIONS" | "SESSIONS_BY_PROJECT" | "SESSIONS_BY_USER" => Self::Sessions,
            "TABLE_CONSTRAINTS" => Self::TableConstraints,
            "KEY_COLUMN_USAGE" => Self::KeyColumnUsage,
            "CONSTRAINT_COLUMN_USAGE" => Self::ConstraintColumnUsage,
            _ => return None,
        })
    }

    /// Whether it is about datasets, so that none can be named before it.
    fn is_of_project(self) -> bool {
        matches!(
            self,
            Self::Schemata
                | Self::SchemataOptions
                | Self::TableStorage
                | Self::ObjectPrivileges
                | Self::Jobs
                | Self::Sessions
        )
    }

    /// Whether it is about what jobs there have been.
    fn is_of_jobs(self) -> bool {
        matches!(self, Self::Jobs | Self::Sessions)
    }

    fn columns(self) -> Columns {
        match self {
            Self::Schemata => datasets::SCHEMATA,
            Self::SchemataOptions => datasets::SCHEMATA_OPTIONS,
            Self::Tables => tables::TABLES,
            Self::TableStorage => tables::TABLE_STORAGE,
            Self::Jobs => jobs::JOBS,
            Self::Sessions => sessions::SESSIONS,
            Self::Sizes => tables::SIZES,
            Self::Views => tables::VIEWS,
            Self::MaterializedViews => tables::MATERIALIZED_VIEWS,
            Self::TableOptions => options::TABLE_OPTIONS,
            Self::Columns => columns::COLUMNS,
            Self::ColumnFieldPaths => columns::COLUMN_FIELD_PATHS,
            Self::Partitions => partitions::PARTITIONS,
            Self::PartitionsSummary => partitions::SUMMARY,
            Self::Routines => routines::ROUTINES,
            Self::Parameters => routines::PARAMETERS,
            Self::ObjectPrivileges => privileges::OBJECT_PRIVILEGES,
            Self::TableConstraints => constraints::TABLE_CONSTRAINTS,
            Self::KeyColumnUsage => constraints::KEY_COLUMN_USAGE,
            Self::ConstraintColumnUsage => constraints::CONSTRAINT_COLUMN_USAGE,
        }
    }
}

/// The tables of a dataset, by name.
fn all_tables(catalog: &Catalog, seen: &Seen<'_>) -> Result<Vec<Arc<Table>>, QueryError> {
    let mut found = Vec::new();
    for id in catalog.tables(seen.project, seen.dataset)? {
        match catalog.table(&TableName::try_new(seen.project, seen.dataset, &id)?) {
            Ok(table) => found.push(table),
            // Expired, or a directory that holds no table.
            Err(CatalogError::TableNotFound { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(found)
}

/// The columns that say which table a row is about.
fn head(table: &Table) -> Row {
    let name = &table.name;
    row(json!({
        "table_catalog": name.project(),
        "table_schema": name.dataset(),
        "table_name": name.table(),
    }))
}

/// A row of an object.
fn row(value: Value) -> Row {
    match value {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}

/// A row with more columns.
fn with(mut head: Row, more: Value) -> Row {
    head.extend(row(more));
    head
}

/// What a client set of a table beside its columns.
fn setting<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    table.metadata.as_ref()?.resource.get(key)
}

/// The columns of a table in BigQuery's form.
fn fields(table: &Table) -> Vec<FieldSchema> {
    match &table.metadata {
        Some(metadata) if !metadata.schema.is_empty() => metadata.schema.clone(),
        _ => schema::from_arrow(&table.schema),
    }
}

fn yes(flag: bool) -> &'static str {
    if flag { "YES" } else { "NO" }
}

/// A time as JSON writes it.
fn time(micros: i64) -> Value {
    let time = chrono::DateTime::from_timestamp_micros(micros);
    time.map_or(Value::Null, |time| {
        json!(time.format("%Y-%m-%d %H:%M:%S%.6f UTC").to_string())
    })
}

fn batch(columns: Columns, rows: Vec<Row>) -> Result<RecordBatch, QueryError> {
    let fields = columns.iter().map(|(name, kind)| match kind.contains('<') {
        true => {
            let mut parser = escapes::parser(kind)?;
            sql_types::column(name, &parser.parse_data_type()?)
        }
        false => Ok(sql_types::plain(name, kind)),
    });
    let fields = fields.collect::<Result<Vec<FieldSchema>, QueryError>>()?;
    let schema = Arc::new(schema::to_arrow(&fields));
    let reading = JsonReading::of_file(UnknownFields::Refuse);
    let broken = |e: String| QueryError::Plan(DataFusionError::Internal(e));
    let rows = rows
        .into_iter()
        .map(|row| json_row(schema.fields(), &Value::Object(row), reading))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| broken(format!("{e:?}")))?;
    cells::batch(&schema, &rows).map_err(|e| broken(format!("{e:?}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn named(name: &str, dataset: Option<&str>) -> Result<Option<View>, String> {
        let defaults = Defaults {
            project: "p".to_owned(),
            dataset: dataset.map(|d| ("q".to_owned(), d.to_owned())),
            ..Defaults::default()
        };
        let parts: Vec<String> = name.split('.').map(str::to_owned).collect();
        View::named(&parts, &defaults).map_err(|e| e.to_string())
    }

    fn view(kind: Kind, project: &str, scope: Scope) -> Option<View> {
        Some(View {
            kind,
            project: project.to_owned(),
            scope,
        })
    }

    #[test]
    fn names_say_which_datasets_are_meant() {
        let dataset = |d: &str| Scope::Dataset(d.to_owned());
        for (name, default, wanted) in [
            ("d.t", None, None),
            (
                "d.information_schema.tables",
                None,
                view(Kind::Tables, "p", dataset("d")),
            ),
            (
                "x.d.INFORMATION_SCHEMA.COLUMNS",
                None,
                view(Kind::Columns, "x", dataset("d")),
            ),
            (
                "INFORMATION_SCHEMA.COLUMNS",
                Some("e"),
                view(Kind::Columns, "q", dataset("e")),
            ),
            (
                "INFORMATION_SCHEMA.SCHEMATA",
                None,
                view(Kind::Schemata, "p", Scope::Project),
            ),
            (
                "x.INFORMATION_SCHEMA.SCHEMATA",
                None,
                view(Kind::Schemata, "x", Scope::Project),
            ),
            (
                "x.region-EU.INFORMATION_SCHEMA.TABLES",
                None,
                view(Kind::Tables, "x", Scope::Region("eu".to_owned())),
            ),
            (
                "region-us.INFORMATION_SCHEMA.JOBS_BY_USER",
                None,
                view(Kind::Jobs, "p", Scope::Region("us".to_owned())),
            ),
            ("d.__TABLES__", None, view(Kind::Sizes, "p", dataset("d"))),
        ] {
            assert_eq!(named(name, default).unwrap(), wanted, "{name}");
        }
        assert!(named("INFORMATION_SCHEMA.TABLES", None).is_err());
        let unknown = named("d.INFORMATION_SCHEMA.STREAMING", None).unwrap_err();
        assert_eq!(
            unknown,
            "the view d.INFORMATION_SCHEMA.STREAMING is not supported by this emulator"
        );
        assert!(named("x.d.INFORMATION_SCHEMA.JOBS", None).is_err());
        assert!(named("x.d.INFORMATION_SCHEMA.SCHEMATA", None).is_err());
    }
}
