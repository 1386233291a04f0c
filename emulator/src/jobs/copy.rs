//! Copy jobs: the rows of one or more tables into another.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::destination::{self, Arrival, Destination, Dispositions};
use super::load::arranged;
use super::{Done, JobError, Work};
use crate::catalog::{CatalogError, Commit, Table};
use crate::partition_ids;
use crate::row_access::{RowAccessPolicy, Visible};
use crate::schema::{self, FieldSchema};
use crate::table_rows::TableRows;

/// Whether rows come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    All,
    /// Only what the table is like.
    None,
}

/// What a new table takes over of the first one that is copied.
const LAYOUT: [&str; 3] = ["timePartitioning", "rangePartitioning", "clustering"];

pub(super) fn run(work: &mut Work<'_>) -> Result<Done, JobError> {
    let settings = work.configuration["copy"].clone();
    let (target, rows, bytes) = copy(work, &settings, Rows::All)?;
    let mut done = Done::at(work, &target);
    let statistics =
        json!({"copiedRows": rows.to_string(), "copiedLogicalBytes": bytes.to_string()});
    done.statistics.insert("copy".to_owned(), statistics);
    Ok(done)
}

/// Copies whole tables; the rows are written anew, those of a table partitioned by arrival into the partitions they were in.
///
/// # Errors
/// [`JobError`] for tables that are not there, and for a destination that cannot take their rows.
pub(super) fn copy(
    work: &Work<'_>,
    settings: &Value,
    rows: Rows,
) -> Result<(Destination, u64, u64), JobError> {
    let mut settings = settings.clone();
    let target = destination::reference(&settings["destinationTable"], work.project)?;
    work.check_place(&target.table)?;
    let sources: Vec<Value> = match &settings["sourceTables"] {
        Value::Array(all) => all.clone(),
        _ => vec![settings["sourceTable"].clone()],
    };
    let mut tables = Vec::new();
    for source in &sources {
        let (table, columns) = source_of(work, source)?;
        work.check_place(&table.name)?;
        if rows == Rows::All {
            Visible::check_all(&table).map_err(CatalogError::from)?;
        }
        tables.push((table, columns));
    }
    let Some((first, columns)) = tables.first() else {
        return Err(JobError::invalid(
            "Required parameter is missing: sourceTables",
        ));
    };
    let of_first = first.metadata.as_ref().map(|m| &m.resource);
    if target.partition.is_none() && LAYOUT.iter().all(|key| settings[*key].is_null()) {
        for key in LAYOUT {
            if let Some(value) = of_first.and_then(|resource| resource.get(key)) {
                settings[key] = value.clone();
            }
        }
    }
    let definition = definition(work, &settings, first)?;
    let policies = match rows {
        Rows::All => policies(work, &settings, &target, &tables)?,
        Rows::None => None,
    };
    let dispositions = Dispositions::new(&settings, "WRITE_EMPTY");
    destination::prepare(work, &target, columns, &dispositions)?;
    if let Some(policies) = policies {
        work.catalog.update_table(&target.table, |metadata| {
            metadata.row_access = policies;
            Ok(())
        })?;
    }
    let (mut written, mut bytes) = (0, 0);
    if rows == Rows::All {
        let by_arrival =
            target.partition.is_none() && work.catalog.table(&target.table)?.has_partition_time();
        for (into, parts) in parts(&target, tables, by_arrival)? {
            let commit = write(work, &into, parts)?;
            written += commit.rows;
            bytes += commit.bytes;
        }
    }
    let ends = expiration(&settings)?;
    let told: Vec<(&str, Value)> = definition.into_iter().chain(ends).collect();
    if !told.is_empty() {
        work.catalog.update_table(&target.table, |metadata| {
            let told = told.into_iter().map(|(key, value)| (key.to_owned(), value));
            metadata.resource.extend(told);
            Ok(())
        })?;
    }
    Ok((target, written, bytes))
}

