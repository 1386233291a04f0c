//! The table a job writes to: found or made, emptied or refused, as its dispositions say.

use arrow::array::RecordBatch;
use serde_json::{Map, Value, json};

use super::{JobError, Work};
use crate::catalog::{CatalogError, Commit, TableWriter};
use crate::lengths;
use crate::name::TableName;
use crate::partition_ids::{self, PartitionError, Partitioning};
use crate::partition_removal;
use crate::schema::{self, FieldSchema};

/// A destination and the partition of it that is written.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    pub table: TableName,
    pub partition: Option<String>,
}

/// What a job says about its destination.
pub(super) struct Dispositions<'a> {
    settings: &'a Value,
    default_write: &'static str,
}

impl<'a> Dispositions<'a> {
    pub fn new(settings: &'a Value, default_write: &'static str) -> Self {
        Self {
            settings,
            default_write,
        }
    }

    fn write(&self) -> &str {
        self.settings["writeDisposition"]
            .as_str()
            .unwrap_or(self.default_write)
    }

    fn creates(&self) -> bool {
        self.settings["createDisposition"].as_str() != Some("CREATE_NEVER")
    }

    fn option(&self, name: &str) -> bool {
        self.settings["schemaUpdateOptions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|o| o.as_str() == Some(name)))
    }

    /// What a new table takes over beside its schema.
    fn resource(&self) -> Map<String, Value> {
        let mut resource = Map::new();
        for key in [
            "timePartitioning",
            "rangePartitioning",
            "clustering",
            "destinationTableProperties",
        ] {
            match &self.settings[key] {
                Value::Null => {}
                Value::Object(properties) if key == "destinationTableProperties" => {
                    resource.extend(properties.clone());
                }
                value => {
                    resource.insert(key.to_owned(), value.clone());
                }
            }
        }
        resource.extend(encryption(self.settings));
        resource
    }
}

/// What a job says of the key of its table.
pub(super) const ENCRYPTION: &str = "destinationEncryptionConfiguration";

/// The key of a job's table, among the settings of that table.
pub(super) fn encryption(settings: &Value) -> Map<String, Value> {
    let key = &settings[ENCRYPTION];
    let key = key.is_object().then(|| key.clone());
    key.map(|key| ("encryptionConfiguration".to_owned(), key))
        .into_iter()
        .collect()
}

/// Reads a table reference; the part of its id after a dollar sign is a partition.
pub(super) fn reference(value: &Value, project: &str) -> Result<Destination, JobError> {
    let part = |key: &str| value[key].as_str();
    let (Some(dataset), Some(id)) = (part("datasetId"), part("tableId")) else {
        return Err(JobError::invalid("Required parameter is missing: table"));
    };
    let (id, partition) = match id.split_once('$') {
        Some((id, partition)) => (id, Some(partition.to_owned())),
        None => (id, None),
    };
    if let Some(partition) = &partition
        && partition.parse::<i64>().is_err()
        && !matches!(partition.as_str(), "__NULL__" | "__UNPARTITIONED__")
    {
        return Err(JobError::invalid(format!(
            "Invalid date partition id: {partition}"
        )));
    }
    let project = part("projectId").unwrap_or(project);
    let table =
        TableName::try_new(project, dataset, id).map_err(|e| JobError::invalid(e.to_string()))?;
    Ok(Destination { table, partition })
}

/// The columns a destination has, if it exists.
pub(super) fn existing(
    work: &Work<'_>,
    destination: &Destination,
) -> Result<Option<Vec<FieldSchema>>, JobError> {
    match work.catalog.table(&destination.table) {
        Ok(table) => {
            if table.kind() != "TABLE" {
                return Err(JobError::invalid(format!(
                    "{} is not allowed for this operation because it is currently a {}.",
                    destination.table,
                    table.kind()
                )));
            }
            let columns = match &table.metadata {
                Some(metadata) => metadata.schema.clone(),
                None => schema::from_arrow(&table.schema),
            };
            Ok(Some(columns))
        }
        Err(CatalogError::TableNotFound { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Makes the destination ready to take rows of `columns`; rows it holds are taken out when it is to be truncated.
///
/// # Errors
/// [`JobError`] when a disposition or the schema stands against it. Nothing has been changed then.
pub(super) fn prepare(
    work: &Work<'_>,
    destination: &Destination,
    columns: &[FieldSchema],
    dispositions: &Dispositions<'_>,
) -> Result<(), JobError> {
    let table = &destination.table;
    let Some(existing) = existing(work, destination)? else {
        if !dispositions.creates() {
            return Err(CatalogError::TableNotFound {
                table: table.clone(),
            }
            .into());
        }
        let columns = columns.to_vec();
        let mut resource = dispositions.resource();
        if let Some(id) = &destination.partition {
            partition_of_new(table, id, &mut resource)?;
        }
        return Ok(work.catalog.create_table(table, columns, resource)?);
    };
    if let Some(id) = &destination.partition {
        partition_ids::partitioning(&*work.catalog.table(table)?, id)?;
    }
    match dispositions.write() {
        "WRITE_EMPTY" => {
            let rows = match &destination.partition {
                None => work.catalog.table(table)?.rows,
                Some(id) => partition_ids::partition(&work.catalog.table(table)?, id)?.rows,
            };
            if rows > 0 {
                let text = format!("Already Exists: Table {table}");
                return Err(JobError::new("duplicate", text));
            }
        }
        "WRITE_TRUNCATE" | "WRITE_TRUNCATE_DATA" if destination.partition.is_some() => {
            extend(work, table, &existing, columns, dispositions)?;
            let id = destination.partition.as_deref().unwrap_or_default();
            return Ok(partition_removal::empty(work.catalog, table, id)?);
        }
        "WRITE_TRUNCATE" => {
            work.catalog.truncate(table)?;
            let columns = columns.to_vec();
            work.catalog.update_table(table, |metadata| {
                // It is another table now, which everybody sees.
                metadata.row_access.clear();
                metadata.schema = columns;
                metadata.resource.extend(dispositions.resource());
                Ok(())
            })?;
            return Ok(());
        }
        "WRITE_TRUNCATE_DATA" => work.catalog.truncate(table)?,
        "WRITE_APPEND" => {}
        other => {
            return Err(JobError::invalid(format!(
                "Invalid value for writeDisposition: {other}"
            )));
        }
    }
    extend(work, table, &existing, columns, dispositions)
}

/// A table that is made by writing to a partition of it is partitioned by arrival, unless it is said otherwise.
fn partition_of_new(
    table: &TableName,
    id: &str,
    resource: &mut Map<String, Value>,
) -> Result<(), JobError> {
    let known = ["timePartitioning", "rangePartitioning"];
    if known.iter().any(|key| resource.contains_key(*key)) {
        return Ok(());
    }
    let grain = match (id.len(), crate::catalog::partition_time(id)) {
        (_, None) => {
            return Err(JobError::invalid(format!(
                "Invalid partition id {id} of table {table}"
            )));
        }
        (4, _) => "YEAR",
        (6, _) => "MONTH",
        (8, _) => "DAY",
        _ => "HOUR",
    };
    resource.insert("timePartitioning".to_owned(), json!({"type": grain}));
    Ok(())
}

/// Where rows are written that a job has brought into the form of its destination.
#[derive(Debug)]
pub(super) struct Arrival {
    writer: TableWriter,
    columns: Vec<FieldSchema>,
    /// The partition all rows have to be in by their own column.
    must_be_in: Option<(Partitioning, String)>,
}

impl Arrival {
    /// Begins to write to a destination that is there.
    pub fn begin(work: &Work<'_>, destination: &Destination) -> Result<Self, JobError> {
        let table = work.catalog.table(&destination.table)?;
        let by_column = match &destination.partition {
            None => None,
            Some(id) => {
                let partitioning = partition_ids::partitioning(&table, id)?;
                partitioning
                    .column()
                    .is_some()
                    .then(|| (partitioning.clone(), id.clone()))
            }
        };
        let decorator = match &by_column {
            Some(_) => None,
            None => destination.partition.as_deref(),
        };
        let columns = table.metadata.as_ref().map(|m| m.schema.clone());
        Ok(Self {
            columns: columns.unwrap_or_default(),
            writer: work.catalog.writer(&destination.table, decorator)?,
            must_be_in: by_column,
        })
    }

    /// Adds rows that have the table's wire schema.
    ///
    /// # Errors
    /// [`JobError`] for rows of another partition than that which is written, and values that are longer than their columns take.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), JobError> {
        if let Some((partitioning, id)) = &self.must_be_in {
            let column = partitioning.column().unwrap_or_default();
            let found = crate::projection::find(batch.schema_ref().fields(), column);
            let values = found.and_then(|(index, _)| batch.columns().get(index));
            if !values.is_some_and(|values| partitioning.all_in(values, id)) {
                return Err(JobError::invalid(format!(
                    "Some rows belong to different partitions rather than destination partition {id}"
                )));
            }
        }
        lengths::check(&self.columns, batch).map_err(|e| JobError::invalid(e.to_string()))?;
        Ok(self.writer.write(batch)?)
    }

    /// Makes the rows part of the table.
    pub fn commit(self) -> Result<Commit, JobError> {
        Ok(self.writer.commit()?)
    }
}

impl From<PartitionError> for JobError {
    fn from(error: PartitionError) -> Self {
        match error {
            PartitionError::Rows(e) => Self::new("internalError", e.to_string()),
            PartitionError::Catalog(e) => e.into(),
            other => Self::invalid(other.to_string()),
        }
    }
}

/// Adds and relaxes columns where the job allows it.
fn extend(
    work: &Work<'_>,
    table: &TableName,
    existing: &[FieldSchema],
    columns: &[FieldSchema],
    dispositions: &Dispositions<'_>,
) -> Result<(), JobError> {
    let mismatch = |detail: String| {
        JobError::invalid(format!(
            "Provided Schema does not match Table {table}. {detail}"
        ))
    };
    let mut merged = existing.to_vec();
    let mut changed = false;
    for column in columns {
        let known = merged
            .iter_mut()
            .find(|k| k.name.eq_ignore_ascii_case(&column.name));
        match known {
            None if dispositions.option("ALLOW_FIELD_ADDITION") => {
                merged.push(FieldSchema {
                    mode: if column.mode == "REPEATED" {
                        "REPEATED".to_owned()
                    } else {
                        "NULLABLE".to_owned()
                    },
                    ..column.clone()
                });
                changed = true;
            }
            None if existing.is_empty() => {}
            None => {
                return Err(mismatch(format!(
                    "Cannot add fields (field: {})",
                    column.name
                )));
            }
            Some(known) if known.kind != column.kind => {
                return Err(mismatch(format!(
                    "Field {} has changed type from {} to {}",
                    column.name, known.kind, column.kind
                )));
            }
            Some(known) if known.mode() != column.mode() => {
                let relaxes = known.mode == "REQUIRED" && column.mode() == "NULLABLE";
                // Rows of a required column fit one that may be null.
                let narrower = known.mode() == "NULLABLE" && column.mode == "REQUIRED";
                if relaxes && dispositions.option("ALLOW_FIELD_RELAXATION") {
                    known.mode.clone_from(&column.mode);
                    changed = true;
                } else if !(narrower || relaxes && dispositions.settings["schema"].is_null()) {
                    return Err(mismatch(format!(
                        "Field {} has changed mode from {} to {}",
                        column.name,
                        known.mode(),
                        column.mode()
                    )));
                }
            }
            Some(_) => {}
        }
    }
    if existing.is_empty() {
        merged = columns.to_vec();
        changed = !merged.is_empty();
    }
    let missing = merged.iter_mut().filter(|known| {
        let mut names = columns.iter().map(|c| &c.name);
        known.mode == "REQUIRED" && !names.any(|name| name.eq_ignore_ascii_case(&known.name))
    });
    for known in missing {
        if !dispositions.option("ALLOW_FIELD_RELAXATION") {
            let name = &known.name;
            return Err(mismatch(format!("Required field {name} is missing")));
        }
        "NULLABLE".clone_into(&mut known.mode);
        changed = true;
    }
    if changed {
        work.catalog.update_table(table, |metadata| {
            metadata.schema = merged;
            Ok(())
        })?;
    }
    Ok(())
}
