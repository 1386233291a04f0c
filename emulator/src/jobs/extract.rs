//! Extract jobs: the rows of a table, written into files at addresses of buckets.

use std::sync::Arc;

use serde_json::{Value, json};

use super::copy::source_of;
use super::query::reference;
use super::{Done, JobError, Work};
use crate::buckets::{self, Buckets};
use crate::catalog::{CatalogError, Table};
use crate::external::ExternalError;
use crate::file_writers::{FileForm, FileFormError, FileWriter};
use crate::name::TableName;
use crate::row_access::Visible;
use crate::table_rows::TableRows;

/// Bytes of a file beyond which the next one begins, where there may be more than one.
const SHARD_BYTES: u64 = 256 << 20;

impl From<FileFormError> for JobError {
    fn from(error: FileFormError) -> Self {
        match error {
            FileFormError::Unsupported { .. } => Self::new("notImplemented", error.to_string()),
            FileFormError::Io(_) | FileFormError::Arrow(_) | FileFormError::Parquet(_) => {
                Self::new("internalError", error.to_string())
            }
            other => Self::invalid(other.to_string()),
        }
    }
}

/// Looks for the table where the client says it is: that it is elsewhere is wrong of the request, and nothing that a job finds out.
///
/// # Errors
/// [`JobError`] when there is such a table in another place.
pub(super) fn check_place(work: &Work<'_>) -> Result<(), JobError> {
    match source_of(work, &work.configuration["extract"]["sourceTable"]) {
        Ok((table, _)) => work.check_place(&table.name),
        Err(_) => Ok(()),
    }
}

/// Writes every file as a whole; what a job that fails has finished stays, as the service leaves it.
pub(super) fn run(work: &mut Work<'_>) -> Result<Done, JobError> {
    let settings = work.configuration["extract"].clone();
    if settings["sourceModel"].is_object() {
        return Err(JobError::new(
            "notImplemented",
            "extracting models is not supported by this emulator, which has none",
        ));
    }
    let (table, _) = source_of(work, &settings["sourceTable"])?;
    Visible::check_all(&table).map_err(CatalogError::from)?;
    let uris = match &settings["destinationUris"] {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::from_iter(settings["destinationUri"].as_str()),
    };
    let form = FileForm::of_job(&settings)?;
    let name = table.name.clone();
    let bytes = table.logical_bytes();
    let counts = write(work.catalog.places().buckets(), table, &uris, &form)?;
    let mut done = Done {
        location: location(work, &name),
        ..Done::default()
    };
    work.configuration["extract"]["sourceTable"] = reference(&name);
    let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
    let statistics = json!({"destinationUriFileCounts": counts, "inputBytes": bytes.to_string()});
    done.statistics.insert("extract".to_owned(), statistics);
    Ok(done)
}

fn location(work: &Work<'_>, name: &TableName) -> Option<String> {
    let dataset = work.catalog.dataset(name.project(), name.dataset());
    dataset.ok().map(|dataset| dataset.location().to_owned())
}

/// Writes the rows of a table to one or more addresses, of which each takes a share; returns how many files each has now.
///
/// # Errors
/// [`JobError`] for addresses that are none of an object's, and for columns that the form cannot hold.
pub(super) fn write(
    buckets: &Buckets,
    table: Arc<Table>,
    uris: &[&str],
    form: &FileForm,
) -> Result<Vec<u64>, JobError> {
    let mut shares = Vec::new();
    for uri in uris {
        shares.push(Share::new(buckets, uri)?);
    }
    if shares.is_empty() {
        return Err(JobError::invalid(
            "Required parameter is missing: destinationUris",
        ));
    }
    let schema = form.schema(&table.schema)?;
    let broken = |e: String| JobError::new("internalError", e);
    let rows = TableRows::try_new(table, &[], 0, u64::MAX).map_err(|e| broken(e.to_string()))?;
    let count = shares.len();
    for (index, batch) in rows.enumerate() {
        let batch = form.batch(&batch.map_err(|e| broken(e.to_string()))?)?;
        if let Some(share) = shares.get_mut(index % count) {
            share.writer(form, &schema)?.write(&batch)?;
            share.turn()?;
        }
    }
    shares
        .into_iter()
        .map(|mut share| {
            // A table without rows is a file without rows.
            if share.files == 0 {
                share.writer(form, &schema)?;
            }
            share.finish()?;
            Ok(share.files)
        })
        .collect()
}

/// The files of one address.
struct Share<'b> {
    buckets: &'b Buckets,
    uri: String,
    bucket: String,
    name: String,
    files: u64,
    open: Option<FileWriter<buckets::Arriving>>,
}

impl<'b> Share<'b> {
    fn new(buckets: &'b Buckets, uri: &str) -> Result<Self, JobError> {
        let invalid = || {
            JobError::invalid(format!(
                "Invalid extract destination URI '{uri}'. Must be a valid Google Storage path."
            ))
        };
        let (bucket, name) = buckets::parts(uri).ok_or_else(invalid)?;
        if name.matches('*').count() > 1 || buckets.path(bucket, name).is_none() {
            return Err(invalid());
        }
        Ok(Self {
            buckets,
            uri: uri.to_owned(),
            bucket: bucket.to_owned(),
            name: name.to_owned(),
            files: 0,
            open: None,
        })
    }

    /// The file that is being written, begun if there is none.
    fn writer(
        &mut self,
        form: &FileForm,
        schema: &arrow::datatypes::SchemaRef,
    ) -> Result<&mut FileWriter<buckets::Arriving>, JobError> {
        if self.open.is_none() {
            let name = self.name.replace('*', &format!("{:012}", self.files));
            let file = self.buckets.begin(&self.bucket, &name).map_err(|source| {
                if source.kind() == std::io::ErrorKind::NotFound {
                    let message = format!("Not found: Bucket {} of {}", self.bucket, self.uri);
                    return JobError::new("notFound", message);
                }
                JobError::from(ExternalError::Io {
                    path: name.into(),
                    source,
                })
            })?;
            self.files += 1;
            self.open = Some(form.begin(file, schema)?);
        }
        self.open
            .as_mut()
            .ok_or_else(|| JobError::new("internalError", "no file is open"))
    }

    /// Ends a file that is large enough, where there is a star for the number of the next one.
    fn turn(&mut self) -> Result<(), JobError> {
        let full = self
            .open
            .as_ref()
            .is_some_and(|w| w.rows_bytes() > SHARD_BYTES);
        if full && self.name.contains('*') {
            self.finish()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), JobError> {
        if let Some(writer) = self.open.take() {
            let file = writer.finish()?;
            file.finish().map_err(FileFormError::from)?;
        }
        Ok(())
    }
}