/// The row access policies that a copy has: those of its sources, and where rows are appended its own, too. `None` where they stay as they are.
fn policies(
    work: &Work<'_>,
    settings: &Value,
    target: &Destination,
    sources: &[(Arc<Table>, Vec<FieldSchema>)],
) -> Result<Option<Vec<RowAccessPolicy>>, JobError> {
    let own = match work.catalog.row_access(&target.table) {
        Ok(own) => own,
        Err(CatalogError::TableNotFound { .. }) => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    let appends = settings["writeDisposition"] == "WRITE_APPEND";
    let mut all = if appends { own.clone() } else { Vec::new() };
    for (source, _) in sources {
        // A source that has been dropped since still has its own.
        let policies = source.metadata.iter().flat_map(|known| &known.row_access);
        for policy in policies.cloned() {
            if all.iter().any(|known| known.name == policy.name) {
                return Err(JobError::invalid(format!(
                    "Row access policy {} is on more than one of the tables that become {}",
                    policy.name, target.table
                )));
            }
            all.push(policy);
        }
    }
    Ok((all != own).then_some(all))
}

/// What a snapshot or a clone says of the table it was made of.
fn definition(
    work: &Work<'_>,
    settings: &Value,
    source: &Table,
) -> Result<Option<(&'static str, Value)>, JobError> {
    let (key, time) = match settings["operationType"].as_str().unwrap_or("COPY") {
        "COPY" | "RESTORE" | "OPERATION_TYPE_UNSPECIFIED" => return Ok(None),
        "SNAPSHOT" => ("snapshotDefinition", "snapshotTime"),
        "CLONE" => ("cloneDefinition", "cloneTime"),
        other => {
            return Err(JobError::invalid(format!(
                "Invalid value for operationType: {other}"
            )));
        }
    };
    let now = DateTime::<Utc>::from(work.now).to_rfc3339_opts(SecondsFormat::Millis, true);
    let base = super::query::reference(&source.name);
    Ok(Some((key, json!({"baseTableReference": base, time: now}))))
}

/// When the copy ceases to exist.
fn expiration(settings: &Value) -> Result<Option<(&'static str, Value)>, JobError> {
    let Some(text) = settings["destinationExpirationTime"].as_str() else {
        return Ok(None);
    };
    let at = DateTime::parse_from_rfc3339(text)
        .map_err(|_| JobError::invalid(format!("Invalid destinationExpirationTime: {text}")))?;
    Ok(Some((
        "expirationTime",
        json!(at.timestamp_millis().to_string()),
    )))
}

/// Tables, or their partitions, and where each of them goes.
type Parts = Vec<(Destination, Vec<Arc<Table>>)>;

/// Cuts tables that are partitioned by arrival into their partitions, where the destination has such, too.
fn parts(
    target: &Destination,
    tables: Vec<(Arc<Table>, Vec<FieldSchema>)>,
    by_arrival: bool,
) -> Result<Parts, JobError> {
    let tables = tables.into_iter().map(|(table, _)| table);
    if !by_arrival {
        return Ok(vec![(target.clone(), tables.collect())]);
    }
    let mut parts = vec![(target.clone(), Vec::new())];
    for table in tables {
        let counts = partition_ids::counts(&table);
        let counts = counts.map_err(|e| JobError::new("internalError", e.to_string()))?;
        for id in counts.unwrap_or_default().into_keys() {
            let part = Arc::new(partition_ids::partition(&table, &id)?);
            let into = Destination {
                partition: Some(id).filter(|id| !id.starts_with("__")),
                ..target.clone()
            };
            parts.push((into, vec![part]));
        }
    }
    Ok(parts)
}

fn write(work: &Work<'_>, into: &Destination, tables: Vec<Arc<Table>>) -> Result<Commit, JobError> {
    let schema = Arc::clone(&work.catalog.table(&into.table)?.schema);
    let mut writer = Arrival::begin(work, into)?;
    let broken = |e: String| JobError::new("internalError", e);
    for table in tables {
        for batch in
            TableRows::try_new(table, &[], 0, u64::MAX).map_err(|e| broken(e.to_string()))?
        {
            let batch = batch.map_err(|e| broken(e.to_string()))?;
            writer.write(&arranged(&batch, &schema)?)?;
        }
    }
    writer.commit()
}

/// A table that is copied, a partition of one, or what one was at a time, and its columns.
pub(super) fn source_of(
    work: &Work<'_>,
    source: &Value,
) -> Result<(Arc<Table>, Vec<FieldSchema>), JobError> {
    let id = source["tableId"].as_str().unwrap_or_default();
    if let Some((id, at)) = id.split_once('@') {
        let mut source = source.clone();
        source["tableId"] = json!(id);
        let name = destination::reference(&source, work.project)?.table;
        let table = work.catalog.table_then(&name, time_of(at, work.now)?)?;
        let columns = match &table.metadata {
            Some(metadata) => metadata.schema.clone(),
            None => schema::from_arrow(&table.schema),
        };
        return Ok((table, columns));
    }
    let source = destination::reference(source, work.project)?;
    if let Ok(snapshot) = work.catalog.table(&source.table)
        && snapshot.kind() == "SNAPSHOT"
    {
        let columns = snapshot.metadata.as_ref().map(|m| m.schema.clone());
        return Ok((snapshot, columns.unwrap_or_default()));
    }
    let Some(columns) = destination::existing(work, &source)? else {
        return Err(CatalogError::TableNotFound {
            table: source.table,
        }
        .into());
    };
    let whole = work.catalog.table(&source.table)?;
    let table = match &source.partition {
        None => whole,
        Some(id) => Arc::new(partition_ids::partition(&whole, id)?),
    };
    Ok((table, columns))
}

/// The time of a snapshot decorator: milliseconds since 1970, or before now when there is a minus.
fn time_of(decorator: &str, now: SystemTime) -> Result<SystemTime, JobError> {
    let invalid = || JobError::invalid(format!("Invalid snapshot decorator @{decorator}"));
    let millis: i64 = decorator.parse().map_err(|_| invalid())?;
    let age = Duration::from_millis(millis.unsigned_abs());
    let at = if millis < 0 {
        now.checked_sub(age)
    } else {
        // All of that millisecond.
        SystemTime::UNIX_EPOCH.checked_add(age + Duration::from_micros(999))
    };
    at.filter(|at| *at <= now + Duration::from_millis(1))
        .ok_or_else(invalid)
}
