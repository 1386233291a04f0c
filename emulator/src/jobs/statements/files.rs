//! `LOAD DATA`, `EXPORT DATA`, external tables, and tables made of others: each as the job or the call that does the same.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use serde_json::{Map, Value, json};

use super::definitions::{declared, drop_kind, resource, temporary_table};
use super::options::{self, Of};
use super::{Effect, invalid, refuse_in_transaction, unsupported};
use crate::buckets::Buckets;
use crate::catalog::CatalogError;
use crate::external::{self, External};
use crate::file_writers::FileForm;
use crate::jobs::query::{Running, reference};
use crate::jobs::{JobError, copy, extract, load};
use crate::name::TableName;
use crate::query;
use crate::query::ast::{CreateTable, Expr, ObjectName, Query, SqlOption};
use crate::query::statements::files::{CopyKind, FileAct, FileStatement, IfThere};
use crate::row_access::Visible;
use crate::schema;
use crate::source_files::SourceFiles;

/// What options of files are called in load jobs.
const LOADED: [(&str, &str); 16] = [
    ("uris", "sourceUris"),
    ("max_bad_records", "maxBadRecords"),
    ("ignore_unknown_values", "ignoreUnknownValues"),
    ("decimal_target_types", "decimalTargetTypes"),
    ("reference_file_schema_uri", "referenceFileSchemaUri"),
    ("compression", "compression"),
    ("skip_leading_rows", "skipLeadingRows"),
    ("field_delimiter", "fieldDelimiter"),
    ("quote", "quote"),
    ("null_marker", "nullMarker"),
    ("encoding", "encoding"),
    ("allow_jagged_rows", "allowJaggedRows"),
    ("allow_quoted_newlines", "allowQuotedNewlines"),
    ("enable_logical_types", "useAvroLogicalTypes"),
    ("enable_list_inference", "enableListInference"),
    ("enum_as_string", "enumAsString"),
];

/// Where a setting is in the description of external data, when not at the top.
fn group(setting: &str) -> Option<&'static str> {
    Some(match setting {
        "skipLeadingRows"
        | "fieldDelimiter"
        | "quote"
        | "nullMarker"
        | "encoding"
        | "allowJaggedRows"
        | "allowQuotedNewlines" => "csvOptions",
        "useAvroLogicalTypes" => "avroOptions",
        "enableListInference" | "enumAsString" => "parquetOptions",
        _ => return None,
    })
}

/// Runs a statement.
pub(super) fn run(
    running: &mut Running<'_, '_>,
    statement: &FileStatement,
) -> Result<Effect, JobError> {
    refuse_in_transaction(running, statement)?;
    match &statement.act {
        FileAct::Load {
            table,
            overwrite,
            files,
            directories,
        } => load_data(running, table, *overwrite, (files, *directories)),
        FileAct::Export { options, query } => export(running, options, (**query).clone()),
        FileAct::CreateExternal {
            table,
            there,
            options,
            directories,
            connection,
        } => {
            let described = (options.as_slice(), *directories, connection.as_deref());
            create_external(running, table, *there, described)
        }
        FileAct::Copy {
            kind,
            there,
            name,
            source,
            at,
            options,
        } => {
            let made = (name, source, at.as_deref());
            copy_table(running, *kind, *there, made, options)
        }
        FileAct::Drop {
            snapshot,
            if_exists,
            name,
        } => {
            let (statement, wanted) = match snapshot {
                true => ("DROP_SNAPSHOT_TABLE", "SNAPSHOT"),
                false => ("DROP_EXTERNAL_TABLE", "EXTERNAL"),
            };
            drop_kind(running, (statement, wanted), *if_exists, name)
        }
    }
}

