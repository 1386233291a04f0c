//! What the REST API knows of a table that is to be read: its kind and layout, and what a query would process.
//!
//! Owns the questions. Nothing here is needed to read a table: who may not ask is told less.

use google_cloud_bigquery_v2::model::Table;
use serde_json::{Value, json};

use super::failure::Place;
use super::known;
use super::query_job::Query;
use super::rest::Rest;
use super::retry::Timing;
use super::table::quote_column;
use crate::error::Result;
use crate::source::{Appraisal, Snapshot};

/// What can be found out about reading these columns and rows of a table.
pub(super) async fn of_table(
    place: &Place,
    timing: &Timing,
    columns: &[String],
    restriction: &str,
) -> Appraisal {
    let mut appraisal = Appraisal::default();
    let rest = Rest::connect(
        place.endpoint.clone(),
        place.billing_project.clone(),
        *timing,
        place.credentials.as_deref(),
    );
    let rest = match rest.await {
        Ok(rest) => rest,
        Err(error) => {
            appraisal.notes.push(format!(
                "no dry run and no table metadata, because the REST API cannot be used: {error}"
            ));
            return appraisal;
        }
    };
    match rest.table(&place.table).await {
        Ok(table) => {
            appraisal.table = layout(&table);
            appraisal.notes.extend(advice(&table, restriction));
        }
        Err(error) => appraisal.notes.push(format!("no table metadata: {error}")),
    }
    match dry_run(&rest, place, columns, restriction).await {
        Ok(bytes) => appraisal.dry_run_bytes = bytes,
        Err(error) => appraisal.notes.push(format!("no dry run: {error}")),
    }
    appraisal
}

async fn dry_run(
    rest: &Rest,
    place: &Place,
    columns: &[String],
    restriction: &str,
) -> Result<Option<u64>> {
    let columns = columns
        .iter()
        .enumerate()
        .map(|(index, column)| selected(index, column))
        .collect::<Result<Vec<_>>>()?;
    let columns = if columns.is_empty() {
        "COUNT(*)".to_owned()
    } else {
        columns.join(", ")
    };
    let filter = if restriction.is_empty() {
        String::new()
    } else {
        format!(" WHERE {restriction}")
    };
    let query = Query {
        sql: format!("SELECT {columns} FROM {}{filter}", place.table.quoted()),
        ..Query::default()
    };
    Ok(query.dry_run(rest).await?.bytes_processed)
}

/// The column in a list of SELECT; one inside of others by its path.
fn selected(index: usize, column: &str) -> Result<String> {
    let parts = column.split('.').map(quote_column);
    let path = parts.collect::<Result<Vec<_>>>()?.join(".");
    Ok(if column.contains('.') {
        // Two paths may end alike.
        format!("{path} AS path_{index}")
    } else {
        path
    })
}

/// The column a table is partitioned by; of ingestion time when it has no column for that.
fn partitioned_by(table: &Table) -> Option<String> {
    if let Some(range) = &table.range_partitioning {
        return Some(range.field.clone());
    }
    let time = table.time_partitioning.as_ref()?;
    Some(
        time.field
            .clone()
            .unwrap_or_else(|| "_PARTITIONTIME".to_owned()),
    )
}

fn layout(table: &Table) -> Snapshot {
    let clustering = table.clustering.as_ref().map(|c| c.fields.join(", "));
    let required = table.require_partition_filter.unwrap_or(false);
    known([
        ("kind", json!(table.r#type)),
        ("partitioned_by", json!(partitioned_by(table))),
        ("clustered_by", json!(clustering)),
        (
            "partition_filter",
            if required {
                json!("required")
            } else {
                Value::Null
            },
        ),
        ("table_bytes", json!(table.num_bytes)),
        ("table_rows", json!(table.num_rows)),
        (
            "location",
            json!(Some(&table.location).filter(|text| !text.is_empty())),
        ),
    ])
}

/// What would make reading cheaper.
fn advice(table: &Table, restriction: &str) -> Option<String> {
    let column = partitioned_by(table)?;
    if restriction.contains(&format!("`{column}`")) {
        return None;
    }
    Some(format!(
        "the table is partitioned by {column} and where does not choose among partitions: all of them are read"
    ))
}
