//! What a run leaves behind and another one reads: `manifest.json` and `fitted.json`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Field, Schema};
use millpond_features::MemoryTable;

use super::document;
use crate::{ErrorKind, FittedRecipe, Manifest};

/// A manifest of two units, as the engine writes it.
const GOOD_MANIFEST: &str = include_str!("good_manifest.json");
/// What a run learned with every kind of step, as the engine writes it.
const GOOD_FITTED: &str = include_str!("good_fitted.json");

/// A journal of a run over two units, as a list of its records.
const GOOD_JOURNAL: &str = include_str!("good_journal.json");

/// Bytes that begin with 1 are edits of a good journal whose lines all have their checksum, those that begin with 2 are a
/// journal as they stand, and all others are a manifest.
///
/// # Panics
/// When either breaks a promise.
pub fn manifest(bytes: &[u8]) {
    match bytes.split_first() {
        Some((1, script)) => {
            let edited = [&[0], script].concat();
            let text = document(&edited, GOOD_JOURNAL).unwrap_or_default();
            journal(&lines_of(&text));
        }
        Some((2, lines)) => journal(lines),
        _ => manifest_file(bytes),
    }
}

/// The lines of a journal with these records.
pub(super) fn lines_of(records: &str) -> Vec<u8> {
    let records: serde_json::Value = serde_json::from_str(records).unwrap_or_default();
    let records = records.as_array().cloned().unwrap_or_default();
    let lines = records.iter().map(|record| {
        let json = record.to_string();
        format!(
            "{:08x} {:08x} {json}\n",
            json.len(),
            crc32c::crc32c(json.as_bytes())
        )
    });
    lines.collect::<String>().into_bytes()
}

/// Any bytes give an error of kind Manifest, or records that end where a record ends, and that read back as themselves.
fn journal(bytes: &[u8]) {
    let path = Path::new("journal");
    match crate::journal::parse(path, bytes) {
        Ok((records, good)) => {
            let whole = bytes.get(..good).expect("no more than there is was read");
            assert!(
                whole.is_empty() || whole.ends_with(b"\n"),
                "half a record was taken for one"
            );
            let written: String = records
                .iter()
                .map(|record| {
                    crate::journal::line_of(record).expect("what was read can be written")
                })
                .collect();
            let (again, all) = crate::journal::parse(path, written.as_bytes())
                .expect("what was written can be read");
            assert_eq!(all, written.len(), "a record that was written is torn");
            assert_eq!(records, again, "a journal does not read back as itself");
        }
        Err(error) => refused(&error, &[ErrorKind::Manifest]),
    }
}

/// Any text gives an error of kind Manifest, or a manifest that reads back as itself and lists no path outside of its
/// directory.
fn manifest_file(bytes: &[u8]) {
    let Some(text) = document(bytes, GOOD_MANIFEST) else {
        return;
    };
    match Manifest::from_json(&text) {
        Ok(manifest) => {
            let written = manifest.to_json().expect("what was read can be written");
            let again = Manifest::from_json(&written).expect("what was written can be read");
            assert_eq!(manifest, again, "a manifest does not read back as itself");
            let mut paths = BTreeSet::new();
            for shard in &manifest.shards {
                let path = Path::new(&shard.path);
                assert!(
                    path.components().count() == 2,
                    "{:?} is no shard",
                    shard.path
                );
                assert!(
                    path.components()
                        .all(|c| matches!(c, std::path::Component::Normal(_))),
                    "{:?} leaves the directory",
                    shard.path
                );
                assert!(paths.insert(path), "{:?} is listed twice", shard.path);
            }
        }
        Err(error) => refused(&error, &[ErrorKind::Manifest]),
    }
}

/// Any text gives an error, or a fitted recipe that writes the same text again and again, and that transforms rows or
/// refuses them.
///
/// # Panics
/// When it does not.
pub fn fitted(bytes: &[u8]) {
    let Some(text) = document(bytes, GOOD_FITTED) else {
        return;
    };
    let side_table = side_table();
    let read = |text: &str| {
        FittedRecipe::from_json(text, Path::new("fitted.json"), &|_| {
            Ok(Arc::new(MemoryTable::new(side_table.clone())))
        })
    };
    let fitted = match read(&text) {
        Ok(fitted) => fitted,
        Err(error) => {
            return refused(
                &error,
                &[ErrorKind::Manifest, ErrorKind::Config, ErrorKind::Schema],
            );
        }
    };
    // What is written depends on what was read alone, and once written it does not change any more.
    if let Ok(written) = text_of(&fitted) {
        let again = read(&written).expect("what was written can be read");
        let twice = text_of(&again).expect("what was read can be written");
        assert_eq!(
            written, twice,
            "a fitted recipe changes when it is saved again"
        );
    }
    for rows in [0, 3] {
        if let Some(batch) = rows_of(&fitted.input_schema(), rows)
            && let Ok(found) = fitted.transform(&batch)
        {
            assert_eq!(found.num_rows(), rows, "rows were lost or made");
            let names: BTreeSet<_> = found
                .schema()
                .fields()
                .iter()
                .map(|f| f.name().clone())
                .collect();
            assert_eq!(
                names.len(),
                found.num_columns(),
                "two output columns share a name"
            );
        }
    }
}

/// `fitted.json` as it would be written; the side tables are left out.
fn text_of(fitted: &FittedRecipe) -> crate::Result<String> {
    let files = fitted.to_files()?;
    let mut bytes = Vec::new();
    let last = files.last().expect("fitted.json is always written");
    last.write_to(&mut bytes)?;
    Ok(String::from_utf8(bytes).expect("JSON is text"))
}

/// A vocabulary that any encoder finds beside any artefact.
fn side_table() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("category", Arc::new(StringArray::from(vec!["a", "b", "c"]))),
        ("count", Arc::new(Int64Array::from(vec![3, 2, 1]))),
        (
            "id",
            Arc::new(Int32Array::from(vec![Some(0), Some(1), None])),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// A few rows of `schema`, with nulls, numbers and text; nothing for types that no row of a test has.
fn rows_of(schema: &Schema, rows: usize) -> Option<RecordBatch> {
    let texts: ArrayRef =
        Arc::new(StringArray::from(vec![None, Some("1"), Some("a")]).slice(0, rows));
    let numbers: ArrayRef =
        Arc::new(Int64Array::from(vec![Some(-1), None, Some(20_000)]).slice(0, rows));
    let columns = schema.fields().iter().map(|field| {
        let data_type = field.data_type();
        let made = match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                cast(&texts, data_type).ok()?
            }
            other if other.is_nested() || matches!(other, DataType::FixedSizeBinary(_)) => {
                return None;
            }
            other if can_cast_types(&DataType::Int64, other) => {
                cast(&numbers, other).unwrap_or_else(|_| new_null_array(other, rows))
            }
            other => new_null_array(other, rows),
        };
        Some((Field::new(field.name(), data_type.clone(), true), made))
    });
    let (fields, arrays): (Vec<_>, Vec<_>) =
        columns.collect::<Option<Vec<_>>>()?.into_iter().unzip();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).ok()
}

/// Checks the form of an error: of one of these kinds, in one line, and with nothing that commands a terminal.
pub(super) fn refused(error: &crate::Error, kinds: &[ErrorKind]) {
    let text = error.to_string();
    assert!(
        kinds.contains(&error.kind()),
        "{error:?} is of the wrong kind"
    );
    assert!(
        !text.is_empty() && !text.contains(char::is_control),
        "{text:?} is not one line"
    );
}
