//! The service's REST API: jobs and tables, asked patiently.
//!
//! Owns the clients, the loop that asks again and the translation of refusals. Must not know what a job is made for.

use std::future::Future;
use std::path::Path;

use futures::FutureExt;
use google_cloud_auth::credentials::Credentials;
use google_cloud_bigquery::Error as ServiceError;
use google_cloud_bigquery_v2::client::{JobService, TableService};
use google_cloud_bigquery_v2::model::{
    DataFormatOptions, GetQueryResultsResponse, Job, JobReference, Table,
};
use google_cloud_gax::retry_policy::NeverRetry;
use tokio::time::{Instant, sleep, timeout};

use self::failure::{Doing, Said, cause_of};
use super::endpoint::{Endpoint, Scope};
use super::retry::{Attempts, Cause, Timing};
use super::table::TableName;
use crate::error::{Error, ErrorKind, Result};

pub(super) mod failure;

/// The HTTP status of something that is there already.
const CONFLICT: u16 = 409;
/// The HTTP status of something that is not there.
const NOT_FOUND: u16 = 404;

/// A connection to the REST API on behalf of a project. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    jobs: JobService,
    tables: TableService,
    endpoint: Endpoint,
    credentials: Credentials,
    billing_project: String,
    timing: Timing,
}

/// A call that failed for good.
#[derive(Debug)]
struct Failed {
    /// None when nothing came in time.
    error: Option<ServiceError>,
    attempts: u32,
}

impl Failed {
    fn status(&self) -> Option<u16> {
        self.error.as_ref().and_then(ServiceError::http_status_code)
    }
}

impl Rest {
    /// Connects to the service; `billing_project` pays for jobs, and `credentials` names a file in place of the default ones.
    ///
    /// # Errors
    /// Auth without usable credentials, Config when no client can be made.
    pub async fn connect(
        endpoint: Endpoint,
        billing_project: String,
        timing: Timing,
        credentials: Option<&Path>,
    ) -> Result<Self> {
        let credentials = endpoint
            .credentials(&timing, Scope::Jobs, credentials)
            .await?;
        Self::with_credentials(endpoint, credentials, billing_project, timing).await
    }

    async fn with_credentials(
        endpoint: Endpoint,
        credentials: Credentials,
        billing_project: String,
        timing: Timing,
    ) -> Result<Self> {
        let mut jobs = JobService::builder()
            .with_credentials(credentials.clone())
            .with_retry_policy(NeverRetry);
        let mut tables = TableService::builder()
            .with_credentials(credentials.clone())
            .with_retry_policy(NeverRetry);
        if let Some(address) = endpoint.rest_address() {
            jobs = jobs.with_endpoint(&address);
            tables = tables.with_endpoint(&address);
        }
        let unusable = |e| {
            Error::with_source(
                ErrorKind::Config,
                format!("cannot make a client for {endpoint}"),
                e,
            )
        };
        Ok(Self {
            jobs: jobs.build().await.map_err(unusable)?,
            tables: tables.build().await.map_err(unusable)?,
            endpoint,
            credentials,
            billing_project,
            timing,
        })
    }

