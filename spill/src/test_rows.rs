//! Random batches of every type that can be spilled, for the tests. Owns the generator; tests own the claims.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{
    ArrayData, ArrayRef, BooleanArray, FixedSizeBinaryArray, RecordBatch, RecordBatchOptions,
    StringArray, make_array, new_null_array,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};

/// A small deterministic generator (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Every type the crate promises to carry.
pub(crate) fn every_type() -> Vec<DataType> {
    use DataType::*;
    let item = |t: DataType| Arc::new(Field::new("item", t, true));
    let dictionary = |k: DataType, v: DataType| Dictionary(Box::new(k), Box::new(v));
    let entry = Struct(
        vec![
            Field::new("keys", Utf8, false),
            Field::new("values", Int64, true),
        ]
        .into(),
    );
    let inner = Struct(
        vec![
            Field::new("x", Float64, true),
            Field::new("tags", List(item(Utf8View)), true),
            Field::new("kind", dictionary(Int8, Utf8), true),
        ]
        .into(),
    );
    let tagged = Field::new("item", Int32, true)
        .with_metadata([("unit".to_owned(), "mm".to_owned())].into());
    vec![
        Null,
        Boolean,
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float16,
        Float32,
        Float64,
        Utf8,
        LargeUtf8,
        Utf8View,
        Binary,
        LargeBinary,
        BinaryView,
        FixedSizeBinary(5),
        Date32,
        Date64,
        Time32(TimeUnit::Second),
        Time32(TimeUnit::Millisecond),
        Time64(TimeUnit::Microsecond),
        Time64(TimeUnit::Nanosecond),
        Timestamp(TimeUnit::Second, None),
        Timestamp(TimeUnit::Millisecond, Some("+02:00".into())),
        Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Timestamp(TimeUnit::Nanosecond, None),
        Duration(TimeUnit::Microsecond),
        Interval(IntervalUnit::YearMonth),
        Interval(IntervalUnit::DayTime),
        Decimal32(7, 2),
        Decimal64(16, 3),
        Decimal128(38, 9),
        Decimal256(76, 38),
        dictionary(Int32, Utf8),
        dictionary(UInt32, LargeUtf8),
        dictionary(Int64, Binary),
        dictionary(Int8, Utf8),
        dictionary(UInt8, Binary),
        dictionary(Int16, Utf8View),
        dictionary(UInt16, Int64),
        dictionary(Int32, Float64),
        dictionary(Int32, Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        List(item(Int32)),
        List(Arc::new(tagged)),
        LargeList(item(Utf8)),
        List(item(inner.clone())),
        List(item(dictionary(Int32, Utf8))),
        FixedSizeList(item(Int16), 3),
        inner,
        Map(Arc::new(Field::new("entries", entry, false)), false),
    ]
}

/// A schema with one nullable column per type.
pub(crate) fn schema_of(types: &[DataType]) -> SchemaRef {
    let fields = types
        .iter()
        .enumerate()
        .map(|(i, t)| Field::new(format!("c{i}"), t.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A random batch, which may be a slice of a larger one.
pub(crate) fn random_batch(schema: &SchemaRef, rows: usize, dice: &mut Dice) -> RecordBatch {
    let before = dice.below(3);
    let columns = schema
        .fields()
        .iter()
        .map(|f| random_array(f.data_type(), rows + before + 1, true, dice).slice(before, rows));
    let columns: Vec<ArrayRef> = columns.collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).unwrap()
}

fn random_nulls(rows: usize, dice: &mut Dice) -> NullBuffer {
    let one_in = 1 + dice.below(6);
    (0..rows).map(|_| dice.below(one_in) == 0).collect()
}

fn random_array(data_type: &DataType, rows: usize, nullable: bool, dice: &mut Dice) -> ArrayRef {
    use DataType::*;
    let nulls = (nullable && dice.below(4) > 0).then(|| random_nulls(rows, dice));
    match data_type {
        Null => new_null_array(data_type, rows),
        Boolean => {
            let values = (0..rows).map(|_| dice.below(2) == 1).collect();
            Arc::new(BooleanArray::new(values, nulls))
        }
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => {
            let values = (0..rows).map(|_| random_text(dice));
            let plain = StringArray::from_iter_values(values);
            let plain = StringArray::new(plain.offsets().clone(), plain.values().clone(), nulls);
            cast(&plain, data_type).unwrap()
        }
        FixedSizeBinary(width) => {
            let bytes: Vec<u8> = (0..rows * *width as usize)
                .map(|_| dice.next() as u8)
                .collect();
            Arc::new(FixedSizeBinaryArray::new(*width, bytes.into(), nulls))
        }
        Decimal32(_, _) | Decimal64(_, _) | Decimal128(_, _) | Decimal256(_, _) => {
            let width = data_type.primitive_width().unwrap();
            let mut bytes = Vec::new();
            for _ in 0..rows {
                // Within the precision: the magnitude stays in the low half of the bytes.
                let sign = if dice.below(2) == 0 { 0u8 } else { 0xFF };
                let low = dice.next().to_le_bytes();
                let value = (0..width).map(|i| if i < width / 2 { low[i % 8] } else { sign });
                bytes.extend(value);
            }
            primitive(data_type, rows, bytes, nulls)
        }
        Dictionary(key, value) => {
            let entries = 1 + dice.below(100.min(rows.max(1)));
            let entries_nullable = dice.below(3) == 0;
            let values = random_array(value, entries, entries_nullable, dice);
            let width = key.primitive_width().unwrap();
            let keys = (0..rows).flat_map(|_| {
                let key = dice.below(entries) as u64;
                key.to_le_bytes().into_iter().take(width)
            });
            let data = ArrayData::builder(data_type.clone())
                .len(rows)
                .nulls(nulls)
                .add_buffer(aligned(keys.collect()))
                .add_child_data(values.to_data());
            make_array(data.build().unwrap())
        }
        List(item) | Map(item, _) => {
            let (offsets, values) = random_lists(rows, dice);
            let offsets = offsets.iter().flat_map(|o| (*o as i32).to_le_bytes());
            let child = random_array(item.data_type(), values, item.is_nullable(), dice);
            nested(data_type, rows, nulls, Some(offsets.collect()), vec![child])
        }
        LargeList(item) => {
            let (offsets, values) = random_lists(rows, dice);
            let offsets = offsets.iter().flat_map(|o| (*o as i64).to_le_bytes());
            let child = random_array(item.data_type(), values, item.is_nullable(), dice);
            nested(data_type, rows, nulls, Some(offsets.collect()), vec![child])
        }
        FixedSizeList(item, size) => {
            let child = random_array(item.data_type(), rows * *size as usize, true, dice);
            nested(data_type, rows, nulls, None, vec![child])
        }
        Struct(fields) => {
            let children = fields
                .iter()
                .map(|f| random_array(f.data_type(), rows, f.is_nullable(), dice));
            let children = children.collect();
            nested(data_type, rows, nulls, None, children)
        }
        Time32(_) | Time64(_) => {
            // A time is within a day, whatever its unit.
            let width = data_type.primitive_width().unwrap();
            let values = (0..rows)
                .flat_map(|_| (dice.next() % 86_400).to_le_bytes().into_iter().take(width));
            let values = values.collect();
            primitive(data_type, rows, values, nulls)
        }
        _ => {
            let width = data_type.primitive_width().unwrap();
            let values =
                (0..rows).flat_map(|_| random_bits(data_type, dice).into_iter().take(width));
            let values = values.collect();
            primitive(data_type, rows, values, nulls)
        }
    }
}

/// Any bits at all, and often those that a careless copy would change.
fn random_bits(data_type: &DataType, dice: &mut Dice) -> [u8; 8] {
    let quiet_and_signalling = match data_type {
        DataType::Float16 => [0x7E01, 0x7C01],
        DataType::Float32 => [0x7FC0_1234, 0xFF80_0001],
        _ => [0x7FF8_0000_DEAD_BEEF, 0xFFF0_0000_0000_0001],
    };
    let minus_zero = match data_type {
        DataType::Float16 => 1 << 15,
        DataType::Float32 => 1 << 31,
        _ => 1u64 << 63,
    };
    let [quiet, signalling] = quiet_and_signalling;
    let bits = match dice.below(8) {
        0 => 0,
        1 => minus_zero,
        2 => quiet,
        3 => signalling,
        4 => dice.next() % 5,
        _ => dice.next(),
    };
    bits.to_le_bytes()
}

fn random_text(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => String::new(),
        1 => "é".repeat(dice.below(20)),
        2 => format!(
            "a value too long for a view to hold inline, number {}",
            dice.below(50)
        ),
        _ => format!("v{}", dice.below(300)),
    }
}

fn random_lists(rows: usize, dice: &mut Dice) -> (Vec<usize>, usize) {
    let mut offsets = vec![0];
    let mut end = 0;
    for _ in 0..rows {
        end += dice.below(4);
        offsets.push(end);
    }
    (offsets, end)
}

/// A buffer with the alignment every native type needs.
fn aligned(bytes: Vec<u8>) -> Buffer {
    let mut buffer = arrow::buffer::MutableBuffer::new(bytes.len());
    buffer.extend_from_slice(&bytes);
    buffer.into()
}

fn primitive(
    data_type: &DataType,
    rows: usize,
    bytes: Vec<u8>,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let data = ArrayData::builder(data_type.clone())
        .len(rows)
        .nulls(nulls)
        .add_buffer(aligned(bytes));
    make_array(data.build().unwrap())
}

fn nested(
    data_type: &DataType,
    rows: usize,
    nulls: Option<NullBuffer>,
    offsets: Option<Vec<u8>>,
    children: Vec<ArrayRef>,
) -> ArrayRef {
    let mut data = ArrayData::builder(data_type.clone()).len(rows).nulls(nulls);
    if let Some(offsets) = offsets {
        data = data.add_buffer(aligned(offsets));
    }
    for child in children {
        data = data.add_child_data(child.to_data());
    }
    make_array(data.build().unwrap())
}
