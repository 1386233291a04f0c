//! Ratios and the buckets they become.

#![allow(clippy::unwrap_used)]

use super::*;

fn buckets(train: f64, val: f64, test: f64) -> Buckets {
    SplitRatios { train, val, test }.buckets().unwrap()
}

#[test]
fn takes_the_smallest_sufficient_power_of_ten() {
    assert_eq!(
        buckets(0.8, 0.1, 0.1),
        Buckets {
            count: 10,
            train_below: 8,
            val_below: 9
        }
    );
    assert_eq!(
        buckets(1.0, 0.0, 0.0),
        Buckets {
            count: 10,
            train_below: 10,
            val_below: 10
        }
    );
    assert_eq!(
        buckets(0.75, 0.15, 0.1),
        Buckets {
            count: 100,
            train_below: 75,
            val_below: 90
        }
    );
    assert_eq!(
        buckets(0.7, 0.0, 0.3),
        Buckets {
            count: 10,
            train_below: 7,
            val_below: 7
        }
    );
    assert_eq!(
        buckets(0.999_999, 0.0, 0.000_001),
        Buckets {
            count: 1_000_000,
            train_below: 999_999,
            val_below: 999_999
        }
    );
}

#[test]
fn rounds_cumulated_thirds() {
    let third = 1.0 / 3.0;
    let got = buckets(third, third, third);
    assert_eq!(
        got,
        Buckets {
            count: 1_000_000,
            train_below: 333_333,
            val_below: 666_667
        }
    );
}

#[test]
fn refuses_bad_ratios_with_the_numbers() {
    let message = |train, val, test| {
        SplitRatios { train, val, test }
            .buckets()
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        message(0.8, 0.1, 0.2),
        "split ratios must add up to 1, not 1.1"
    );
    assert_eq!(
        message(1.2, -0.1, -0.1),
        "the ratio of train is 1.2, outside 0 to 1"
    );
    assert_eq!(
        message(f64::NAN, 0.5, 0.5),
        "the ratio of train is NaN, outside 0 to 1"
    );
    assert_eq!(
        message(1.0 - 1e-7, 0.0, 1e-7),
        "the ratio of test is 0.0000001, below the resolution of 1000000 buckets"
    );
}

#[test]
fn smallest_fingerprint_does_not_overflow() {
    let buckets = buckets(0.8, 0.1, 0.1);
    assert_eq!(buckets.split(i64::MIN), Split::Val); // -9223372036854775808 has bucket 8
    assert_eq!(buckets.split(i64::MAX), Split::Train); // bucket 7
}