    /// The same with connections of its own, for another runtime.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn reconnected(&self) -> Result<Self> {
        Self::with_credentials(
            self.endpoint.clone(),
            self.credentials.clone(),
            self.billing_project.clone(),
            self.timing,
        )
        .await
    }

    /// Who pays.
    pub fn billing_project(&self) -> &str {
        &self.billing_project
    }

    /// Where the service is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What the service knows of a table.
    ///
    /// # Errors
    /// NotFound, Auth naming the permission, Unavailable.
    pub async fn table(&self, name: &TableName) -> Result<Table> {
        let send = || {
            self.tables
                .get_table()
                .set_project_id(name.project())
                .set_dataset_id(name.dataset())
                .set_table_id(name.table())
                .send()
        };
        let answer = self.call(send).await;
        answer.map_err(|failed| self.explain(&Doing::Describing(name), failed))
    }

    /// Makes a table. One that is there already is an error.
    ///
    /// # Errors
    /// Auth naming the permission, NotFound for the dataset, Config for what the service does not accept.
    pub async fn create_table(&self, name: &TableName, table: Table) -> Result<()> {
        let send = || {
            self.tables
                .insert_table()
                .set_project_id(name.project())
                .set_dataset_id(name.dataset())
                .set_table(table.clone())
                .send()
        };
        match self.call(send).await {
            Ok(_) => Ok(()),
            // An answer that got lost: the name is nobody else's.
            Err(failed) if failed.status() == Some(CONFLICT) && failed.attempts > 1 => Ok(()),
            Err(failed) => Err(self.explain(&Doing::Creating(name), failed)),
        }
    }

    /// Removes a table; one that is not there is removed already.
    ///
    /// # Errors
    /// Auth naming the permission, Unavailable.
    pub async fn delete_table(&self, name: &TableName) -> Result<()> {
        let send = || {
            self.tables
                .delete_table()
                .set_project_id(name.project())
                .set_dataset_id(name.dataset())
                .set_table_id(name.table())
                .send()
        };
        match self.call(send).await {
            Ok(()) => Ok(()),
            Err(failed) if failed.status() == Some(NOT_FOUND) => Ok(()),
            Err(failed) => Err(self.explain(&Doing::Removing(name), failed)),
        }
    }

    /// Starts a job under the name that `job` has. One of that name that was started already is taken up, because only a lost
    /// answer can have left it behind.
    ///
    /// # Errors
    /// As the service refuses it: Config for a wrong query, Auth, NotFound, Unavailable.
    pub async fn insert_job(&self, job: &Job, doing: &Doing<'_>) -> Result<Job> {
        let send = || {
            self.jobs
                .insert_job()
                .set_project_id(&self.billing_project)
                .set_job(job.clone())
                .send()
        };
        match self.call(send).await {
            Ok(job) => Ok(job),
            Err(failed) => match &job.job_reference {
                Some(reference) if failed.status() == Some(CONFLICT) => {
                    self.job(reference, doing).await
                }
                _ => Err(self.explain(doing, failed)),
            },
        }
    }

    /// How a job is getting on.
    ///
    /// # Errors
    /// Auth, NotFound, Unavailable.
    pub async fn job(&self, reference: &JobReference, doing: &Doing<'_>) -> Result<Job> {
        let send = || {
            let mut request = self
                .jobs
                .get_job()
                .set_project_id(&self.billing_project)
                .set_job_id(&reference.job_id);
            if let Some(location) = &reference.location {
                request = request.set_location(location);
            }
            request.send()
        };
        let answer = self.call(send).await;
        answer.map_err(|failed| self.explain(doing, failed))
    }

    /// Asks the service to end a job. It may have ended by itself.
    ///
    /// # Errors
    /// Auth, NotFound, Unavailable.
    pub async fn cancel_job(&self, reference: &JobReference) -> Result<()> {
        let send = || {
            let mut request = self
                .jobs
                .cancel_job()
                .set_project_id(&self.billing_project)
                .set_job_id(&reference.job_id);
            if let Some(location) = &reference.location {
                request = request.set_location(location);
            }
            request.send()
        };
        match self.call(send).await {
            Ok(_) => Ok(()),
            Err(failed) => Err(self.explain(&Doing::Querying, failed)),
        }
    }

    /// One page of the rows of a query that has ended; the first one without a token.
    ///
    /// # Errors
    /// Auth, NotFound, Unavailable.
    pub async fn rows(
        &self,
        reference: &JobReference,
        token: &str,
        most_rows: u32,
    ) -> Result<GetQueryResultsResponse> {
        let send = || {
            let mut request = self
                .jobs
                .get_query_results()
                .set_project_id(&self.billing_project)
                .set_job_id(&reference.job_id)
                .set_page_token(token)
                .set_max_results(most_rows)
                .set_format_options(DataFormatOptions::new().set_use_int64_timestamp(true));
            if let Some(location) = &reference.location {
                request = request.set_location(location);
            }
            request.send()
        };
        let answer = self.call(send).await;
        answer.map_err(|failed| self.explain(&Doing::Fetching, failed))
    }

    /// Sends until there is an answer, trying again cannot help, or time is up.
    async fn call<T, F>(&self, mut send: impl FnMut() -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, ServiceError>> + Send,
    {
        let mut attempts = Attempts::new(self.timing, 0);
        loop {
            // The client's futures hold whole requests and answers, which are far too large for the stacks of those that wait.
            let (cause, error) = match timeout(self.timing.answer, send().boxed()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => (cause_of(&error), Some(error)),
                Err(_) => (Some(Cause::Silent), None),
            };
            let wait = cause.and_then(|cause| attempts.wait_after(cause, Instant::now()));
            let Some(wait) = wait else {
                return Err(Failed {
                    error,
                    attempts: attempts.failures().max(1),
                });
            };
            tracing::debug!(?cause, ?wait, "asking the REST API again");
            sleep(wait).await;
        }
    }

    fn explain(&self, doing: &Doing<'_>, failed: Failed) -> Error {
        match failed.error {
            Some(error) => failure::explain(self, doing, error, failed.attempts),
            None => Error::new(
                ErrorKind::Unavailable,
                format!(
                    "{} was silent for {} s while {doing}",
                    self.endpoint,
                    self.timing.answer.as_secs()
                ),
            ),
        }
    }

    /// The error of a job that has ended without success.
    pub fn job_error(&self, doing: &Doing<'_>, said: &Said) -> Error {
        failure::judge(self, doing, said, 1)
    }
}