/// Options by their names, evaluated.
fn values(
    running: &Running<'_, '_>,
    options: &[SqlOption],
) -> Result<Map<String, Value>, JobError> {
    let mut all = Map::new();
    for option in options {
        let SqlOption::KeyValue { key, value } = option else {
            return Err(unsupported(format!("the option {option}")));
        };
        let name = key.value.to_ascii_lowercase();
        let found = options::evaluate(running, value)?;
        let value = match found.data_type() {
            _ if found.is_null(0) => Value::Null,
            DataType::Utf8 => json!(found.as_string::<i32>().value(0)),
            DataType::Boolean => json!(found.as_boolean().value(0)),
            DataType::Int64 => json!(found.as_primitive::<Int64Type>().value(0)),
            DataType::List(_) => {
                let texts = found.as_list::<i32>().value(0);
                let texts = texts.as_string_opt::<i32>();
                let texts = texts.ok_or_else(|| unsupported(format!("the option {option}")))?;
                json!(texts.iter().flatten().collect::<Vec<_>>())
            }
            _ => return Err(unsupported(format!("the option {option}"))),
        };
        if all.insert(name.clone(), value).is_some() {
            return Err(invalid(format!("Duplicate option specified: {name}")));
        }
    }
    Ok(all)
}

/// The settings of a load job that options of files mean; the others stay in `values`.
fn load_settings(values: &mut Map<String, Value>, directories: bool) -> Result<Value, JobError> {
    let mut settings = json!({});
    let format = values.remove("format");
    let format = format.as_ref().and_then(Value::as_str);
    let format = format.ok_or_else(|| invalid("The option format is missing".to_owned()))?;
    let format = match format.to_ascii_uppercase().as_str() {
        "JSON" | "NEWLINE_DELIMITED_JSON" => "NEWLINE_DELIMITED_JSON".to_owned(),
        other => other.to_owned(),
    };
    settings["sourceFormat"] = json!(format);
    for (option, setting) in LOADED {
        if let Some(value) = values.remove(option) {
            settings[setting] = value;
        }
    }
    let prefix = values.remove("hive_partition_uri_prefix");
    let filter = values.remove("require_hive_partition_filter");
    if directories || prefix.is_some() {
        let mut hive = json!({"mode": "AUTO", "sourceUriPrefix": prefix});
        if let Some(filter) = filter {
            hive["requirePartitionFilter"] = filter;
        }
        settings["hivePartitioningOptions"] = hive;
    }
    Ok(settings)
}

fn none_left(values: &Map<String, Value>) -> Result<(), JobError> {
    match values.keys().next() {
        Some(name) => Err(invalid(format!("Unknown option: {name}"))),
        None => Ok(()),
    }
}

fn load_data(
    running: &mut Running<'_, '_>,
    table: &CreateTable,
    overwrite: bool,
    (files, directories): (&[SqlOption], bool),
) -> Result<Effect, JobError> {
    let mut values = values(running, files)?;
    let mut settings = load_settings(&mut values, directories)?;
    none_left(&values)?;
    let columns = table.columns.iter().map(|column| declared(running, column));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let resource = resource(running, table)?;
    if running.is_dry_run() {
        let format = settings["sourceFormat"].as_str().unwrap_or_default();
        let places = running.work.catalog.places();
        SourceFiles::find(places, format, settings.clone())?;
        return Ok(Effect::named("LOAD_DATA"));
    }
    let target = if table.temporary {
        temporary_table(running, table)?
    } else {
        query::table_of(&table.name, &running.defaults)?
    };
    let exists = match running.work.catalog.table(&target) {
        Ok(_) => true,
        Err(CatalogError::TableNotFound { .. }) => false,
        Err(e) => return Err(e.into()),
    };
    settings["destinationTable"] = reference(&target);
    settings["destinationTableProperties"] = Value::Object(resource);
    settings["writeDisposition"] = json!(if overwrite {
        "WRITE_TRUNCATE"
    } else {
        "WRITE_APPEND"
    });
    if !columns.is_empty() {
        settings["schema"] = json!({"fields": columns});
    }
    settings["autodetect"] = json!(columns.is_empty() && (overwrite || !exists));
    let loaded = load::load(running.work, &settings, None)?;
    if table.temporary {
        running.defaults.remember(&table.name, target.clone());
    }
    running.work.configuration["query"]["destinationTable"] = reference(&target);
    let mut effect = Effect::named("LOAD_DATA");
    effect
        .members
        .insert("loadQueryStatistics".to_owned(), loaded.statistics());
    Ok(effect)
}

