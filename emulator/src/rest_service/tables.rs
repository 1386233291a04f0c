//! Tables and views: made, listed, described, changed, dropped.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use super::error::RestError;
use super::incoming::{Body, Params};
use super::{
    Answer, Page, RestState, Shared, blocking, merge, object, one_of, partitions, precondition,
    resource, table_layout,
};
use crate::catalog::{Catalog, CatalogError, Table};
use crate::external::{self, External};
use crate::jobs::JobError;
use crate::name::TableName;
use crate::partition_removal;
use crate::query::{self, Defaults, QueryError};
use crate::schema::{self, FieldSchema};

/// What a client may say of a table, apart from its name and its columns. Anything else is not kept, as by the service:
/// what the server sets, names that there are not, and `maxStaleness`.
const KEPT: [&str; 23] = [
    "biglakeConfiguration",
    "cloneDefinition",
    "clustering",
    "defaultCollation",
    "defaultRoundingMode",
    "description",
    "encryptionConfiguration",
    "expirationTime",
    "externalCatalogTableOptions",
    "externalDataConfiguration",
    "friendlyName",
    "labels",
    "managedTableType",
    "materializedView",
    "model",
    "partitionDefinition",
    "rangePartitioning",
    resource::FILTER_REQUIRED,
    "resourceTags",
    "tableConstraints",
    "tableReplicationInfo",
    "timePartitioning",
    "view",
];

/// What describes a view, of either kind.
const VIEWS: [&str; 2] = ["view", "materializedView"];

/// What a table is for good; replacing its description does not take it away.
const FOR_GOOD: [&str; 7] = [
    "view",
    "materializedView",
    external::CONFIGURATION,
    "timePartitioning",
    "rangePartitioning",
    "encryptionConfiguration",
    "defaultCollation",
];

/// A table's name; the part after a dollar sign names a partition and no other table.
pub(super) fn table_name(
    project: &str,
    dataset: &str,
    table: &str,
) -> Result<TableName, CatalogError> {
    let table = table.split_once('$').map_or(table, |(table, _)| table);
    Ok(TableName::try_new(project, dataset, table)?)
}

/// The checked columns of a body's `schema`, if it has one.
pub(super) fn columns(body: &Map<String, Value>) -> Result<Option<Vec<FieldSchema>>, RestError> {
    let Some(fields) = body.get("schema").and_then(|s| s.get("fields")) else {
        return Ok(None);
    };
    let fields: Vec<FieldSchema> = serde_json::from_value(fields.clone())
        .map_err(|e| RestError::invalid(&format!("Invalid schema: {e}")))?;
    schema::checked(&fields)
        .map(Some)
        .map_err(|e| RestError::invalid(&e.to_string()))
}

fn settings(mut body: Map<String, Value>) -> Map<String, Value> {
    body.retain(|key, _| KEPT.contains(&key.as_str()));
    body
}

/// A table in the REST form.
fn described(catalog: &Catalog, endpoint: &str, name: &TableName) -> Result<Value, CatalogError> {
    let table = catalog.table(name)?;
    let dataset = catalog.dataset(name.project(), name.dataset())?;
    Ok(resource::table(endpoint, dataset.location(), &table))
}

/// The columns of the view that `settings` describe. A query that cannot be planned here leaves them unknown.
///
/// # Errors
/// [`RestError`] when the view reads what is not there.
fn view_columns(
    catalog: &Catalog,
    project: &str,
    settings: &Map<String, Value>,
) -> Result<Option<Vec<FieldSchema>>, RestError> {
    let Some(view) = VIEWS.iter().find_map(|view| settings.get(*view)) else {
        return Ok(None);
    };
    let sql = view["query"].as_str().unwrap_or_default();
    if sql.trim().is_empty() {
        return Err(RestError::invalid(
            "Required parameter is missing: view.query",
        ));
    }
    let defaults = Defaults {
        project: project.to_owned(),
        ..Defaults::default()
    };
    let said_standard = view["useLegacySql"] == false;
    let standard;
    let sql = match &view["useLegacySql"] {
        Value::Bool(true) => {
            match query::to_standard(sql) {
                Ok(text) => standard = text,
                Err(QueryError::Unsupported { .. }) => return Ok(None),
                Err(e) => return Err(RestError::invalid_query(&e.to_string())),
            }
            &standard
        }
        _ => sql,
    };
    let planned = match (query::select(sql), Handle::try_current()) {
        (Err(QueryError::Syntax(e)), _) if said_standard => {
            return Err(RestError::invalid_query(&QueryError::Syntax(e).to_string()));
        }
        (Ok(select), Ok(handle)) => handle.block_on(query::plan(catalog, select, &defaults, &[])),
        _ => return Ok(None),
    };
    match planned {
        Ok(planned) => Ok(schema::checked(&schema::from_arrow(&planned.schema)).ok()),
        Err(QueryError::Catalog(e)) => Err(e.into()),
        Err(e @ (QueryError::Invalid { .. } | QueryError::NoDataset { .. })) if said_standard => {
            Err(JobError::from(e).into())
        }
        Err(_) => Ok(None),
    }
}

