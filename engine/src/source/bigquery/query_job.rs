//! Queries as jobs: what one would read, and running one to its end under a name of our own.
//!
//! Owns jobs and the patience with them. Must not know what the rows are for.

use std::time::Duration;

use google_cloud_bigquery_v2::model::{
    Job, JobConfiguration, JobConfigurationQuery, JobReference, QueryParameter, TableFieldSchema,
    TableReference,
};
use tokio::time::sleep;

use super::chance::Chance;
use super::rest::Rest;
use super::rest::failure::{Doing, Said};
use super::sql_log;
use super::table::TableName;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Cancellation;
use crate::source::QueryUsage;

pub(super) mod parameters;

/// Jobs for one query at most, where the service says that the same query may succeed when it is asked again.
const MOST_JOBS: u32 = 3;
/// Waits between two looks at a job: the first, and the longest.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// How often a job that is waited for looks whether it is still wanted.
const WANTED: Duration = Duration::from_millis(50);

/// A query as it is sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    /// GoogleSQL, one SELECT.
    pub sql: String,
    /// Values of its parameters.
    pub parameters: Vec<QueryParameter>,
    /// Where it runs; by the tables it names when there is none.
    pub location: Option<String>,
    /// The service refuses it rather than billing more bytes.
    pub maximum_bytes_billed: Option<u64>,
}

/// What a query would read.
#[derive(Debug, Clone, Default)]
pub(super) struct DryRun {
    /// Bytes it processes.
    pub bytes_processed: Option<u64>,
    /// Columns of its result.
    pub columns: Vec<TableFieldSchema>,
}

/// A query that has been run.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// The job.
    pub reference: JobReference,
    /// Where the rows are.
    pub destination: TableName,
    /// What it took.
    pub usage: QueryUsage,
}

impl Query {
    /// What the query would read, without reading it. Costs nothing.
    ///
    /// # Errors
    /// Config when the query is wrong or no SELECT, NotFound, Auth, Unavailable.
    pub async fn dry_run(&self, rest: &Rest) -> Result<DryRun> {
        sql_log::query("dry run", self);
        let configuration = Self {
            // Whoever asks compares by himself, and says more than the service would.
            maximum_bytes_billed: None,
            ..self.clone()
        };
        let configuration = configuration.configuration(None).set_dry_run(true);
        let mut job = Job::new().set_configuration(configuration);
        if let Some(location) = &self.location {
            // Without a name: nothing is kept of a dry run.
            let reference = JobReference::new()
                .set_project_id(rest.billing_project())
                .set_location(location);
            job = job.set_job_reference(reference);
        }
        let answer = rest.insert_job(&job, &Doing::DryRun).await?;
        check_status(rest, &Doing::DryRun, &answer)?;
        let statistics = answer.statistics.unwrap_or_default();
        let query = statistics.query.unwrap_or_default();
        if !matches!(query.statement_type.as_str(), "" | "SELECT") {
            return Err(Error::config(format!(
                "bigquery_sql must be one SELECT statement, not {}: nothing was run",
                query.statement_type
            )));
        }
        let bytes = query
            .total_bytes_processed
            .or(statistics.total_bytes_processed);
        Ok(DryRun {
            bytes_processed: bytes.and_then(|n| u64::try_from(n).ok()),
            columns: query.schema.unwrap_or_default().fields,
        })
    }

    /// Runs the query to its end, into `destination` where one is given. A job that the service failed for reasons that pass is
    /// followed by another.
    ///
    /// # Errors
    /// As the service says; Interrupted and Terminated when the job was cancelled meanwhile, and then the query is, too.
    pub async fn run(
        &self,
        rest: &Rest,
        destination: Option<&TableName>,
        chance: Chance,
        cancellation: &Cancellation,
    ) -> Result<Ended> {
        sql_log::query("query", self);
        let doing = Doing::Querying;
        let mut jobs = 0;
        loop {
            jobs += 1;
            let mut reference = JobReference::new()
                .set_project_id(rest.billing_project())
                .set_job_id(format!("millpond_{}", chance.name()));
            if let Some(location) = &self.location {
                reference = reference.set_location(location);
            }
            let job = Job::new()
                .set_job_reference(reference.clone())
                .set_configuration(self.configuration(destination));
            let started = Started { rest, reference };
            let ended = Box::pin(started.follow(&job, cancellation)).await?;
            let Some(failure) = error_of(&ended) else {
                return started.ended(ended);
            };
            if !failure.is_passing_for_jobs() || jobs == MOST_JOBS {
                return Err(rest.job_error(&doing, &failure));
            }
            tracing::debug!(reason = failure.reason, jobs, "running the query again");
            unless_cancelled(cancellation, sleep(FIRST_LOOK * jobs * jobs)).await?;
        }
    }