fn export(
    running: &mut Running<'_, '_>,
    options: &[SqlOption],
    query: Query,
) -> Result<Effect, JobError> {
    let mut values = values(running, options)?;
    let mut take = |name: &str| values.remove(name).unwrap_or_default();
    let (uri, overwrite) = (take("uri"), take("overwrite"));
    let settings = json!({
        "destinationFormat": take("format"),
        "compression": take("compression"),
        "fieldDelimiter": take("field_delimiter"),
        "printHeader": take("header").as_bool().unwrap_or(false),
        "useAvroLogicalTypes": take("use_avro_logical_types"),
    });
    none_left(&values)?;
    for (name, value) in [("uri", &uri), ("format", &settings["destinationFormat"])] {
        if !value.is_string() {
            return Err(invalid(format!("The option {name} is missing")));
        }
    }
    let uri = uri.as_str().unwrap_or_default();
    if uri.matches('*').count() != 1 {
        return Err(invalid(format!(
            "Invalid destination URI {uri}: it must have exactly one wildcard *"
        )));
    }
    let form = FileForm::of_job(&settings)?;
    let planned = running.reading(query)?;
    if running.is_dry_run() {
        return Ok(Effect::tried("EXPORT_DATA", &[&planned], None));
    }
    let from = running.gather(planned)?;
    let catalog = running.work.catalog;
    let buckets = catalog.places().buckets();
    let written = make_room(buckets, uri, overwrite == true).and_then(|()| {
        let table = catalog.table(&from)?;
        let rows = table.rows;
        Ok((extract::write(buckets, table, &[uri], &form)?, rows))
    });
    catalog.delete_table(&from)?;
    let (files, rows) = written?;
    let count: u64 = files.iter().sum();
    let mut effect = Effect::named("EXPORT_DATA");
    let statistics = json!({"fileCount": count.to_string(), "rowCount": rows.to_string()});
    effect
        .members
        .insert("exportDataStatistics".to_owned(), statistics);
    Ok(effect)
}

/// Removes files that are in the way, or refuses to write beside them.
fn make_room(buckets: &Buckets, uri: &str, overwrite: bool) -> Result<(), JobError> {
    let broken = |e: std::io::Error| JobError::new("internalError", e.to_string());
    let there = buckets.matching(uri).map_err(broken)?;
    if !there.is_empty() && !overwrite {
        return Err(JobError::invalid(format!(
            "There are files at {uri} already; set the option overwrite to write over them"
        )));
    }
    for object in there {
        buckets
            .remove(&object.bucket, &object.name)
            .map_err(broken)?;
    }
    Ok(())
}

/// Whether a table is made, where there may be one; it is gone when it is replaced.
fn ready(
    running: &Running<'_, '_>,
    name: &TableName,
    there: IfThere,
) -> Result<Option<&'static str>, JobError> {
    let catalog = running.work.catalog;
    match (catalog.table(name), there) {
        (Err(CatalogError::TableNotFound { .. }), _) => Ok(Some("CREATE")),
        (Err(e), _) => Err(e.into()),
        (Ok(_), IfThere::Keep) => Ok(None),
        (Ok(_), IfThere::Replace) => Ok(Some("REPLACE")),
        (Ok(_), IfThere::Fail) => {
            let table = name.clone();
            Err(CatalogError::TableExists { table }.into())
        }
    }
}

