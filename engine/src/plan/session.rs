//! The DataFusion session of a job: its settings, its share of the ledger, its temporary directory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use millpond_spill::MemoryBudget;

use super::bytes::byte_functions;
use super::json_value::json_value;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::nearest_name;

/// How the complaint about a geography function begins, and what it ends with.
const INVALID_GEOGRAPHY: &str = "invalid function 'st_";
const GEOGRAPHY_HINT: &str = " (geography arrives as WKT text and has no functions here: take it apart as text, such as CAST(regexp_match(g, 'POINT ?[(]([^ ]+) ([^)]+)[)]')[1] AS DOUBLE) for the x of a point)";

/// Mode of directories that hold rows.
const PRIVATE_DIR: u32 = 0o700;

/// One job's DataFusion context.
#[derive(Clone)]
pub(crate) struct Session {
    context: SessionContext,
}

impl Session {
    /// A session whose operators draw on `budget` and spill below `temp_dir`.
    ///
    /// # Errors
    /// When the runtime cannot be built.
    pub fn try_new(
        budget: &MemoryBudget,
        temp_dir: Option<&Path>,
        batch_rows: usize,
    ) -> Result<Self> {
        let disk = match temp_dir {
            Some(dir) => DiskManagerBuilder::default()
                .with_mode(DiskManagerMode::Directories(vec![dir.to_path_buf()])),
            None => DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(budget.pool())
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|e| from_datafusion(e, "cannot start the query engine"))?;
        if let Some(dir) = temp_dir {
            keep_private(dir)?;
        }
        let mut config = SessionConfig::new()
            .with_batch_size(batch_rows)
            .with_target_partitions(1)
            .with_information_schema(false);
        let options = config.options_mut();
        // Column names mean what the data says, letter by letter.
        options.sql_parser.enable_ident_normalization = false;
        options.optimizer.enable_round_robin_repartition = false;
        options.optimizer.repartition_file_scans = false;
        options.optimizer.prefer_hash_join = false;
        // Sorts of a union's parts, each by fewer columns where a column is one value there, share one threshold and lose rows.
        options.optimizer.repartition_sorts = false;
        let context = SessionContext::new_with_config_rt(config, runtime);
        own_functions(&context);
        Ok(Self { context })
    }

    /// A session for expressions alone: no disk, a ledger of its own.
    ///
    /// # Errors
    /// When the runtime cannot be built.
    pub fn for_expressions() -> Result<Self> {
        Self::try_new(&MemoryBudget::new(usize::MAX / 2), None, 8192)
    }

    pub(super) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// A context like this one that may use `partitions` threads inside one query.
    pub fn context_for_query(&self, partitions: usize) -> SessionContext {
        let mut config = self
            .context
            .copied_config()
            .with_target_partitions(partitions);
        config
            .options_mut()
            .execution
            .parquet
            .schema_force_view_types = false;
        let context = SessionContext::new_with_config_rt(config, self.context.runtime_env());
        own_functions(&context);
        context
    }
}

/// Functions that SQL has here beside DataFusion's own.
fn own_functions(context: &SessionContext) {
    context.register_udf(json_value());
    for function in byte_functions() {
        context.register_udf(function);
    }
}

/// DataFusion makes a directory of its own with whatever mode the umask leaves.
fn keep_private(temp_dir: &Path) -> Result<()> {
    let close = || -> io::Result<()> {
        for entry in fs::read_dir(temp_dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::set_permissions(entry.path(), fs::Permissions::from_mode(PRIVATE_DIR))?;
            }
        }
        Ok(())
    };
    close().map_err(|e| {
        Error::with_source(
            ErrorKind::Disk,
            format!("cannot set modes in \"{}\"", temp_dir.display()),
            e,
        )
    })
}

/// The engine error for a DataFusion error: the engine's own when one is inside, else one of the kind that fits.
pub(crate) fn from_datafusion(error: DataFusionError, context: &str) -> Error {
    if let Some(found) = Error::find_in(&error) {
        return found;
    }
    if let Some(found) = find_in_shared(&error) {
        return found;
    }
    if let DataFusionError::SchemaError(schema, _) = error.find_root()
        && let SchemaError::FieldNotFound {
            field,
            valid_fields,
        } = schema.as_ref()
    {
        let names = valid_fields.iter().map(|c| c.name.as_str());
        return no_such_column(context, &field.name, names);
    }
    let kind = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => ErrorKind::MemoryBudget,
        DataFusionError::IoError(_) => ErrorKind::Disk,
        DataFusionError::ObjectStore(_) => ErrorKind::Unavailable,
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_) => ErrorKind::Config,
        _ => ErrorKind::Data,
    };
    let said = one_line(&error);
    let hint = match said.get(..INVALID_GEOGRAPHY.len()) {
        Some(start) if start.eq_ignore_ascii_case(INVALID_GEOGRAPHY) => GEOGRAPHY_HINT,
        _ => "",
    };
    Error::new(kind, format!("{context}: {said}{hint}"))
}

