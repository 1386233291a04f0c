//! MERGE, and UPDATE with FROM: rows of a table that meet those of a source.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;

use super::arriving_rows::{Arriving, each};
use super::changed_rows::placed;
use super::{Effect, changeable, invalid, reads_filtered, unsupported};
use crate::catalog::{Replacement, Table, times};
use crate::jobs::JobError;
use crate::jobs::query::{Running, anonymous_table, columns as columns_of_query};
use crate::query::ast::{Merge, MergeClause, Query, TableFactor, Update};
use crate::query::statements::change::{self, PARTITION};
use crate::query::statements::merge::{self, GONE, Merging, ROW};
use crate::query::{self, Planned};
use crate::schema::FieldSchema;

/// A table under way from what it is to what it will be.
struct Changed {
    table: Arc<Table>,
    into: Replacement,
    arrival: bool,
    /// Numbers of rows that have been changed or are gone.
    touched: HashSet<i64>,
    updated: u64,
    deleted: u64,
}

pub(super) fn merge(running: &mut Running<'_, '_>, merge: &Merge) -> Result<Effect, JobError> {
    if merge.output.is_some() {
        return Err(unsupported("OUTPUT of MERGE"));
    }
    let target = merge::target(merge, &running.defaults)?;
    let name = target.table.clone();
    let (table, columns) = changeable(running.work, &name)?;
    let arrival = table.has_partition_time();
    let (query, alias) = merge::source(merge)?;
    // A source that is computed is computed once, whatever it is; for a trial there are its columns.
    let trial = running.is_dry_run();
    let mut tried = Vec::new();
    let gathered = match query {
        Some(query) => {
            let planned = running.plan(query)?;
            let made = if trial {
                let columns = columns_of_query(&planned)?;
                tried.push(planned);
                anonymous_table(running.work, columns)?
            } else {
                running.gather(planned)?
            };
            Some(made)
        }
        None => None,
    };
    let source = match (&gathered, &merge.source) {
        (Some(made), _) => {
            let (project, dataset, id) = (made.project(), made.dataset(), made.table());
            let alias = alias.unwrap_or_else(|| id.to_owned());
            format!("`{project}.{dataset}.{id}` AS `{alias}`")
        }
        (None, TableFactor::Table { .. }) => merge.source.to_string(),
        (None, other) => return Err(unsupported(format!("the source {other} of MERGE"))),
    };
    // What is not computed yet is written and read again.
    let mut merge = merge.clone();
    query::text::literals::escape(&mut merge);
    let merging = Merging::new(&merge, target, source, &columns, arrival);
    let outcome = match trial {
        true => try_out(running, &merging, &table, &columns, &merge.clauses, tried),
        false => run(running, &merging, &table, &columns, &merge.clauses),
    };
    if let Some(made) = gathered {
        running.work.catalog.delete_table(&made)?;
    }
    outcome
}

/// Refuses clauses that would read a table without the condition that it requires, in ON or their own.
fn check_filters(
    running: &Running<'_, '_>,
    merging: &Merging<'_>,
    clauses: &[MergeClause],
) -> Result<(), JobError> {
    clauses.iter().try_for_each(|clause| {
        let met = reads_filtered(running, merging.meeting(Some(clause))?);
        match merging.alone(clause)? {
            Some(alone) if met.is_err() => reads_filtered(running, alone),
            _ => met,
        }
    })
}

/// Plans everything and runs nothing.
fn try_out(
    running: &Running<'_, '_>,
    merging: &Merging<'_>,
    table: &Arc<Table>,
    columns: &[FieldSchema],
    clauses: &[MergeClause],
    mut tried: Vec<Planned>,
) -> Result<Effect, JobError> {
    let queries = [merging.matched(clauses)?, merging.not_by_source(clauses)?];
    check_filters(running, merging, clauses)?;
    let whole = merging.all()?;
    for query in queries.into_iter().flatten() {
        running.plan(query)?;
    }
    for insert in merging.inserted(clauses)? {
        let arriving = Arriving::try_new(table, columns, insert.columns)?;
        arriving.check(&running.plan(insert.query)?)?;
    }
    tried.push(running.plan(whole)?);
    let tried: Vec<&Planned> = tried.iter().collect();
    Ok(Effect::tried("MERGE", &tried, Some(table)))
}

