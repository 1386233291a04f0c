//! From an address to the way it is read: a table through the Storage Read API, anything else by a query.
//!
//! Owns that choice. Must not know how either is done.

use std::sync::Arc;

use google_cloud_bigquery_v2::model::Table;

use super::limit_offset::LimitOffsetSource;
use super::query_job::Query;
use super::query_job::parameters::parameters;
use super::query_source::{Asked, QuerySource, TABLE_SUFFIX};
use super::settings::QuerySettings;
use super::table::TableName;
use super::{BigQuerySettings, BigQuerySource, failure};
use crate::error::{Error, Result};
use crate::recipe::{BigQueryOptions, BigQuerySqlSpec, ReadBy};
use crate::source::Source;
use crate::source::connect::Connecting;

/// Connects `project.dataset.table`. Whether it is a table is learned by trying to read it, which costs nothing and needs no
/// further permission; only when it is not one, the REST API is asked what it is.
///
/// # Errors
/// As the service refuses what is there.
pub(crate) async fn connect_address(
    written: &str,
    mut options: BigQueryOptions,
    mut connecting: Connecting,
) -> Result<Arc<dyn Source>> {
    options.endpoint = options.endpoint.or_else(|| connecting.emulator.clone());
    options.max_bytes = connecting.max_bytes.or(options.max_bytes);
    options.billing_project = connecting.payer(options.billing_project.as_ref());
    if let Some(prefix) = wildcard(written)? {
        return of_wildcard(prefix, options, connecting).await;
    }
    let name = TableName::parse(written)?;
    if options.read == ReadBy::LimitOffset {
        return in_chunks(name, options, connecting).await;
    }
    only_storage(&options)?;
    let own = BigQuerySettings {
        credentials: connecting.credentials.clone(),
        ..BigQuerySettings::default()
    };
    let error = match BigQuerySource::connect_with(written, options.clone(), own).await {
        Ok(source) => {
            return Ok(Arc::new(match connecting.earlier.take() {
                Some(earlier) => source.going_on(earlier)?,
                None => source,
            }));
        }
        Err(error) => error,
    };
    if !failure::is_of_no_table(&error) {
        return Err(error);
    }
    let project = options
        .billing_project
        .clone()
        .unwrap_or_else(|| name.project().to_owned());
    let (mut settings, rest) = QuerySettings::of_options(options, project, &connecting).await?;
    let kind = match rest.table(&name).await {
        Ok(table) => {
            if !table.location.is_empty() {
                settings.location.get_or_insert(table.location.clone());
            }
            kind_of(&table)
        }
        // The query will tell whether that matters.
        Err(error) => {
            tracing::debug!(%error, table = %name, "cannot tell what it is");
            "no table".to_owned()
        }
    };
    let asked = Asked::From {
        quoted: name.quoted(),
        kind,
        pseudo: None,
    };
    let source = QuerySource::connect(
        format!("bigquery://{name}"),
        asked,
        (settings, rest),
        connecting,
    )
    .await?;
    Ok(Arc::new(source))
}

/// The tables' common prefix, as a table's name, when `written` ends with a star.
///
/// # Errors
/// Config for a star without anything before it in the table's name, or elsewhere.
fn wildcard(written: &str) -> Result<Option<TableName>> {
    match written.strip_suffix('*') {
        Some(prefix) => TableName::parse(prefix).map(Some),
        None => Ok(None),
    }
}

/// Connects all tables whose names begin alike. Only SQL can read them as one.
async fn of_wildcard(
    prefix: TableName,
    options: BigQueryOptions,
    connecting: Connecting,
) -> Result<Arc<dyn Source>> {
    only_storage(&options)?;
    let project = options
        .billing_project
        .clone()
        .unwrap_or_else(|| prefix.project().to_owned());
    let settings = QuerySettings::of_options(options, project, &connecting).await?;
    let asked = Asked::From {
        quoted: format!("`{prefix}*`"),
        kind: "a wildcard over tables".to_owned(),
        pseudo: Some(TABLE_SUFFIX),
    };
    let name = format!("bigquery://{prefix}*");
    let source = QuerySource::connect(name, asked, settings, connecting).await?;
    Ok(Arc::new(source))
}

/// Refuses settings of another way of reading.
fn only_storage(options: &BigQueryOptions) -> Result<()> {
    if options.chunk_rows.is_some()
        || !options.order_by.is_empty()
        || options.read == ReadBy::LimitOffset
    {
        return Err(Error::config(
            "chunk_rows and order_by belong to `read: limit_offset`, which reads one table or view: leave them out",
        ));
    }
    Ok(())
}

/// Connects a table that is read chunk by chunk.
async fn in_chunks(
    name: TableName,
    options: BigQueryOptions,
    connecting: Connecting,
) -> Result<Arc<dyn Source>> {
    if options.snapshot_time.is_some() || options.work_units.is_some() {
        return Err(Error::config(
            "snapshot_time and work_units need the Storage Read API: leave out `read: limit_offset`",
        ));
    }
    let project = options
        .billing_project
        .clone()
        .unwrap_or_else(|| name.project().to_owned());
    let chunks = (options.chunk_rows, options.order_by.clone());
    let settings = QuerySettings::of_options(options, project, &connecting).await?;
    let source = LimitOffsetSource::connect(name, chunks, settings, connecting).await?;
    Ok(Arc::new(source))
}

/// Connects a query as the user wrote it.
///
/// # Errors
/// Config for a query or settings that are wrong, and as the service refuses it.
pub(crate) async fn connect_sql(
    sql: &BigQuerySqlSpec,
    connecting: Connecting,
) -> Result<Arc<dyn Source>> {
    if sql.bigquery_sql.trim().is_empty() {
        return Err(Error::config("bigquery_sql is empty"));
    }
    let parameters = parameters(&sql.parameters)?;
    let (settings, rest) = QuerySettings::of_sql(sql, &connecting).await?;
    let query = Query {
        sql: sql.bigquery_sql.clone(),
        parameters,
        location: settings.location.clone(),
        maximum_bytes_billed: settings.max_bytes,
    };
    let source = QuerySource::connect(
        "bigquery_sql".to_owned(),
        Asked::Sql(query),
        (settings, rest),
        connecting,
    )
    .await?;
    Ok(Arc::new(source))
}

/// What a table is, for people.
fn kind_of(table: &Table) -> String {
    match table.r#type.as_str() {
        "VIEW" => "a view".to_owned(),
        "MATERIALIZED_VIEW" => "a materialized view".to_owned(),
        "EXTERNAL" => "an external table".to_owned(),
        "SNAPSHOT" => "a snapshot".to_owned(),
        "TABLE" => "a table".to_owned(),
        other => format!("of type {other:?}"),
    }
}
