//! Reading, selecting and writing back, against plain loops.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use arrow::array::{Int8Array, Int32Array, UInt64Array};
use arrow::datatypes::Float64Type;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn compacting_keeps_the_selected_in_order(cells in prop::collection::vec((any::<i32>(), prop::bool::weighted(0.8)), 0..1100)) {
        let mut values: Vec<f64> = cells.iter().map(|(x, _)| f64::from(*x)).collect();
        let mask: BooleanBuffer = cells.iter().map(|(_, keep)| *keep).collect();
        let kept = compact(&mut values, &mask);
        let expected: Vec<f64> = cells.iter().filter(|(_, keep)| *keep).map(|(x, _)| f64::from(*x)).collect();
        prop_assert_eq!(&values[..kept], expected.as_slice());
    }

    #[test]
    fn slices_are_read_and_written_in_place(
        cells in prop::collection::vec(prop::option::weighted(0.7, any::<i32>()), 0..3000),
        start in 0_usize..200,
    ) {
        let start = start.min(cells.len());
        let array = Int32Array::from(cells.clone()).slice(start, cells.len() - start);
        let out = transform(&array, &[Kernel::Scale(2.0)], OutputDtype::Float64).unwrap().array;
        let expected: Vec<Option<f64>> = cells[start..].iter().map(|x| x.map(|x| f64::from(x) / 2.0)).collect();
        let found: Vec<Option<f64>> = out.as_primitive::<Float64Type>().iter().collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn numbers_near_the_ends_of_the_range_are_divided_too() {
    let usual = (0..3 * CHUNK).map(|n| n as f64 - 700.5);
    let mut values: Vec<f64> = usual.collect();
    values[CHUNK + 3] = f64::MAX;
    values[CHUNK + 4] = f64::MIN_POSITIVE;
    values[2 * CHUNK] = f64::NEG_INFINITY;
    values[2 * CHUNK + 1] = f64::NAN;
    let array = Float64Array::from(values.clone());
    let scale = Kernel::CenterScale {
        center: 0.0,
        scale: 3.0,
    };
    let chains: [&[Kernel]; 2] = [&[scale], &[Kernel::Fill(5.0), scale]];
    for kernels in chains {
        let out = transform(&array, kernels, OutputDtype::Float64).unwrap();
        assert_eq!(out.infinite, 1);
        let found = out.array.as_primitive::<Float64Type>();
        for (index, x) in values.iter().enumerate() {
            let filled = if x.is_nan() { 5.0 } else { *x };
            match kernels.len() == 1 && x.is_nan() {
                true => assert!(found.is_null(index)),
                false => assert_eq!(found.value(index).to_bits(), (filled / 3.0).to_bits()),
            }
        }
    }
}

#[test]
fn every_numeric_type_is_read() {
    let source = Int8Array::from(vec![Some(1), None, Some(0), Some(7)]);
    for data_type in [
        DataType::Boolean,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float16,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal32(5, 1),
        DataType::Decimal64(12, 2),
        DataType::Decimal128(20, 3),
        DataType::Decimal256(50, 4),
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int64)),
    ] {
        assert!(is_readable(&data_type));
        let array = cast(&source, &data_type).unwrap();
        let out = transform(array.as_ref(), &[], OutputDtype::Float64)
            .unwrap()
            .array;
        let seven = if data_type == DataType::Boolean {
            1.0
        } else {
            7.0
        };
        let expected = Float64Array::from(vec![Some(1.0), None, Some(0.0), Some(seven)]);
        assert_eq!(out.as_primitive::<Float64Type>(), &expected, "{data_type}");
    }
    let large = UInt64Array::from(vec![u64::MAX]);
    let out = transform(&large, &[], OutputDtype::Float64).unwrap().array;
    assert_eq!(out.as_primitive::<Float64Type>().value(0), u64::MAX as f64);
}