fn create_external(
    running: &mut Running<'_, '_>,
    table: &CreateTable,
    there: IfThere,
    (options, directories, connection): (&[SqlOption], bool, Option<&str>),
) -> Result<Effect, JobError> {
    const STATEMENT: &str = "CREATE_EXTERNAL_TABLE";
    let name = query::table_of(&table.name, &running.defaults)?;
    let columns = table.columns.iter().map(|column| declared(running, column));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let of_files = |option: &&SqlOption| match option {
        SqlOption::KeyValue { key, .. } => !options::is_of_table(&key.value),
        _ => true,
    };
    let files: Vec<SqlOption> = options.iter().filter(of_files).cloned().collect();
    let others: Vec<SqlOption> = options.iter().filter(|o| !of_files(o)).cloned().collect();
    let mut values = values(running, &files)?;
    let settings = load_settings(&mut values, directories)?;
    none_left(&values)?;
    let mut configuration = json!({"autodetect": columns.is_empty()});
    for (key, value) in settings.as_object().into_iter().flatten() {
        match group(key) {
            None => configuration[key] = value.clone(),
            Some(group) => configuration[group][key] = value.clone(),
        }
    }
    if !columns.is_empty() {
        let columns = schema::checked(&columns).map_err(|e| invalid(e.to_string()))?;
        configuration["schema"] = json!({"fields": columns});
    }
    if let Some(connection) = connection {
        configuration["connectionId"] = json!(connection);
    }
    let mut resource = Map::new();
    for setting in options::settings(running, Of::Table, &others)? {
        setting.apply(&mut resource);
    }
    resource.insert(external::CONFIGURATION.to_owned(), configuration);
    let Some(operation) = ready(running, &name, there)? else {
        return Ok(Effect::ddl(STATEMENT, "SKIP", &name));
    };
    let catalog = running.work.catalog;
    let columns = match External::of(&resource, catalog.places()) {
        Some(external) => external.columns_of_table()?,
        None => columns,
    };
    if running.is_dry_run() {
        return Ok(Effect::ddl(STATEMENT, operation, &name).with_schema(&columns));
    }
    if operation == "REPLACE" {
        catalog.delete_table(&name)?;
    }
    catalog.create_table(&name, columns, resource)?;
    Ok(Effect::ddl(STATEMENT, operation, &name))
}

fn copy_table(
    running: &mut Running<'_, '_>,
    kind: CopyKind,
    there: IfThere,
    (name, source, at): (&ObjectName, &ObjectName, Option<&Expr>),
    options: &[SqlOption],
) -> Result<Effect, JobError> {
    let statement = match kind {
        CopyKind::Snapshot => "CREATE_SNAPSHOT_TABLE",
        _ => "CREATE_TABLE",
    };
    let name = query::table_of(name, &running.defaults)?;
    let source = query::table_of(source, &running.defaults)?;
    let mut from = reference(&source);
    if let Some(at) = at {
        let at = options::evaluate(running, at)?;
        let at = at.as_primitive_opt::<TimestampMicrosecondType>();
        let at = at.filter(|at| at.is_valid(0)).map(|at| at.value(0));
        let at = at.ok_or_else(|| invalid("FOR SYSTEM_TIME AS OF needs a TIMESTAMP".to_owned()))?;
        from["tableId"] = json!(format!("{}@{}", source.table(), at.div_euclid(1000)));
    }
    let set = options::settings(running, Of::Table, options)?;
    let Some(operation) = ready(running, &name, there)? else {
        return Ok(Effect::ddl(statement, "SKIP", &name));
    };
    let settings = json!({
        "sourceTable": from,
        "destinationTable": reference(&name),
        "writeDisposition": "WRITE_TRUNCATE",
        "operationType": match kind {
            CopyKind::Snapshot => "SNAPSHOT",
            CopyKind::Clone => "CLONE",
            CopyKind::Copy | CopyKind::Like => "COPY",
        },
    });
    let rows = match kind {
        CopyKind::Like => copy::Rows::None,
        _ => copy::Rows::All,
    };
    if running.is_dry_run() {
        let (table, columns) = copy::source_of(running.work, &settings["sourceTable"])?;
        if rows == copy::Rows::All {
            Visible::check_all(&table).map_err(CatalogError::from)?;
        }
        return Ok(Effect::ddl(statement, operation, &name).with_schema(&columns));
    }
    copy::copy(running.work, &settings, rows)?;
    if !set.is_empty() {
        running.work.catalog.update_table(&name, |metadata| {
            for setting in &set {
                setting.apply(&mut metadata.resource);
            }
            Ok(())
        })?;
    }
    Ok(Effect::ddl(statement, operation, &name))
}