fn run(
    running: &mut Running<'_, '_>,
    merging: &Merging<'_>,
    table: &Arc<Table>,
    columns: &[FieldSchema],
    clauses: &[MergeClause],
) -> Result<Effect, JobError> {
    let queries = [merging.matched(clauses)?, merging.not_by_source(clauses)?];
    check_filters(running, merging, clauses)?;
    let mut changed = Changed::begin(running, table)?;
    for query in queries.into_iter().flatten() {
        changed.take(running, query)?;
    }
    let mut inserted = 0;
    for insert in merging.inserted(clauses)? {
        let arriving = Arriving::try_new(table, columns, insert.columns)?;
        let planned = running.plan(insert.query)?;
        inserted += arriving.take(running, planned, &mut changed.into)?;
    }
    let (updated, deleted) = changed.end(running, merging.all()?)?;
    Ok(Effect::rows(
        running,
        "MERGE",
        &table.name,
        (inserted, updated, deleted),
    ))
}

/// UPDATE with FROM.
pub(super) fn update(running: &mut Running<'_, '_>, update: &Update) -> Result<Effect, JobError> {
    let target = change::target(std::slice::from_ref(&update.table), &running.defaults)?;
    let (table, columns) = changeable(running.work, &target.table)?;
    let arrival = table.has_partition_time();
    let (merging, query) = Merging::of_update(update, target, &columns, arrival)?;
    reads_filtered(running, merging.meeting(None)?)?;
    if running.is_dry_run() {
        let planned = running.plan(query)?;
        return Ok(Effect::tried("UPDATE", &[&planned], Some(&table)));
    }
    let mut changed = Changed::begin(running, &table)?;
    changed.take(running, query)?;
    let (updated, deleted) = changed.end(running, merging.all()?)?;
    Ok(Effect::rows(
        running,
        "UPDATE",
        &table.name,
        (0, updated, deleted),
    ))
}

impl Changed {
    fn begin(running: &mut Running<'_, '_>, table: &Arc<Table>) -> Result<Self, JobError> {
        running.touch(&table.name);
        let catalog = running.work.catalog;
        Ok(Self {
            table: Arc::clone(table),
            into: catalog.replace_all(table, Arc::clone(&table.schema))?,
            arrival: table.has_partition_time(),
            touched: HashSet::new(),
            updated: 0,
            deleted: 0,
        })
    }

    /// Rows as they will be, with their numbers and whether they go.
    fn take(&mut self, running: &Running<'_, '_>, query: Query) -> Result<(), JobError> {
        let planned = running.plan(query)?;
        each(running, planned, |batch| {
            let rows = numbers(batch)?;
            for row in &rows {
                if !self.touched.insert(*row) {
                    return Err(invalid(
                        "UPDATE/MERGE must match at most one source row for each target row"
                            .to_owned(),
                    ));
                }
            }
            let gone = batch.column_by_name(GONE).and_then(|c| c.as_boolean_opt());
            let gone = gone.ok_or_else(unmarked)?;
            let stay: BooleanArray = gone.iter().map(|gone| Some(gone != Some(true))).collect();
            let stays = stay.true_count() as u64;
            self.updated += stays;
            self.deleted += rows.len() as u64 - stays;
            self.put(batch, &stay)
        })
    }

    fn put(&mut self, batch: &RecordBatch, stay: &BooleanArray) -> Result<(), JobError> {
        let broken = |e: arrow::error::ArrowError| JobError::new("internalError", e.to_string());
        let batch = filter_record_batch(batch, stay).map_err(broken)?;
        // By their names, as what marks them is no column of the table.
        let own: Vec<String> = batch
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect();
        let rows = placed(&batch, &own, &self.table)?;
        if !self.arrival {
            return Ok(self.into.write(None, &rows)?);
        }
        let times = batch.column_by_name(PARTITION).and_then(|c| times(c));
        Ok(self
            .into
            .write_by_time(times.ok_or_else(unmarked)?, &rows)?)
    }

    /// Takes over the rows that nothing has happened to, and makes all of it last.
    fn end(mut self, running: &Running<'_, '_>, all: Query) -> Result<(u64, u64), JobError> {
        if self.touched.is_empty() {
            self.into.keep_old();
        } else {
            let planned = running.plan(all)?;
            each(running, planned, |batch| {
                let rows = numbers(batch)?;
                let stay = rows.iter().map(|row| Some(!self.touched.contains(row)));
                let stay: BooleanArray = stay.collect();
                self.put(batch, &stay)
            })?;
        }
        self.into.commit()?;
        Ok((self.updated, self.deleted))
    }
}

/// The numbers of rows.
fn numbers(batch: &RecordBatch) -> Result<Vec<i64>, JobError> {
    let numbers = batch.column_by_name(ROW);
    let numbers = numbers.and_then(|c| c.as_primitive_opt::<Int64Type>());
    Ok(numbers.ok_or_else(unmarked)?.values().to_vec())
}

fn unmarked() -> JobError {
    JobError::new("internalError", "the changed rows are not marked")
}
