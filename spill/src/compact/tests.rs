#![allow(clippy::unwrap_used)]

use arrow::array::{DictionaryArray, Int64Array, ListArray, StringArray, StructArray};
use arrow::datatypes::{Field, Int32Type};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::*;

fn through_ipc(batch: &RecordBatch) -> RecordBatch {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    StreamReader::try_new(bytes.as_slice(), None)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
}

fn addresses(batch: &RecordBatch) -> Vec<usize> {
    fn walk(data: &ArrayData, out: &mut Vec<usize>) {
        let nulls = data.nulls().map(|n| n.inner().inner());
        for b in data.buffers().iter().chain(nulls) {
            if b.capacity() > 0 {
                out.push(b.data_ptr().as_ptr() as usize);
            }
        }
        for c in data.child_data() {
            walk(c, out);
        }
    }
    let mut out = Vec::new();
    for column in batch.columns() {
        walk(&column.to_data(), &mut out);
    }
    out
}

fn wide() -> RecordBatch {
    let n = 2000;
    let texts: Vec<Option<String>> = (0..n)
        .map(|i| (i % 7 != 0).then(|| format!("value number {i} that is longer than a view holds")))
        .collect();
    let keys: DictionaryArray<Int32Type> = (0..n)
        .map(|i| ["red", "green", "blue"].get(i % 3).copied())
        .collect();
    let short: Vec<Option<&str>> = (0..n).map(|i| (i % 5 != 0).then_some("tiny")).collect();
    let inner: [(Arc<Field>, ArrayRef); 2] = [
        (
            Arc::new(Field::new("v", DataType::Utf8View, true)),
            Arc::new(StringViewArray::from_iter(texts.clone())),
        ),
        (
            Arc::new(Field::new("d", keys.data_type().clone(), true)),
            Arc::new(keys.clone()),
        ),
    ];
    let nested = StructArray::from(inner.to_vec());
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..n as i32).map(|i| (i % 4 != 0).then(|| vec![Some(i), None])),
    );
    RecordBatch::try_from_iter([
        (
            "i",
            Arc::new(Int64Array::from_iter_values(0..n as i64)) as ArrayRef,
        ),
        ("t", Arc::new(StringArray::from(texts.clone()))),
        ("v", Arc::new(StringViewArray::from_iter(texts))),
        ("s", Arc::new(StringViewArray::from_iter(short))),
        ("d", Arc::new(keys)),
        ("l", Arc::new(lists)),
        ("n", Arc::new(nested)),
    ])
    .unwrap()
}

#[test]
fn a_projected_ipc_batch_lets_the_message_go() {
    let message = through_ipc(&wide());
    let one = message.project(&[0]).unwrap();
    let before = batch_memory_bytes(&one);
    let tight = compact_if_wasteful(one.clone()).unwrap();
    assert_eq!(tight, one);
    assert!(before > 100_000, "{before}");
    assert!(batch_memory_bytes(&tight) <= 2000 * 8 + 128);
    let whole = compact_if_wasteful(message.clone()).unwrap();
    assert_eq!(
        addresses(&whole),
        addresses(&message),
        "nothing to gain, nothing copied"
    );
}

#[test]
fn a_copy_shares_no_allocation_and_equals_its_source() {
    let source = through_ipc(&wide()).slice(501, 333);
    let tight = compact(&source).unwrap();
    assert_eq!(tight, source);
    let old = addresses(&source);
    assert!(addresses(&tight).iter().all(|a| !old.contains(a)));
    assert!(batch_memory_bytes(&tight) <= 2 * batch_logical_bytes(&tight));
}

#[test]
fn a_batch_without_columns_keeps_its_rows() {
    let none = wide().project(&[]).unwrap();
    assert_eq!(compact(&none).unwrap().num_rows(), 2000);
}