    fn configuration(&self, destination: Option<&TableName>) -> JobConfiguration {
        let mut query = JobConfigurationQuery::new()
            .set_query(&self.sql)
            .set_use_legacy_sql(false)
            .set_query_parameters(self.parameters.clone());
        if !self.parameters.is_empty() {
            query = query.set_parameter_mode("NAMED");
        }
        if let Some(most) = self.maximum_bytes_billed {
            query = query.set_maximum_bytes_billed(i64::try_from(most).unwrap_or(i64::MAX));
        }
        if let Some(table) = destination {
            // Into an empty table only: whatever happens, rows of two results never meet in one.
            query = query
                .set_destination_table(
                    TableReference::new()
                        .set_project_id(table.project())
                        .set_dataset_id(table.dataset())
                        .set_table_id(table.table()),
                )
                .set_create_disposition("CREATE_NEVER")
                .set_write_disposition("WRITE_EMPTY");
        }
        JobConfiguration::new().set_query(query)
    }
}

/// A job that has been asked for.
struct Started<'a> {
    rest: &'a Rest,
    reference: JobReference,
}

impl Started<'_> {
    /// The job when it has ended. One that nobody waits for any more is cancelled.
    async fn follow(&self, job: &Job, cancellation: &Cancellation) -> Result<Job> {
        let followed = unless_cancelled(cancellation, self.ending(job)).await;
        match followed {
            Ok(result) => result,
            Err(unwanted) => {
                if let Err(error) = self.rest.cancel_job(&self.reference).await {
                    tracing::debug!(%error, job = self.reference.job_id, "cannot cancel the query");
                }
                Err(unwanted)
            }
        }
    }

    async fn ending(&self, job: &Job) -> Result<Job> {
        let doing = Doing::Querying;
        let mut now = self.rest.insert_job(job, &doing).await?;
        let mut wait = FIRST_LOOK;
        while now.status.as_ref().is_none_or(|s| s.state != "DONE") {
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_LOOK);
            // The service says where the job runs, and is asked there.
            let reference = now.job_reference.as_ref().unwrap_or(&self.reference);
            now = self.rest.job(reference, &doing).await?;
        }
        Ok(now)
    }

    fn ended(&self, job: Job) -> Result<Ended> {
        let statistics = job.statistics.unwrap_or_default();
        let query = statistics.query.unwrap_or_default();
        let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
        let written = job
            .configuration
            .and_then(|c| c.query)
            .and_then(|q| q.destination_table);
        let destination = written
            .and_then(|t| TableName::from_parts(&t.project_id, &t.dataset_id, &t.table_id))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Data,
                    format!(
                        "query job {} names no table for its result",
                        self.reference.job_id
                    ),
                )
            })?;
        Ok(Ended {
            destination,
            usage: QueryUsage {
                jobs: 1,
                bytes_processed: count(
                    query
                        .total_bytes_processed
                        .or(statistics.total_bytes_processed),
                ),
                bytes_billed: count(query.total_bytes_billed),
                slot_ms: count(query.total_slot_ms.or(statistics.total_slot_ms)),
            },
            reference: job.job_reference.unwrap_or_else(|| self.reference.clone()),
        })
    }
}

fn error_of(job: &Job) -> Option<Said> {
    let error = job.status.as_ref()?.error_result.as_ref()?;
    Some(Said::of_job(error))
}

fn check_status(rest: &Rest, doing: &Doing<'_>, job: &Job) -> Result<()> {
    match error_of(job) {
        Some(said) => Err(rest.job_error(doing, &said)),
        None => Ok(()),
    }
}

/// What `work` comes to, unless it is asked to end before that.
async fn unless_cancelled<T>(
    cancellation: &Cancellation,
    work: impl Future<Output = T>,
) -> Result<T> {
    let ended = async {
        loop {
            if let Err(error) = cancellation.check() {
                return error;
            }
            sleep(WANTED).await;
        }
    };
    tokio::select! {
        error = ended => Err(error),
        result = work => Ok(result),
    }
}
