//! Copy jobs: the rows of one or more tables into another.

use std::sync::Arc;

use serde_json::{Value, json};

use super::destination::{self, Arrival, Dispositions};
use super::load::arranged;
use super::{Done, JobError, Work};
use crate::partition_ids;
use crate::table_rows::TableRows;

/// Copies whole tables; the rows are written anew.
pub(super) fn run(work: &mut Work<'_>) -> Result<Done, JobError> {
    let settings = work.configuration["copy"].clone();
    let target = destination::reference(&settings["destinationTable"], work.project)?;
    let sources: Vec<Value> = match &settings["sourceTables"] {
        Value::Array(all) => all.clone(),
        _ => vec![settings["sourceTable"].clone()],
    };
    let mut tables = Vec::new();
    for source in &sources {
        let source = destination::reference(source, work.project)?;
        let Some(columns) = destination::existing(work, &source)? else {
            return Err(crate::catalog::CatalogError::TableNotFound {
                table: source.table,
            }
            .into());
        };
        let whole = work.catalog.table(&source.table)?;
        let table = match &source.partition {
            None => whole,
            Some(id) => Arc::new(partition_ids::partition(&whole, id)?),
        };
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
    let mut done = Done::default();
    done.statistics.insert(
        "copy".to_owned(),
        json!({"copiedRows": commit.rows.to_string(), "copiedLogicalBytes": commit.bytes.to_string()}),
    );
    Ok(done)
}
