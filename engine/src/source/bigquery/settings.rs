//! Settings of queries, read from a recipe's words and checked.
//!
//! Owns what is said wrongly before anybody is asked. Must not know jobs.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

use super::endpoint::Endpoint;
use super::rest::Rest;
use super::table::{is_dataset, is_project};
use crate::error::{Error, Result};
use crate::recipe::{BigQueryOptions, BigQuerySqlSpec};
use crate::source::connect::Connecting;

/// How long the table of a result lives unless it is removed before.
const EXPIRATION: Duration = Duration::from_secs(24 * 3600);
/// The shortest such time that leaves room to read, and the longest that is still temporary.
const SHORTEST: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// How a query is run and its result is read.
#[derive(Debug, Clone)]
pub(super) struct QuerySettings {
    /// Where it runs.
    pub location: Option<String>,
    /// Project and dataset of the table for the result.
    pub temporary_dataset: Option<(String, String)>,
    /// How long that table lives.
    pub expiration: Duration,
    /// Bytes it may process.
    pub max_bytes: Option<u64>,
    /// How the result is read.
    pub read: BigQueryOptions,
    /// The credentials file it is read with, when one is named.
    pub credentials: Option<PathBuf>,
}

impl QuerySettings {
    /// Those of a recipe's SQL, and a connection for them.
    ///
    /// # Errors
    /// Config for what is said wrongly; as [`Rest::connect`].
    pub async fn of_sql(sql: &BigQuerySqlSpec, connecting: &Connecting) -> Result<(Self, Rest)> {
        let project = connecting.payer(sql.project.as_ref()).ok_or_else(|| {
            Error::config(
                "bigquery_sql names no project to run in: add `project:` beside it, give --project or set GOOGLE_CLOUD_PROJECT",
            )
        })?;
        let options = BigQueryOptions {
            billing_project: Some(project.clone()),
            max_stream_count: sql.max_stream_count,
            preferred_min_stream_count: sql.preferred_min_stream_count,
            compression: sql.compression,
            endpoint: sql.endpoint.clone(),
            max_bytes: sql.maximum_bytes_billed,
            location: sql.location.clone(),
            temporary_dataset: sql.temporary_dataset.clone(),
            expiration: sql.expiration.clone(),
            ..BigQueryOptions::default()
        };
        Self::of_options(options, project, connecting).await
    }

    /// Those of a table's options, and a connection for them; `project` pays.
    ///
    /// # Errors
    /// As [`of_sql`](Self::of_sql).
    pub async fn of_options(
        options: BigQueryOptions,
        project: String,
        connecting: &Connecting,
    ) -> Result<(Self, Rest)> {
        if !is_project(&project) {
            return Err(Error::config(format!(
                "project {project:?} is not a valid project name"
            )));
        }
        super::check_stream_counts(&options)?;
        let temporary_dataset = options
            .temporary_dataset
            .as_deref()
            .map(|written| dataset(written, &project))
            .transpose()?;
        let expiration = match options.expiration.as_deref() {
            Some(written) => expiration(written)?,
            None => EXPIRATION,
        };
        let endpoint = options
            .endpoint
            .as_deref()
            .or(connecting.emulator.as_deref());
        let endpoint = Endpoint::resolve(endpoint)?;
        let timing = endpoint.timing();
        let settings = Self {
            location: options.location.clone(),
            temporary_dataset,
            expiration,
            max_bytes: connecting
                .max_bytes
                .or(options.max_bytes)
                .map(|bytes| bytes.as_u64()),
            read: BigQueryOptions {
                billing_project: Some(project.clone()),
                endpoint: options.endpoint.or_else(|| connecting.emulator.clone()),
                // The query was bounded; what it left is read in full.
                max_bytes: None,
                // A table of an hour ago did not hold the result yet.
                snapshot_time: None,
                location: None,
                temporary_dataset: None,
                expiration: None,
                ..options
            },
            credentials: connecting.credentials.clone(),
        };
        let credentials = connecting.credentials.as_deref();
        let rest = Rest::connect(endpoint, project, timing, credentials).await?;
        Ok((settings, rest))
    }
}

/// Refuses to read `bytes` when there is a bound below that.
///
/// # Errors
/// Config with both numbers.
pub(super) fn check_bytes(what: &str, bytes: Option<u64>, most: Option<u64>) -> Result<()> {
    match (bytes, most) {
        (Some(bytes), Some(most)) if bytes > most => Err(Error::config(format!(
            "{what} would process {bytes} bytes ({}) and at most {most} ({}) are allowed: nothing was read; raise --max-bytes, or read fewer columns or rows",
            ByteSize::b(bytes).display().iec(),
            ByteSize::b(most).display().iec()
        ))),
        _ => Ok(()),
    }
}

fn dataset(written: &str, project: &str) -> Result<(String, String)> {
    let (project, dataset) = written.rsplit_once('.').unwrap_or((project, written));
    if is_project(project) && is_dataset(dataset) {
        Ok((project.to_owned(), dataset.to_owned()))
    } else {
        Err(Error::config(format!(
            "temporary_dataset {written:?} is neither a dataset nor project.dataset"
        )))
    }
}

fn expiration(written: &str) -> Result<Duration> {
    let wrong = || {
        Error::config(format!(
            "expiration {written:?} is not a time between 10m and 7d, such as 90m, 24h or 2d"
        ))
    };
    let text = written.trim();
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = number.trim().parse().map_err(|_| wrong())?;
    let time = Duration::from_secs(count.checked_mul(seconds).ok_or_else(wrong)?);
    if (SHORTEST..=LONGEST).contains(&time) {
        Ok(time)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_read_and_bounded() {
        assert_eq!(expiration("90m").unwrap().as_secs(), 5400);
        assert_eq!(expiration("2d").unwrap().as_secs(), 172_800);
        for wrong in [
            "",
            "24",
            "h",
            "5m",
            "8d",
            "-1h",
            "1w",
            "1é",
            "99999999999999999999d",
        ] {
            let error = expiration(wrong).unwrap_err();
            assert!(error.to_string().contains("between 10m and 7d"), "{error}");
        }
    }

    #[test]
    fn datasets_have_a_project() {
        assert_eq!(
            dataset("tmp", "p").unwrap(),
            ("p".to_owned(), "tmp".to_owned())
        );
        assert_eq!(
            dataset("example.com:q.tmp", "p").unwrap(),
            ("example.com:q".to_owned(), "tmp".to_owned())
        );
        assert!(dataset("a b", "p").is_err());
        assert!(dataset("q.d`; DROP", "p").is_err());
    }

    #[test]
    fn a_bound_that_is_exceeded_names_both_numbers() {
        assert!(check_bytes("x", Some(10), Some(10)).is_ok());
        assert!(check_bytes("x", None, Some(10)).is_ok());
        assert!(check_bytes("x", Some(10), None).is_ok());
        let text = check_bytes("the query", Some(2048), Some(1024))
            .unwrap_err()
            .to_string();
        assert!(text.contains("2048") && text.contains("1024"), "{text}");
    }
}
