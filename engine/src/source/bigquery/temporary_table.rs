//! A table that holds the result of a query while it is read.
//!
//! Owns its making and its end: it expires by itself, and is removed on every way out. Must not know what is in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use google_cloud_bigquery_v2::model::{Table, TableFieldSchema, TableReference, TableSchema};

use super::clock::Clock;
use super::rest::Rest;
use super::table::TableName;
use crate::error::{Error, Result};

/// How long the end of the last handle waits for the service.
const PATIENCE: Duration = Duration::from_secs(10);

/// A table of ours at the service, removed when it is dropped if not before.
#[derive(Debug)]
pub(super) struct TemporaryTable {
    name: TableName,
    rest: Rest,
    removed: AtomicBool,
}

impl TemporaryTable {
    /// Makes an empty table that the service removes after `expiration` whatever becomes of this process.
    ///
    /// # Errors
    /// As [`Rest::create_table`].
    pub async fn create(
        rest: &Rest,
        name: TableName,
        columns: &[TableFieldSchema],
        expiration: Duration,
        clock: Clock,
    ) -> Result<Self> {
        let expires = clock.millis_after(expiration).ok_or_else(|| {
            Error::config(format!(
                "expiration of {} s is beyond the end of time",
                expiration.as_secs()
            ))
        })?;
        let table = Table::new()
            .set_table_reference(
                TableReference::new()
                    .set_project_id(name.project())
                    .set_dataset_id(name.dataset())
                    .set_table_id(name.table()),
            )
            .set_schema(TableSchema::new().set_fields(columns.to_vec()))
            .set_expiration_time(expires)
            .set_description("result of a query while millpond reads it; removed afterwards");
        // Known before it is made, so that an answer that gets lost leaves nothing behind.
        let this = Self::of_earlier(rest, name);
        rest.create_table(&this.name, table).await?;
        Ok(this)
    }

    /// A table that an earlier process made.
    pub fn of_earlier(rest: &Rest, name: TableName) -> Self {
        Self {
            name,
            rest: rest.clone(),
            removed: AtomicBool::new(false),
        }
    }

    /// Which one it is.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// Removes it, once.
    ///
    /// # Errors
    /// When the service does not; the table then ends by its expiration.
    pub async fn remove(&self) -> Result<()> {
        if self.removed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.rest.delete_table(&self.name).await?;
        tracing::debug!(table = %self.name, "temporary table removed");
        Ok(())
    }
}

impl Drop for TemporaryTable {
    /// On the way out of a future that was dropped nothing can be awaited, and its runtime may be at its end: a thread with a
    /// runtime of its own does it.
    fn drop(&mut self) {
        if self.removed.swap(true, Ordering::SeqCst) {
            return;
        }
        let (rest, name) = (self.rest.clone(), self.name.clone());
        let removing = thread::Builder::new()
            .name("millpond-remove".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let Ok(runtime) = runtime else { return };
                let removed = runtime.block_on(async {
                    let removing = async { rest.reconnected().await?.delete_table(&name).await };
                    tokio::time::timeout(PATIENCE, removing).await
                });
                if !matches!(removed, Ok(Ok(()))) {
                    tracing::warn!(table = %name, "temporary table not removed; it expires by itself");
                }
            });
        if let Ok(removing) = removing {
            // Its end tells nothing that has not been logged.
            let _ = removing.join();
        }
    }
}
