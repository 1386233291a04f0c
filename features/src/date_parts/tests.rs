//! Parts against chrono, in every unit, before 1970, at both ends of the calendar and across changes of the clock.
#![allow(clippy::unwrap_used)]

use std::f64::consts::TAU;

use arrow::array::{
    AsArray, Date32Array, Date64Array, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::datatypes::{Float64Type, Int32Type, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDate, TimeZone, Timelike};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;

const ALL: [DatePart; 11] = [
    DatePart::Year,
    DatePart::Quarter,
    DatePart::Month,
    DatePart::Day,
    DatePart::DayOfWeek,
    DatePart::DayOfYear,
    DatePart::Week,
    DatePart::Hour,
    DatePart::Minute,
    DatePart::Second,
    DatePart::IsWeekend,
];

fn field(data_type: &DataType) -> Field {
    Field::new("t", data_type.clone(), true)
}

fn parts(step: &DateParts, array: &ArrayRef) -> Vec<Vec<Option<i32>>> {
    let bound = step.bind(&field(array.data_type())).unwrap();
    let arrays = bound.transform(array).unwrap();
    arrays
        .iter()
        .map(|array| array.as_primitive::<Int32Type>().iter().collect())
        .collect()
}

/// All parts of one reading of calendar and clock, as chrono sees them.
fn expected(moment: &(impl Datelike + Timelike)) -> Vec<i32> {
    let weekday = moment.weekday().num_days_from_monday();
    [
        moment.year() as u32,
        moment.quarter(),
        moment.month(),
        moment.day(),
        weekday,
        moment.ordinal(),
        moment.iso_week().week(),
        moment.hour(),
        moment.minute(),
        moment.second(),
        u32::from(weekday >= 5),
    ]
    .map(|part| part as i32)
    .to_vec()
}

fn seconds() -> impl Strategy<Value = i64> {
    // From the year 1 to the year 9999, half of them in the times when zones change their clocks.
    prop_oneof![
        -62_135_596_800_i64..253_402_300_800,
        -3_000_000_000_i64..4_000_000_000
    ]
}

proptest! {
    #[test]
    fn agree_with_chrono_in_every_zone(
        values in proptest::collection::vec(seconds(), 1..20),
        zone in proptest::sample::select(&chrono_tz::TZ_VARIANTS[..]),
    ) {
        let array: ArrayRef = Arc::new(TimestampSecondArray::from(values.clone()).with_timezone("UTC"));
        let got = parts(&DateParts::new(ALL).timezone(zone.name()), &array);
        for (row, second) in values.iter().enumerate() {
            let local = zone.from_utc_datetime(&DateTime::from_timestamp(*second, 0).unwrap().naive_utc());
            let row: Vec<i32> = got.iter().map(|part| part[row].unwrap()).collect();
            prop_assert_eq!(row, expected(&local), "{} in {}", second, zone);
        }
    }

    #[test]
    fn agree_with_chrono_in_every_unit(micros in -9_000_000_000_000_000_i64..9_000_000_000_000_000) {
        let instant = DateTime::from_timestamp_micros(micros).unwrap();
        let arrays: [ArrayRef; 4] = [
            Arc::new(TimestampSecondArray::from(vec![instant.timestamp()])),
            Arc::new(TimestampMillisecondArray::from(vec![instant.timestamp_millis()])),
            Arc::new(TimestampMicrosecondArray::from(vec![micros])),
            Arc::new(TimestampNanosecondArray::from(vec![micros * 1_000])),
        ];
        for array in arrays {
            let got: Vec<i32> = parts(&DateParts::new(ALL), &array).iter().map(|part| part[0].unwrap()).collect();
            prop_assert_eq!(got, expected(&instant.naive_utc()), "{}", array.data_type());
        }
    }

    #[test]
    fn circles_close(days in -719_162_i32..2_932_896) {
        let date = NaiveDate::from_epoch_days(days).unwrap();
        let step = DateParts::new([DatePart::Day, DatePart::DayOfYear, DatePart::Month, DatePart::DayOfWeek]).cyclic();
        let array: ArrayRef = Arc::new(Date32Array::from(vec![days]));
        let got = step.bind(&field(&DataType::Date32)).unwrap().transform(&array).unwrap();
        let year_days = if date.leap_year() { 366 } else { 365 };
        let steps = [
            (date.day0(), u32::from(date.num_days_in_month())),
            (date.ordinal0(), year_days),
            (date.month0(), 12),
            (date.weekday().num_days_from_monday(), 7),
        ];
        for ((step, length), pair) in steps.into_iter().zip(got.chunks(2)) {
            let angle = TAU * f64::from(step) / f64::from(length);
            prop_assert_eq!(pair[0].as_primitive::<Float64Type>().value(0), angle.sin());
            prop_assert_eq!(pair[1].as_primitive::<Float64Type>().value(0), angle.cos());
        }
    }
}

#[test]
fn clocks_change_at_the_right_second() {
    // A quarter of an hour around both changes of 2026 in Berlin, and around one at half past an hour of UTC.
    for (name, change) in [
        ("Europe/Berlin", 1_774_746_000_i64),
        ("Europe/Berlin", 1_792_890_000),
        ("Australia/Lord_Howe", 1_791_041_400),
    ] {
        let zone: Tz = name.parse().unwrap();
        let local = |second: i64| {
            let instant = DateTime::from_timestamp(second, 0).unwrap();
            let local = zone.from_utc_datetime(&instant.naive_utc());
            (Some(local.hour() as i32), Some(local.minute() as i32))
        };
        let in_order = (-900..900).map(|offset| change + offset);
        let to_and_fro =
            (-900..900).map(|offset| change + offset * (if offset % 2 == 0 { 1 } else { -1 }));
        for values in [in_order.collect::<Vec<i64>>(), to_and_fro.collect()] {
            let array: ArrayRef =
                Arc::new(TimestampSecondArray::from(values.clone()).with_timezone("+00:00"));
            let step = DateParts::new([DatePart::Hour, DatePart::Minute]).timezone(name);
            let got = parts(&step, &array);
            for (row, second) in values.iter().enumerate() {
                assert_eq!(
                    (got[0][row], got[1][row]),
                    local(*second),
                    "{second} in {name}"
                );
            }
        }
    }
    let before: ArrayRef = Arc::new(
        TimestampSecondArray::from(vec![1_774_745_999, 1_774_746_000]).with_timezone("UTC"),
    );
    assert_eq!(
        parts(
            &DateParts::new([DatePart::Hour]).timezone("Europe/Berlin"),
            &before
        ),
        [[Some(1), Some(3)]]
    );
}

#[test]
fn dates_have_parts_and_nulls_stay() {
    let step = DateParts::new([
        DatePart::Year,
        DatePart::DayOfWeek,
        DatePart::Week,
        DatePart::IsWeekend,
    ]);
    let days: ArrayRef = Arc::new(Date32Array::from(vec![
        Some(0),
        None,
        Some(-719_162),
        Some(20_453),
    ]));
    let wanted = [
        vec![Some(1970), None, Some(1), Some(2025)],
        vec![Some(3), None, Some(0), Some(2)],
        vec![Some(1), None, Some(1), Some(1)],
        vec![Some(0), None, Some(0), Some(0)],
    ];
    assert_eq!(parts(&step, &days), wanted);
    let millis: ArrayRef = Arc::new(Date64Array::from(vec![
        Some(0),
        None,
        Some(-719_162 * 86_400_000),
        Some(20_453 * 86_400_000),
    ]));
    assert_eq!(parts(&step, &millis), wanted);
    let cyclic = step.cyclic().bind(&field(&DataType::Date32)).unwrap();
    assert!(
        cyclic
            .transform(&days)
            .unwrap()
            .iter()
            .all(|array| array.null_count() == 1 && array.is_null(1))
    );
}

#[test]
fn midnight_stands_next_to_the_hour_before() {
    let step = DateParts::new([DatePart::Hour]).cyclic();
    let hours: ArrayRef = Arc::new(TimestampSecondArray::from_iter_values(
        (0..24).map(|hour| hour * 3_600),
    ));
    let bound = step.bind(&field(hours.data_type())).unwrap();
    let names: Vec<&str> = bound
        .output_fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["t_hour_sin", "t_hour_cos"]);
    let got = bound.transform(&hours).unwrap();
    let point = |row: usize| {
        (
            got[0].as_primitive::<Float64Type>().value(row),
            got[1].as_primitive::<Float64Type>().value(row),
        )
    };
    let distance = |left: usize, right: usize| {
        let ((a, b), (c, d)) = (point(left), point(right));
        (a - c).hypot(b - d)
    };
    assert_eq!(point(0), (0.0, 1.0));
    for hour in 0..24 {
        assert!((distance(hour, (hour + 1) % 24) - distance(0, 1)).abs() < 1e-12);
    }
}

