#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, StructArray, new_empty_array, new_null_array,
};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, SchemaRef};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use proptest::prelude::*;

use super::*;
use crate::source::bigquery::fuzzing::{every_type, few_columns};
use crate::{FittedRecipe, Manifest, Recipe};

/// A saved input, and all of them, stay small enough to be kept with the code.
const MOST_FILE_BYTES: u64 = 10_000;
const MOST_BYTES: u64 = 500_000;

type Target = fn(&[u8]);
const TARGETS: [(&str, Target); 5] = [
    ("fitted", fitted),
    ("ipc", ipc),
    ("manifest", manifest),
    ("names", names),
    ("recipe", recipe),
];

#[test]
fn saved_inputs_keep_the_promises() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut bytes = 0;
    for (name, target) in TARGETS {
        let mut inputs = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            assert!(
                input.len() as u64 <= MOST_FILE_BYTES,
                "{} has {} bytes",
                path.display(),
                input.len()
            );
            bytes += input.len() as u64;
            inputs += 1;
            let held = std::panic::catch_unwind(|| target(&input));
            assert!(
                held.is_ok(),
                "{} breaks a promise of {name}",
                path.display()
            );
        }
        assert!(inputs >= 5, "{name} has {inputs} saved inputs");
    }
    assert!(bytes <= MOST_BYTES, "the corpus has {bytes} bytes");
}

#[test]
fn good_documents_are_good() {
    Manifest::from_json(&document(&[0], include_str!("good_manifest.json")).unwrap()).unwrap();
    Recipe::from_yaml(&document(&[0], include_str!("good_recipe.json")).unwrap()).unwrap();
    let lines = artefact::lines_of(include_str!("good_journal.json"));
    let (records, good) = crate::journal::parse(Path::new("x"), &lines).unwrap();
    assert_eq!((records.len(), good), (8, lines.len()));
    let text = document(&[0], include_str!("good_fitted.json")).unwrap();
    let fitted = FittedRecipe::from_json(&text, Path::new("x"), &|_| unreachable!()).unwrap();
    assert!(fitted.feature_names().len() > 10);
}

#[test]
fn edits_reach_every_part() {
    let good: serde_json::Value = serde_json::from_str(include_str!("good_manifest.json")).unwrap();
    let mut changed = std::collections::BTreeSet::new();
    for place in 0..=255 {
        changed.insert(edits::apply(good.clone(), &[0, place, 0, 3]).to_string());
    }
    assert!(
        changed.len() > 100,
        "{} documents of 256 edits",
        changed.len()
    );
}

/// The messages of a session, as the service writes them, each with the byte that chooses its schema before it.
fn messages() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for (mode, schema, rows) in [
        (0, few_columns(), 20),
        (1, every_type(), 5),
        (2, every_type(), 0),
    ] {
        for compression in [
            None,
            Some(CompressionType::LZ4_FRAME),
            Some(CompressionType::ZSTD),
        ] {
            let batch = rows_of(&schema, rows);
            let options = IpcWriteOptions::default()
                .try_with_compression(compression)
                .unwrap();
            let mut writer =
                StreamWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
            let start = writer.get_ref().len();
            writer.write(&batch).unwrap();
            let bytes = writer.get_ref();
            found.push([&[mode], &bytes[start..]].concat());
            let length = u16::try_from(start).unwrap().to_le_bytes();
            found.push([&[3], length.as_slice(), bytes].concat());
        }
    }
    found
}

fn rows_of(schema: &SchemaRef, rows: usize) -> RecordBatch {
    let columns = schema
        .fields()
        .iter()
        .map(|field| column_of(field.data_type(), rows))
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

fn column_of(data_type: &DataType, rows: usize) -> ArrayRef {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..rows).map(|i| format!("t{i}")),
    ));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(|i| i as i64)));
    match data_type {
        _ if rows == 0 => new_empty_array(data_type),
        DataType::Utf8 | DataType::Binary => cast(&texts, data_type).unwrap(),
        DataType::List(_) => {
            let one = cast(&column_of(&inner(data_type), 1), data_type).unwrap();
            concat(&[one.as_ref(), new_null_array(data_type, rows - 1).as_ref()]).unwrap()
        }
        DataType::Struct(fields) => {
            let columns = fields
                .iter()
                .map(|f| column_of(f.data_type(), rows))
                .collect();
            Arc::new(StructArray::new(fields.clone(), columns, None))
        }
        other => cast(&numbers, other)
            .or_else(|_| cast(&cast(&numbers, &DataType::Int32).unwrap(), other))
            .unwrap(),
    }
}

fn inner(list: &DataType) -> DataType {
    match list {
        DataType::List(field) => field.data_type().clone(),
        other => other.clone(),
    }
}

#[test]
fn whole_messages_are_decoded() {
    for message in messages() {
        ipc(&message);
        let Some((0 | 1, body)) = message.split_first() else {
            continue;
        };
        let bytes = bytes::Bytes::copy_from_slice(body);
        assert!(crate::source::bigquery::fuzzing::is_decoded(
            message[0], &bytes
        ));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edited_documents_keep_the_promises(script in proptest::collection::vec(any::<u8>(), 0..60)) {
        let input = [&[0], script.as_slice()].concat();
        manifest(&input);
        manifest(&[&[1], script.as_slice()].concat());
        manifest(&[&[2], script.as_slice()].concat());
        recipe(&input);
        fitted(&input);
    }

    #[test]
    fn any_text_keeps_the_promises(text in "\\PC{0,40}") {
        names(text.as_bytes());
        recipe(text.as_bytes());
        manifest(text.as_bytes());
    }

    #[test]
    fn names_of_the_usual_shape_keep_the_promises(text in "(bigquery://|https?://)?[a-z0-9:@$`'/.\\\\-]{1,12}[./][a-z0-9_* -]{0,9}[./]?[a-z0-9é]{0,9}") {
        names(text.as_bytes());
    }

    #[test]
    fn changed_messages_keep_the_promises(
        which in 0_usize..18,
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
        length in any::<u16>(),
    ) {
        let mut message = messages().swap_remove(which);
        for (place, value) in changes {
            // Most of what steers the decoder stands in front.
            let place = 1 + usize::from(place) % (message.len() - 1).min(900);
            message[place] = value;
        }
        if length < 10_000 {
            message.truncate(usize::from(length));
        }
        ipc(&message);
    }
}
