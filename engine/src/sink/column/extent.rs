//! Bytes of nested values. Owns how far a row of a list, a map or a struct reaches into the arrays below it.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

/// Bytes of a value whose type tells nothing.
const UNKNOWN_BYTES: u64 = 16;

/// Whether values of this type have no fixed width.
pub(super) fn is_open(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(item, _) => is_open(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| is_open(field.data_type())),
        DataType::FixedSizeBinary(_) | DataType::Boolean | DataType::Null => false,
        other => !other.is_primitive(),
    }
}

/// Bytes of the values `start..start + length` of `array`, which has them.
pub(super) fn extent(array: &dyn Array, start: usize, length: usize) -> u64 {
    let each = |bytes: u64| bytes.saturating_mul(length as u64);
    let span = |from: i64, to: i64| u64::try_from(to.saturating_sub(from)).unwrap_or(0);
    let end = start + length;
    let below = |values: &dyn Array, from: i64, to: i64| {
        let from = usize::try_from(from).unwrap_or(0);
        let to = usize::try_from(to).unwrap_or(0);
        extent(values, from, to.saturating_sub(from))
    };
    macro_rules! between {
        ($offsets:expr) => {{
            let offsets = $offsets;
            let at = |i: usize| offsets.get(i).map_or(0, |o| i64::from(*o));
            (at(start), at(end))
        }};
    }
    match array.data_type() {
        DataType::Utf8 => {
            let (from, to) = between!(array.as_string::<i32>().value_offsets());
            span(from, to)
        }
        DataType::LargeUtf8 => {
            let (from, to) = between!(array.as_string::<i64>().value_offsets());
            span(from, to)
        }
        DataType::Binary => {
            let (from, to) = between!(array.as_binary::<i32>().value_offsets());
            span(from, to)
        }
        DataType::LargeBinary => {
            let (from, to) = between!(array.as_binary::<i64>().value_offsets());
            span(from, to)
        }
        DataType::Utf8View => {
            let views = array.as_string_view();
            (start..end).map(|i| views.value(i).len() as u64).sum()
        }
        DataType::BinaryView => {
            let views = array.as_binary_view();
            (start..end).map(|i| views.value(i).len() as u64).sum()
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (from, to) = between!(list.value_offsets());
            below(list.values().as_ref(), from, to)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let (from, to) = between!(list.value_offsets());
            below(list.values().as_ref(), from, to)
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            let (from, to) = between!(map.value_offsets());
            below(map.entries(), from, to)
        }
        DataType::FixedSizeList(_, _) => {
            let list = array.as_fixed_size_list();
            let from = i64::from(list.value_offset(start));
            let items = i64::from(list.value_length()).saturating_mul(length as i64);
            below(list.values().as_ref(), from, from.saturating_add(items))
        }
        DataType::Struct(_) => array
            .as_struct()
            .columns()
            .iter()
            .map(|column| extent(column.as_ref(), start, length))
            .fold(0, u64::saturating_add),
        other => each(other.primitive_width().map_or(UNKNOWN_BYTES, |w| w as u64)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, ListArray, StringArray, StructArray};
    use arrow::datatypes::{Field, Int64Type};

    use super::*;

    #[test]
    fn a_row_reaches_as_far_as_its_items() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(
            (0..100).map(|i| Some(vec![Some(1); i % 5])),
        );
        assert_eq!(extent(&lists, 0, 100), 200 * 8);
        assert_eq!(extent(&lists, 3, 2), 7 * 8);
        assert_eq!(extent(&lists.slice(3, 10), 0, 2), 7 * 8);
        let texts = StringArray::from_iter_values((0..100).map(|i| "x".repeat(i)));
        let views = arrow::array::StringViewArray::from_iter(texts.iter());
        assert_eq!(extent(&texts, 10, 3), 33);
        assert_eq!(extent(&views.slice(5, 50), 5, 3), 33);
        let fields =
            [("l", Arc::new(lists) as ArrayRef), ("t", Arc::new(texts))].map(|(name, column)| {
                (
                    Arc::new(Field::new(name, column.data_type().clone(), true)),
                    column,
                )
            });
        let both = StructArray::from(fields.to_vec());
        assert_eq!(extent(&both.slice(10, 20), 0, 3), 3 * 8 + 33);
        assert!(is_open(both.data_type()));
        assert!(!is_open(&DataType::Float32));
    }
}
