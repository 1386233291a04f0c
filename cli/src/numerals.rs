//! Numbers for people: counts, sizes, times and rates.

use std::time::Duration;

use bytesize::ByteSize;

/// A count with its thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

/// A size in binary units with one decimal.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// A time: seconds with decimals below ten, whole seconds below a minute, then minutes and hours.
pub(crate) fn time(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = Duration::try_from_secs_f64(seconds.round()).map_or(u64::MAX, |d| d.as_secs());
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

/// A share as a percentage.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    format!("{:.1} %", part as f64 * 100.0 / whole as f64)
}

/// "1 row", "2 rows".
pub(crate) fn of(n: u64, one: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {one}{plural}", count(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(size(1 << 30), "1.0 GiB");
        assert_eq!(time(0.04), "0.0 s");
        assert_eq!(time(9.96), "10 s");
        assert_eq!(time(61.4), "1 min 01 s");
        assert_eq!(time(7_325.0), "2 h 02 min");
        assert_eq!(time(f64::INFINITY), time(u64::MAX as f64));
        assert_eq!(percent(1, 8), "12.5 %");
        assert_eq!(percent(1, 0), "0 %");
        assert_eq!(of(1, "shard"), "1 shard");
        assert_eq!(of(2_000, "row"), "2,000 rows");
    }
}
