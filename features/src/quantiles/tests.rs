//! Order statistics against a sorted vector.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

const CAP: usize = 64;

fn search(
    parts: &[Vec<f64>],
    wanted: &[Wanted],
    method: QuantileMethod,
    cap: usize,
) -> (Vec<Quantile>, usize) {
    let mut search = QuantileSearch::new(wanted.to_vec(), method, cap);
    let mut passes = 0;
    while search.needs_pass() {
        let mut states: Vec<_> = parts
            .iter()
            .map(|part| {
                let mut state = search.accumulator();
                part.chunks(7).for_each(|chunk| state.add(chunk));
                state
            })
            .collect();
        let mut merged = states.pop().unwrap();
        while let Some(state) = states.pop() {
            merged.merge(state);
        }
        search.finish_pass(merged);
        passes += 1;
        assert!(passes <= 4, "a search takes at most four passes");
    }
    (search.results(), passes)
}

/// numpy.nanpercentile and nanmedian, on a sorted copy.
fn twin(values: &[f64], wanted: Wanted) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() {
        return f64::NAN;
    }
    let last = sorted.len() - 1;
    match wanted {
        Wanted::Median => (sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0,
        Wanted::Percentile(percent) => {
            let position = last as f64 * (percent / 100.0);
            let low = sorted[position.floor() as usize];
            let high = sorted[(position.floor() as usize + 1).min(last)];
            let weight = position - position.floor();
            if weight >= 0.5 {
                high - (high - low) * (1.0 - weight)
            } else {
                low + (high - low) * weight
            }
        }
    }
}

const WANTED: [Wanted; 5] = [
    Wanted::Median,
    Wanted::Percentile(25.0),
    Wanted::Percentile(75.0),
    Wanted::Percentile(0.0),
    Wanted::Percentile(99.9),
];

fn assert_exact(parts: &[Vec<f64>], cap: usize) -> usize {
    let all: Vec<f64> = parts.concat();
    let (found, passes) = search(parts, &WANTED, QuantileMethod::Exact, cap);
    for (wanted, found) in WANTED.iter().zip(&found) {
        let expected = twin(&all, *wanted);
        let same = found.value == expected || (found.value.is_nan() && expected.is_nan());
        assert!(same, "{wanted:?}: {} instead of {expected}", found.value);
        assert_eq!(found.low.to_bits(), found.high.to_bits());
    }
    passes
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3_f64,
        2 => (-5_i32..5).prop_map(f64::from),
        1 => prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
        1 => Just(f64::NAN),
        1 => (0_u64..1000).prop_map(|ulps| f64::from_bits(1.0_f64.to_bits() + ulps)),
    ]
}

proptest! {
    #[test]
    fn exact_search_equals_the_sorted_vector(parts in prop::collection::vec(prop::collection::vec(value(), 0..300), 1..4)) {
        // Halving keeps numpy's width from overflowing, which it does not guard against either.
        let parts: Vec<Vec<f64>> =
            parts.into_iter().map(|part| part.into_iter().map(|x| x / 4.0).collect()).collect();
        assert_exact(&parts, CAP);
        assert_exact(&parts, 1);
    }

    #[test]
    fn approximate_interval_holds_the_exact_value(parts in prop::collection::vec(prop::collection::vec(value(), 0..300), 1..4)) {
        let parts: Vec<Vec<f64>> =
            parts.into_iter().map(|part| part.into_iter().map(|x| x / 4.0).collect()).collect();
        let all = parts.concat();
        let (found, passes) = search(&parts, &WANTED, QuantileMethod::Approximate, CAP);
        prop_assert_eq!(passes, 1);
        let (whole, _) = search(std::slice::from_ref(&all), &WANTED, QuantileMethod::Approximate, CAP);
        for ((wanted, found), whole) in WANTED.iter().zip(&found).zip(&whole) {
            prop_assert_eq!(found.value.to_bits(), whole.value.to_bits(), "parts must not matter");
            let exact = twin(&all, *wanted);
            if exact.is_nan() {
                prop_assert!(found.value.is_nan());
            } else {
                // The interval's ends are themselves interpolated, so allow for their rounding.
                let slack = exact.abs() * 1e-12;
                prop_assert!(found.low - slack <= exact && exact <= found.high + slack, "{:?} {} {:?}", wanted, exact, found);
                prop_assert!(found.low <= found.value && found.value <= found.high, "{:?}", found);
            }
        }
    }
}

#[test]
fn more_values_than_the_real_cap_stay_exact() {
    let mut seed = 1_u64;
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let parts: Vec<Vec<f64>> = (0..3)
        .map(|_| (0..40_000).map(|_| next().ln()).collect())
        .collect();
    assert_eq!(assert_exact(&parts, KEPT_VALUES), 2);
    let few: Vec<Vec<f64>> = (0..3)
        .map(|_| (0..21_000).map(|_| next() * 1e6).collect())
        .collect();
    assert_eq!(assert_exact(&few, KEPT_VALUES), 1);
}

#[test]
fn heavy_values_settle_in_the_first_pass() {
    let integers: Vec<f64> = (0..200_000).map(|i| f64::from(i % 4)).collect();
    assert_eq!(assert_exact(&[integers], KEPT_VALUES), 1);
}

#[test]
fn a_crowded_slot_is_refined_to_the_last_bit() {
    // 1000 neighbouring floats: no histogram of fewer than 64 bits tells them apart.
    let crowd: Vec<f64> = (0..1000)
        .map(|ulps| f64::from_bits(1.0_f64.to_bits() + ulps))
        .collect();
    assert_eq!(assert_exact(&[crowd], 2), 4);
}

#[test]
fn images_keep_the_order() {
    let ordered = [
        f64::NEG_INFINITY,
        f64::MIN,
        -1.0,
        -5e-324,
        0.0,
        5e-324,
        1.0,
        f64::MAX,
        f64::INFINITY,
    ];
    for pair in ordered.windows(2) {
        assert!(image::image(pair[0]) < image::image(pair[1]), "{pair:?}");
        assert_eq!(image::value(image::image(pair[0])), pair[0]);
    }
    assert_eq!(image::image(-0.0), image::image(0.0));
}
