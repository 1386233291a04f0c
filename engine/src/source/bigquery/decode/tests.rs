#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::TimeUnit;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};

use super::*;

fn batch() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..500))),
        (
            "text",
            Arc::new(StringArray::from_iter(
                (0..500).map(|i| (i % 7 != 0).then(|| format!("value {}", i % 20))),
            )),
        ),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from_iter_values(0..500).with_timezone("UTC")),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn message(batch: &RecordBatch, compression: Option<CompressionType>) -> Bytes {
    let options = IpcWriteOptions::default()
        .try_with_compression(compression)
        .unwrap();
    let mut writer =
        StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    let start = writer.get_ref().len();
    writer.write(batch).unwrap();
    Bytes::copy_from_slice(&writer.get_ref()[start..])
}

fn decoder(columns: &[&str]) -> Decoder {
    let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
    Decoder::new(batch().schema(), &columns).unwrap()
}

const ALL: [&str; 3] = ["id", "text", "ts"];

#[test]
fn decodes_what_was_written_in_the_order_asked_for() {
    for compression in [
        None,
        Some(CompressionType::LZ4_FRAME),
        Some(CompressionType::ZSTD),
    ] {
        let message = message(&batch(), compression);
        assert_eq!(decoder(&ALL).decode(&message, 500).unwrap(), batch());
        let some = decoder(&["ts", "id"]).decode(&message, 500).unwrap();
        assert_eq!(some, batch().project(&[2, 0]).unwrap());
        let none = decoder(&[]).decode(&message, 500).unwrap();
        assert_eq!((none.num_columns(), none.num_rows()), (0, 500));
        let bytes = decoded_bytes(&message).unwrap();
        if compression.is_none() {
            assert_eq!(bytes, message.len() as u64);
        } else {
            let plain = 500 * 8 * 2;
            assert!(bytes > message.len() as u64 + plain, "{bytes}");
        }
    }
    assert!(Decoder::new(batch().schema(), &["missing".to_owned()]).is_none());
}

#[test]
fn misaligned_messages_are_decoded_too() {
    let message = message(&batch(), None);
    for shift in 1..8 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(&message);
        let shifted = Bytes::from(shifted).slice(shift..);
        assert_eq!(decoder(&ALL).decode(&shifted, 500).unwrap(), batch());
    }
}

#[test]
fn cut_messages_are_errors() {
    let whole = message(&batch(), None);
    for length in (0..whole.len()).step_by(13) {
        let cut = whole.slice(..length);
        assert!(decoded_bytes(&cut).is_err(), "{length}");
        assert!(decoder(&ALL).decode(&cut, 500).is_err(), "{length}");
    }
}

#[test]
fn flipped_bytes_never_panic_or_claim_the_earth() {
    for compression in [
        None,
        Some(CompressionType::LZ4_FRAME),
        Some(CompressionType::ZSTD),
    ] {
        let whole = message(&batch(), compression);
        let decoder = decoder(&ALL);
        // The metadata is what steers the decoder, so every byte of it is changed, and a sample of the body.
        for place in (0..800).chain((800..whole.len()).step_by(997)) {
            for flip in [0x01, 0x80] {
                let mut bytes = whole.to_vec();
                let Some(byte) = bytes.get_mut(place) else {
                    continue;
                };
                *byte ^= flip;
                let bytes = Bytes::from(bytes);
                if let Ok(claimed) = decoded_bytes(&bytes)
                    && claimed < 1 << 24
                {
                    let _ = decoder.decode(&bytes, 500);
                }
            }
        }
    }
}

#[test]
fn false_claims_are_refused_before_anything_is_allocated() {
    let whole = message(&batch(), Some(CompressionType::LZ4_FRAME));
    let at = whole
        .windows(8)
        .position(|w| w == 4000_u64.to_le_bytes())
        .unwrap();
    for claim in [i64::MAX, 1 << 32, -2, i64::MIN] {
        let mut bytes = whole.to_vec();
        bytes[at..at + 8].copy_from_slice(&claim.to_le_bytes());
        let fault = decoded_bytes(&Bytes::from(bytes)).unwrap_err();
        assert!(
            matches!(fault, DecodeFault::CompressedLength { claimed, .. } if claimed == claim),
            "{fault}"
        );
    }
}

#[test]
fn a_frame_that_outgrows_its_claim_is_refused() {
    let zeros: ArrayRef = Arc::new(Int64Array::from_iter_values(vec![0; 8 << 20]));
    let batch = RecordBatch::try_from_iter([("zeros", zeros)]).unwrap();
    let whole = message(&batch, Some(CompressionType::LZ4_FRAME));
    let real: u64 = 64 << 20;
    assert!(whole.len() < 1 << 20);
    assert_eq!(decoded_bytes(&whole).unwrap(), real + whole.len() as u64);
    let at = whole
        .windows(8)
        .position(|w| w == real.to_le_bytes())
        .unwrap();
    let mut bytes = whole.to_vec();
    bytes[at..at + 8].copy_from_slice(&(1_u64 << 20).to_le_bytes());
    assert!(decoded_bytes(&Bytes::from(bytes)).is_err());
}

#[test]
fn the_column_with_broken_text_is_named() {
    let whole = message(&batch(), None);
    let mut bytes = whole.to_vec();
    let at = bytes.windows(5).position(|w| w == b"value").unwrap();
    bytes[at] = 0xff;
    let fault = decoder(&ALL).decode(&Bytes::from(bytes), 500).unwrap_err();
    assert!(fault.to_string().starts_with("column text "), "{fault}");
}

#[test]
fn row_counts_must_agree() {
    let message = message(&batch(), None);
    for said in [499, 501, 0, -1, i64::MAX] {
        let fault = decoder(&ALL).decode(&message, said).unwrap_err();
        assert!(matches!(fault, DecodeFault::RowCount { found: 500, .. }));
    }
}

#[test]
fn schemas_are_read_and_compared() {
    let write = |schema: &Schema| {
        let writer = StreamWriter::try_new(Vec::new(), schema).unwrap();
        writer.get_ref().clone()
    };
    let schema = batch().schema();
    assert_eq!(read_schema(&write(&schema)).unwrap(), schema);
    assert_eq!(schema_difference(&schema, &schema), None);
    let reordered = schema.project(&[2, 1, 0]).unwrap();
    assert_eq!(schema_difference(&schema, &reordered), None);
    let other = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new(
            "ts",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            false,
        ),
        Field::new("new", DataType::Utf8, true),
    ]);
    let difference = schema_difference(&schema, &other).unwrap();
    for part in [
        "~ id Int64 not null became Int64",
        "- text Utf8",
        "~ ts ",
        "+ new Utf8",
    ] {
        assert!(difference.contains(part), "{difference}");
    }
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let encoded = Schema::new(vec![Field::new("d", dictionary, true)]);
    assert!(matches!(
        read_schema(&write(&encoded)).unwrap_err(),
        DecodeFault::Dictionary(name) if name == "d"
    ));
    for bytes in [
        &b""[..],
        b"\xff\xff\xff\xff",
        b"garbage garbage garbage",
        &[0xff; 64],
    ] {
        assert!(read_schema(bytes).is_err());
    }
}