pub(super) async fn insert(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Body(body): Body,
) -> Answer {
    let body = object(body)?;
    let table = body
        .get("tableReference")
        .and_then(|r| r.get("tableId"))
        .and_then(Value::as_str)
        .ok_or_else(|| RestError::invalid("Required parameter is missing: tableReference.tableId"))?
        .to_owned();
    let columns = columns(&body)?.unwrap_or_default();
    let mut settings = settings(body);
    settings.retain(|_, value| !value.is_null());
    let of_others = ["view", "materializedView", external::CONFIGURATION];
    if !of_others.iter().any(|key| settings.contains_key(*key)) {
        table_layout::check(&settings, &columns)?;
    }
    let endpoint = state.endpoint.clone();
    let made = blocking(&state, move |catalog| {
        let name = TableName::try_new(&project, &dataset, &table).map_err(CatalogError::from)?;
        catalog.require_dataset(&project, &dataset)?;
        let columns = if columns.is_empty() {
            match External::of(&settings, catalog.places()) {
                Some(external) => external.columns_of_table().map_err(CatalogError::from)?,
                None => view_columns(catalog, &project, &settings)?.unwrap_or_default(),
            }
        } else {
            match External::of(&settings, catalog.places()) {
                Some(external) => external
                    .with_directories(columns)
                    .map_err(CatalogError::from)?,
                None => columns,
            }
        };
        catalog.create_table(&name, columns, settings)?;
        described(catalog, &endpoint, &name).map_err(RestError::from)
    })
    .await?;
    Ok(Json(made))
}

/// All tables whose names begin alike, described as the newest of them.
fn wildcard(
    catalog: &Catalog,
    endpoint: &str,
    (project, dataset, prefix): (&str, &str, &str),
) -> Result<Value, CatalogError> {
    catalog.require_dataset(project, dataset)?;
    let mut newest: Option<Arc<Table>> = None;
    let ids = catalog.tables(project, dataset)?;
    for id in ids.iter().filter(|id| id.starts_with(prefix)) {
        let table = catalog.table(&table_name(project, dataset, id)?)?;
        let known = newest.as_ref().map(|known| known.created_us());
        if known.is_none_or(|known| table.created_us() >= known) {
            newest = Some(table);
        }
    }
    let newest = newest.ok_or_else(|| CatalogError::NoMatch {
        pattern: format!("{project}:{dataset}.{prefix}*"),
    })?;
    let mut described = described(catalog, endpoint, &newest.name)?;
    described["id"] = json!(format!("{project}:{dataset}.{prefix}*"));
    described["tableReference"]["tableId"] = json!(format!("{prefix}*"));
    Ok(described)
}

/// How much of a table is told.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TableView {
    view: Option<String>,
    selected_fields: Option<String>,
}

pub(super) async fn get(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
    Params(view): Params<TableView>,
    headers: HeaderMap,
) -> Answer {
    one_of(
        "view",
        view.view.as_deref(),
        &[
            "TABLE_METADATA_VIEW_UNSPECIFIED",
            "BASIC",
            "STORAGE_STATS",
            "FULL",
        ],
    )?;
    let endpoint = state.endpoint.clone();
    let mut found = blocking(&state, move |catalog| {
        if let Some(prefix) = table.strip_suffix('*') {
            return wildcard(catalog, &endpoint, (&project, &dataset, prefix));
        }
        let name = table_name(&project, &dataset, &table)?;
        let whole = described(catalog, &endpoint, &name)?;
        Ok::<_, CatalogError>(match partitions::asked_of(&table) {
            Some(_) => partitions::table(whole),
            None => whole,
        })
    })
    .await?;
    precondition::check_news(&headers, &found)?;
    if view.view.as_deref() == Some("BASIC") {
        resource::without_statistics(&mut found);
    }
    let wanted = view.selected_fields.as_deref().unwrap_or_default();
    if !wanted.is_empty() {
        let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
        if let Some(fields) = found.pointer_mut("/schema/fields") {
            resource::selected(fields, &wanted);
        }
    }
    Ok(Json(found))
}

/// Keys given are set, keys given as null are removed, others stay. Columns can be added and relaxed.
pub(super) async fn patch(
    State(state): Shared,
    Path(path): Path<(String, String, String)>,
    Params(asked): Params<Detection>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    change(&state, path, asked, headers, object(body)?, merge).await
}

