//! Rows that come into a table by a statement: their columns put in order, those left out filled, and for tables partitioned by
//! arrival the partition found.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;

use super::changed_rows::placed;
use super::invalid;
use crate::catalog::{PARTITION_TIME, Replacement, Table, times};
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query::{Planned, statements::column_defaults};
use crate::schema::FieldSchema;

/// How rows of a list of columns become rows of a table.
#[derive(Debug)]
pub(super) struct Arriving {
    table: Arc<Table>,
    /// Names of the rows' columns, the defaults of those left out behind them.
    listed: Vec<String>,
    given: usize,
    left_out: Vec<FieldSchema>,
    /// Which column says when the rows came.
    time_at: Option<usize>,
}

impl Arriving {
    /// Rows with the columns `listed`, or all of the table's when none is.
    ///
    /// # Errors
    /// [`JobError`] for a column that the table does not have.
    pub fn try_new(
        table: &Arc<Table>,
        own: &[FieldSchema],
        mut listed: Vec<String>,
    ) -> Result<Self, JobError> {
        if listed.is_empty() {
            listed = own.iter().map(|c| c.name.clone()).collect();
        }
        let is_time = |name: &String| name.eq_ignore_ascii_case(PARTITION_TIME);
        let time_at = listed.iter().position(is_time);
        let time_at = time_at.filter(|_| table.has_partition_time());
        let known = |name: &String| own.iter().any(|c| c.name.eq_ignore_ascii_case(name));
        let mut seen: Vec<String> = Vec::new();
        for (index, name) in listed.iter().enumerate() {
            if Some(index) != time_at && !known(name) {
                let table = &table.name;
                return Err(invalid(format!(
                    "Column {name} is not present in table {table}"
                )));
            }
            if seen.contains(&name.to_lowercase()) {
                return Err(invalid(format!(
                    "Column {name} is specified more than once"
                )));
            }
            seen.push(name.to_lowercase());
        }
        let left_out: Vec<FieldSchema> = own
            .iter()
            .filter(|c| !seen.contains(&c.name.to_lowercase()))
            .filter(|c| column_defaults::of(c).is_some())
            .cloned()
            .collect();
        let given = listed.len();
        listed.extend(left_out.iter().map(|c| c.name.clone()));
        Ok(Self {
            table: Arc::clone(table),
            listed,
            given,
            left_out,
            time_at,
        })
    }

    /// Whether a query has as many columns as are expected.
    ///
    /// # Errors
    /// [`JobError`] where it has not.
    pub fn check(&self, planned: &Planned) -> Result<(), JobError> {
        let columns = planned.schema.fields().len();
        if columns != self.given {
            return Err(invalid(format!(
                "Inserted row has wrong column count; Has {columns}, expected {}",
                self.given
            )));
        }
        Ok(())
    }

    /// Takes all rows of a query; returns how many.
    pub fn take(
        &self,
        running: &Running<'_, '_>,
        planned: Planned,
        into: &mut Replacement,
    ) -> Result<u64, JobError> {
        self.check(&planned)?;
        let mut rows = 0;
        each(running, planned.untyped(), |batch| {
            rows += batch.num_rows() as u64;
            if self.left_out.is_empty() {
                return self.put(batch, into);
            }
            let whole = column_defaults::beside(running.work.catalog, batch, &self.left_out);
            self.put(&running.handle.block_on(whole)?, into)
        })?;
        Ok(rows)
    }

    fn put(&self, batch: &RecordBatch, into: &mut Replacement) -> Result<(), JobError> {
        let rows = placed(batch, &self.listed, &self.table)?;
        let Some(at) = self.time_at else {
            return Ok(into.write_now(&rows)?);
        };
        let column = batch.columns().get(at);
        let Some(times) = column.and_then(|column| times(column)) else {
            return Err(invalid(format!("{PARTITION_TIME} must be a TIMESTAMP")));
        };
        Ok(into.write_by_time(times, &rows)?)
    }
}

/// Hands the rows of a query to `take`, batch after batch.
pub(super) fn each(
    running: &Running<'_, '_>,
    planned: Planned,
    mut take: impl FnMut(&RecordBatch) -> Result<(), JobError>,
) -> Result<(), JobError> {
    let mut rows = Box::pin(running.handle.block_on(planned.run())?);
    while let Some(batch) = running.handle.block_on(rows.next()) {
        take(&batch?)?;
    }
    Ok(())
}
