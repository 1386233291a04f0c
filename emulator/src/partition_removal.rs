//! A partition's rows taken out of its table; snapshots of the time before still have them.

use std::sync::Arc;

use crate::catalog::{Catalog, DataFile};
use crate::name::TableName;
use crate::partition_ids::{self, Division, PartitionError};
use crate::table_rows::TableRows;

/// Takes the rows of one partition out. Blocks.
///
/// # Errors
/// [`PartitionError`] for an id of no partition, and when the table cannot be read or written.
pub(crate) fn empty(
    catalog: &Arc<Catalog>,
    table: &TableName,
    id: &str,
) -> Result<(), PartitionError> {
    let old = catalog.table(table)?;
    let partitioning = partition_ids::partitioning(&old, id)?;
    let schema = Arc::clone(&old.schema);
    if partitioning.column().is_none() {
        let gone = |file: &DataFile| file.partition().as_deref() == Some(id);
        return Ok(catalog.replace_files(&old, schema, gone)?.commit()?);
    }
    let division = Division::of(&old, &partitioning, id)?;
    if division.inside.is_empty() {
        return Ok(());
    }
    let mut replacement = catalog.replace_all(&old, schema)?;
    let others = Arc::new(old.with_rows(&division.outside));
    for batch in TableRows::try_new(others, &[], 0, u64::MAX)? {
        replacement.write(None, &batch?)?;
    }
    Ok(replacement.commit()?)
}