/// The whole description is replaced, apart from what a table is for good; columns that are not given stay.
pub(super) async fn update(
    State(state): Shared,
    Path(path): Path<(String, String, String)>,
    Params(asked): Params<Detection>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    change(&state, path, asked, headers, object(body)?, |old, new| {
        old.retain(|key, _| FOR_GOOD.contains(&key.as_str()));
        merge(old, new);
    })
    .await
}

/// The changed columns in the order of those there were; new ones come last, wherever they were put.
fn added_last(old: &[FieldSchema], changed: Vec<FieldSchema>) -> Vec<FieldSchema> {
    let place = |column: &FieldSchema| {
        old.iter()
            .position(|o| o.name.eq_ignore_ascii_case(&column.name))
            .unwrap_or(old.len())
    };
    let mut columns: Vec<FieldSchema> = changed
        .into_iter()
        .map(|mut column| {
            if let Some(known) = old.get(place(&column)) {
                column.fields = added_last(&known.fields, column.fields);
            }
            column
        })
        .collect();
    // Stable, so that new columns stay in the order given.
    columns.sort_by_key(place);
    columns
}

/// Whether the columns of external data are to be looked for again.
#[derive(Debug, Deserialize)]
pub(super) struct Detection {
    autodetect_schema: Option<String>,
}

impl Detection {
    /// Clients write the word in letters of either case.
    fn is_wanted(&self) -> bool {
        let word = self.autodetect_schema.as_deref();
        word.is_some_and(|word| word.eq_ignore_ascii_case("true"))
    }
}

async fn change(
    state: &Arc<RestState>,
    (project, dataset, table): (String, String, String),
    asked: Detection,
    headers: HeaderMap,
    body: Map<String, Value>,
    combine: impl Fn(&mut Map<String, Value>, Map<String, Value>) + Send + 'static,
) -> Answer {
    let columns = columns(&body)?;
    let settings = settings(body);
    let endpoint = state.endpoint.clone();
    let changed = blocking(state, move |catalog| {
        let name = table_name(&project, &dataset, &table)?;
        precondition::check(&headers, &described(catalog, &endpoint, &name)?)?;
        let mut whole = Map::new();
        if let Some(known) = catalog.table(&name)?.metadata.as_ref() {
            if known.kind() == "TABLE" {
                let new = columns.as_deref().filter(|columns| !columns.is_empty());
                table_layout::check(&settings, new.unwrap_or(&known.schema))?;
                table_layout::check_change(&known.resource, &settings)?;
            }
            whole.clone_from(&known.resource);
        }
        combine(&mut whole, settings.clone());
        // Of a view a client may say again only what changes.
        let of_view = || match VIEWS.iter().any(|view| settings.contains_key(*view)) {
            true => view_columns(catalog, &project, &whole),
            false => Ok(None),
        };
        let columns = match columns {
            Some(columns) if !columns.is_empty() => Some(columns),
            _ if asked.is_wanted() => match External::of(&settings, catalog.places()) {
                Some(external) => Some(external.columns_of_table().map_err(CatalogError::from)?),
                None => of_view()?,
            },
            // No columns at all change none.
            Some(_) | None => of_view()?,
        };
        catalog.update_table(&name, |metadata| {
            if let Some(columns) = columns {
                if metadata.kind() == "TABLE" {
                    schema::check_change(&name.to_string(), &metadata.schema, &columns)?;
                    metadata.schema = added_last(&metadata.schema, columns);
                } else {
                    metadata.schema = columns;
                }
            }
            let filter = settings.get(resource::FILTER_REQUIRED).cloned();
            combine(&mut metadata.resource, settings);
            resource::require_filter(&mut metadata.resource, filter);
            Ok(())
        })?;
        Ok::<_, RestError>(described(catalog, &endpoint, &name)?)
    })
    .await?;
    Ok(Json(changed))
}

pub(super) async fn delete(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, RestError> {
    let endpoint = state.endpoint.clone();
    blocking(&state, move |catalog| {
        let name = table_name(&project, &dataset, &table)?;
        precondition::check(&headers, &described(catalog, &endpoint, &name)?)?;
        match table.split_once('$') {
            Some((_, id)) => Ok(partition_removal::empty(catalog, &name, id)?),
            None => catalog.drop_table(&name).map_err(RestError::from),
        }
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn list(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Params(page): Params<Page>,
) -> Answer {
    let (p, d) = (project.clone(), dataset.clone());
    let all = blocking(&state, move |catalog| {
        let mut tables = Vec::new();
        for id in catalog.tables(&p, &d)? {
            match catalog.table(&TableName::try_new(&p, &d, &id)?) {
                Ok(table) => tables.push(table),
                // Expired, or a directory that holds no table.
                Err(CatalogError::TableNotFound { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(tables)
    })
    .await?;
    let total = all.len();
    let (tables, next) = page.take(all)?;
    Ok(Json(resource::table_list(&tables, total, next)))
}