#[test]
fn parts_without_a_circle_stay_numbers() {
    let step = DateParts::new([DatePart::Year, DatePart::Month, DatePart::IsWeekend]).cyclic();
    let bound = step.bind(&field(&DataType::Date32)).unwrap();
    let outputs: Vec<(String, DataType)> = bound
        .output_fields()
        .iter()
        .map(|field| (field.name().clone(), field.data_type().clone()))
        .collect();
    assert_eq!(
        outputs,
        [
            ("t_year".to_owned(), DataType::Int32),
            ("t_month_sin".to_owned(), DataType::Float64),
            ("t_month_cos".to_owned(), DataType::Float64),
            ("t_is_weekend".to_owned(), DataType::Int32),
        ]
    );
}

#[test]
fn refuses_what_has_no_meaning() {
    let message = |step: DateParts, data_type: DataType| {
        step.bind(&field(&data_type)).unwrap_err().to_string()
    };
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let plain = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(
        message(DateParts::new([DatePart::Hour]), DataType::Date32),
        "column `t` holds dates, which have no hour"
    );
    assert!(message(DateParts::default(), DataType::Utf8).contains("cast it first"));
    assert_eq!(
        message(
            DateParts::new([DatePart::Day, DatePart::Day]),
            DataType::Date32
        ),
        "date part day is given twice"
    );
    assert_eq!(
        message(DateParts::default().timezone("Europe/Berln"), instant),
        "`Europe/Berln` is not the IANA name of a time zone; did you mean `Europe/Berlin`"
    );
    assert!(
        message(DateParts::default().timezone("Asia/Tokyo"), plain.clone())
            .contains("cannot be moved to `Asia/Tokyo`")
    );
    let bound = DateParts::default().bind(&field(&plain)).unwrap();
    let other: ArrayRef = Arc::new(TimestampSecondArray::from(vec![0]));
    assert!(matches!(
        bound.transform(&other),
        Err(DatePartsError::TypeChanged { .. })
    ));
    let seconds = DateParts::default()
        .bind(&field(other.data_type()))
        .unwrap();
    let far: ArrayRef = Arc::new(TimestampSecondArray::from(vec![
        Some(0),
        Some(i64::MAX),
        None,
        Some(i64::MIN),
    ]));
    assert_eq!(
        seconds.transform(&far).unwrap_err().to_string(),
        "column `t` holds 2 times outside the years -200000 to 200000, the first is 9223372036854775807"
    );
}

#[test]
fn options_have_defaults_and_are_written_out() {
    let step: DateParts = serde_json::from_str("{}").unwrap();
    assert_eq!(step, DateParts::default());
    let bound = step
        .bind(&field(&DataType::Timestamp(TimeUnit::Second, None)))
        .unwrap();
    let written = serde_json::to_string(bound.step()).unwrap();
    assert_eq!(
        written,
        r#"{"parts":["year","month","day","day_of_week","hour"],"timezone":"UTC","encoding":"ordinal"}"#
    );
    assert_eq!(
        DateParts::default()
            .bind(&field(&DataType::Date32))
            .unwrap()
            .output_fields()
            .len(),
        4
    );
    let json = r#"{"parts": ["hour"], "timezone": "Asia/Tokyo", "encoding": "cyclic"}"#;
    let step: DateParts = serde_json::from_str(json).unwrap();
    assert_eq!(
        step,
        DateParts::new([DatePart::Hour])
            .timezone("Asia/Tokyo")
            .cyclic()
    );
}
