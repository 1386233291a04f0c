//! Copy jobs: the rows of one or more tables into another.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::destination::{self, Arrival, Dispositions};
use super::load::arranged;
use super::{Done, JobError, Work};
use crate::catalog::{CatalogError, Table};
use crate::partition_ids;
use crate::schema::{self, FieldSchema};
use crate::table_rows::TableRows;

/// Copies whole tables; the rows are written anew.
pub(super) fn run(work: &mut Work<'_>) -> Result<Done, JobError> {
    let settings = work.configuration["copy"].clone();
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
        tables.push((table, columns));
    }
    let Some((_, columns)) = tables.first() else {
        return Err(JobError::invalid(
            "Required parameter is missing: sourceTables",
        ));
    };
    let dispositions = Dispositions::new(&settings, "WRITE_EMPTY");
    destination::prepare(work, &target, columns, &dispositions)?;
    let schema = Arc::clone(&work.catalog.table(&target.table)?.schema);
    let mut writer = Arrival::begin(work, &target)?;
    let broken = |e: String| JobError::new("internalError", e);
    for (table, _) in tables {
        for batch in
            TableRows::try_new(table, &[], 0, u64::MAX).map_err(|e| broken(e.to_string()))?
        {
            let batch = batch.map_err(|e| broken(e.to_string()))?;
            writer.write(&arranged(&batch, &schema)?)?;
        }
    }
    let commit = writer.commit()?;
    let mut done = Done::at(work, &target);
    done.statistics.insert(
        "copy".to_owned(),
        json!({"copiedRows": commit.rows.to_string(), "copiedLogicalBytes": commit.bytes.to_string()}),
    );
    Ok(done)
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
