//! Reading, selecting and writing back, against plain loops.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use arrow::array::{Int8Array, Int32Array, UInt64Array};
use arrow::datatypes::Float64Type;
use proptest::prelude::*;

use super::*;
use crate::kernel::apply_all_to_one;

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

/// What kernels make of a column, one value and one kernel after the other, and how many infinite values the first one that was learned met.
fn plainly(values: &[Option<f64>], kernels: &[Kernel]) -> (Vec<Option<u64>>, u64) {
    let first_learned = kernels.iter().position(Kernel::is_learned);
    let (plain, learned) = kernels.split_at(first_learned.unwrap_or(kernels.len()));
    let mut infinite = 0;
    let cells = values.iter().map(|x| {
        let x = apply_all_to_one(plain, x.unwrap_or(f64::NAN));
        infinite += u64::from(!learned.is_empty() && x.is_infinite());
        let y = apply_all_to_one(learned, x);
        (!y.is_nan()).then(|| y.to_bits())
    });
    (cells.collect(), infinite)
}

proptest! {
    #[test]
    fn one_loop_does_what_kernels_do_one_after_the_other(
        cells in prop::collection::vec(prop::option::weighted(0.9, prop::num::f64::ANY), 0..2500),
        skipped in 0_usize..70,
        type_of_column in prop::sample::select(vec![DataType::Int32, DataType::Int64, DataType::Float32, DataType::Float64, DataType::Int16]),
        start in prop::sample::select(vec![vec![], vec![Kernel::Abs]]),
        fill in prop::sample::select(vec![vec![], vec![Kernel::Fill(-0.0)], vec![Kernel::Fill(2.5)]]),
        last in prop::sample::select(vec![
            vec![],
            vec![Kernel::Center(0.1)],
            vec![Kernel::Scale(0.3)],
            vec![Kernel::CenterScale { center: -0.0, scale: 3.0 }],
            vec![Kernel::Affine { factor: 0.7, offset: -0.1 }],
            vec![Kernel::Affine { factor: 0.7, offset: 0.0 }, Kernel::Clip { min: 0.0, max: 1.0 }],
        ]),
    ) {
        let doubles = Float64Array::from(cells);
        // What does not fit into a type is missing there.
        let array = cast(&doubles, &type_of_column).unwrap();
        let array = array.slice(skipped.min(array.len()), array.len().saturating_sub(skipped));
        let read = cast(&array, &DataType::Float64).unwrap();
        let read: Vec<Option<f64>> = read.as_primitive::<Float64Type>().iter().collect();
        let kernels = [start, fill, last].concat();
        let (expected, infinite) = plainly(&read, &kernels);
        let wide = transform(&array, &kernels, OutputDtype::Float64).unwrap();
        let found = wide.array.as_primitive::<Float64Type>().iter().map(|x| x.map(f64::to_bits));
        prop_assert_eq!(found.collect::<Vec<_>>(), expected.clone());
        let narrow = transform(&array, &kernels, OutputDtype::Float32).unwrap();
        let found = narrow.array.as_primitive::<Float32Type>().iter().map(|x| x.map(f32::to_bits));
        let nearest = expected.iter().map(|x| x.map(|x| (f64::from_bits(x) as f32).to_bits()));
        prop_assert_eq!(found.collect::<Vec<_>>(), nearest.collect::<Vec<_>>());
        prop_assert_eq!((wide.infinite, narrow.infinite), (infinite, infinite));
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