/// As [`from_datafusion`] before a row is read, when an error cannot be the data's.
pub(super) fn from_planning(error: DataFusionError, context: &str) -> Error {
    let error = from_datafusion(error, context);
    match error.kind() {
        ErrorKind::Data => Error::config(error.context()),
        _ => error,
    }
}

/// The error for a column that `context` names and that is not among `known`.
pub(super) fn no_such_column<'a>(
    context: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Error {
    let known: Vec<&str> = known.into_iter().collect();
    let hint = match nearest_name(name, known.iter().copied()) {
        Some(near) => format!(", did you mean \"{near}\"?"),
        None => format!(" ({} columns do)", known.len()),
    };
    Error::new(
        ErrorKind::Schema,
        format!("{context}: column \"{name}\" does not exist{hint}"),
    )
}

/// DataFusion hides shared errors behind an `Arc` that `source()` does not always pass.
fn find_in_shared(error: &DataFusionError) -> Option<Error> {
    match error {
        DataFusionError::Shared(inner) => {
            find_in_shared(inner).or_else(|| Error::find_in(inner.as_ref()))
        }
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            find_in_shared(inner)
        }
        DataFusionError::External(inner) => Error::find_in(inner.as_ref()),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            arrow::error::ArrowError::ExternalError(e) => Error::find_in(e.as_ref()),
            _ => None,
        },
        _ => None,
    }
}

fn one_line(error: &DataFusionError) -> String {
    let text = error.find_root().strip_backtrace();
    let text = text.replace(['\n', '\r'], " ");
    [
        "Error during planning: ",
        "Schema error: ",
        "Execution error: ",
        "SQL error: ",
    ]
    .iter()
    .fold(text, |t, prefix| {
        t.strip_prefix(prefix).map(str::to_owned).unwrap_or(t)
    })
}

/// Makes [`Session`]'s context reachable for SQL sources without naming DataFusion there.
impl Session {
    /// Plans `sql` over `tables` and writes its rows, in the order of `order_by` when given, through `write`, batch by batch.
    ///
    /// # Errors
    /// When the query is wrong or fails, or `write` does.
    pub async fn run_query(
        &self,
        sql: &str,
        tables: Vec<(
            String,
            Arc<dyn crate::source::Source>,
            crate::source::ReadContext,
        )>,
        order_by: &[String],
        threads: usize,
        mut write: impl FnMut(&arrow::array::RecordBatch) -> Result<()> + Send,
    ) -> Result<arrow::datatypes::SchemaRef> {
        use futures::StreamExt;
        let context = self.context_for_query(threads);
        for (name, source, read) in tables {
            let table = super::unit_table::UnitTable::of_whole_columns(source, read);
            context
                .register_table(name.as_str(), Arc::new(table))
                .map_err(|e| from_datafusion(e, &format!("table \"{name}\" of the query")))?;
        }
        let frame = context
            .sql(sql)
            .await
            .map_err(|e| from_datafusion(e, "query"))?;
        let known = frame.schema().clone();
        let sort: Vec<_> = order_by
            .iter()
            .filter(|c| known.has_column_with_unqualified_name(c))
            .map(|c| {
                datafusion::logical_expr::Expr::from(datafusion::common::Column::from_name(
                    c.as_str(),
                ))
                .sort(true, false)
            })
            .collect();
        let frame = if sort.is_empty() {
            frame
        } else {
            frame.sort(sort).map_err(|e| from_datafusion(e, "query"))?
        };
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let mut stream = frame
            .execute_stream()
            .await
            .map_err(|e| from_datafusion(e, "query"))?;
        while let Some(batch) = stream.next().await {
            write(&batch.map_err(|e| from_datafusion(e, "query"))?)?;
        }
        Ok(schema)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;

    #[tokio::test]
    async fn the_first_rows_of_a_union_come_from_all_its_parts() {
        let session = Session::for_expressions().unwrap();
        let part = |s: u8| {
            format!("SELECT x, {s} AS s FROM (VALUES (3), (1), (2), (6), (5), (4)) AS t (x)")
        };
        let sql = format!(
            "SELECT x FROM ({} UNION ALL {}) ORDER BY s, x LIMIT 5",
            part(2),
            part(1)
        );
        for threads in [1, 3] {
            let mut found = Vec::new();
            let write = |batch: &arrow::array::RecordBatch| {
                found.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
                Ok(())
            };
            let rows = session.run_query(&sql, Vec::new(), &[], threads, write);
            rows.await.unwrap();
            assert_eq!(found, [1, 2, 3, 4, 5], "{threads} threads");
        }
    }
}
