//! What clocks of a time zone show.

use chrono::{FixedOffset, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

/// How far a zone is from UTC where its clocks show a time. Of two such points in time the earlier one is meant, and a time that
/// clocks jump over is told as if they had not jumped.
pub(crate) fn offset_of_local(zone: Tz, local: NaiveDateTime) -> Option<FixedOffset> {
    let offset = |local: &NaiveDateTime| match zone.offset_from_local_datetime(local) {
        LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => Some(offset.fix()),
        LocalResult::None => None,
    };
    offset(&local).or_else(|| offset(&local.checked_sub_signed(TimeDelta::hours(1))?))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    #[test]
    fn times_that_come_twice_or_never_have_one_offset() {
        let zone = chrono_tz::America::Los_Angeles;
        for (month, day, hour, wanted) in [
            (3, 10, 2, -8),
            (3, 10, 3, -7),
            (11, 3, 1, -7),
            (11, 3, 2, -8),
        ] {
            let local =
                NaiveDate::from_ymd_opt(2024, month, day).and_then(|d| d.and_hms_opt(hour, 30, 0));
            let offset = local.and_then(|local| offset_of_local(zone, local));
            let hours = offset.map(|offset| offset.local_minus_utc() / 3600);
            assert_eq!(hours, Some(wanted), "{month}-{day} {hour}:30");
        }
    }
}
