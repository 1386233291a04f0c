//! How many streams a session gets and which rows each of them holds.
//!
//! Pure arithmetic on byte counts and row numbers; must not know about files, sessions or requests.

use std::num::NonZeroU32;
use std::ops::Range;

/// The service never gives more streams than this to one session.
const MAX_STREAMS: u64 = 1000;

/// Below this many selected bytes the service was seen to answer with a single stream, whatever was asked for.
const SINGLE_STREAM_BYTES: u64 = 200 << 20;

/// Selected bytes per stream above that, a rounded middle of what the service was seen to give.
const BYTES_PER_STREAM: u64 = 100 << 20;

/// A preferred minimum raises the count only as long as each stream keeps this many bytes.
const MIN_BYTES_PER_STREAM: u64 = 40 << 20;

/// What a request and the settings say about the number of streams.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StreamCountRequest {
    /// A cap, never a floor; 0 leaves it to the server.
    pub max: u32,
    /// Best effort; 0 means no preference.
    pub preferred_min: u32,
    /// A test's override of the size rule. Still capped by `max` and by the number of rows.
    pub forced: Option<NonZeroU32>,
}

/// The number of streams for `selected_bytes` spread over `rows` rows. Zero exactly when there are no rows.
pub(crate) fn stream_count(selected_bytes: u64, rows: u64, request: StreamCountRequest) -> u64 {
    if rows == 0 {
        return 0;
    }
    let by_size = if selected_bytes < SINGLE_STREAM_BYTES {
        1
    } else {
        let usual = selected_bytes.div_ceil(BYTES_PER_STREAM);
        let most = (selected_bytes / MIN_BYTES_PER_STREAM).max(1);
        usual.max(u64::from(request.preferred_min).min(most))
    };
    let wanted = request.forced.map_or(by_size, |n| u64::from(n.get()));
    let cap = if request.max == 0 {
        MAX_STREAMS
    } else {
        u64::from(request.max).min(MAX_STREAMS)
    };
    wanted.min(cap).min(rows).max(1)
}

/// Cuts rows `0..rows` into `count` runs that are disjoint, in order, never empty, and together hold every row.
///
/// `boundaries` are the row numbers at which row groups end, ascending. A cut moves to a boundary when one lies within a
/// quarter of a run, because a run that starts at a boundary decodes nothing it does not serve.
/// `count` above `rows` is taken as `rows`.
pub(crate) fn cut(rows: u64, boundaries: &[u64], count: u64) -> Vec<Range<u64>> {
    let count = count.min(rows);
    if count == 0 {
        return Vec::new();
    }
    let slack = rows / count / 4;
    let mut runs = Vec::new();
    let mut start = 0;
    for i in 1..=count {
        let ideal = share(rows, i, count);
        let end = if i == count {
            rows
        } else {
            snap(ideal, boundaries, slack)
        };
        // A snapped cut stays within a quarter run of its ideal place, so runs of at least one row never cross.
        runs.push(start..end);
        start = end;
    }
    runs
}

/// Cuts rows as [`cut`], but the first run gets `percent` of them and the others share the rest evenly.
///
/// No run is empty, so the share of the first one is what that leaves.
pub(crate) fn cut_skewed(rows: u64, count: u64, percent: u8) -> Vec<Range<u64>> {
    let count = count.min(rows);
    if count < 2 {
        return cut(rows, &[], count);
    }
    let others = count - 1;
    let first = share(rows, u64::from(percent.min(100)), 100).clamp(1, rows - others);
    let rest = cut(rows - first, &[], others);
    std::iter::once(0..first)
        .chain(rest.into_iter().map(|r| first + r.start..first + r.end))
        .collect()
}

/// Where a run is cut in two at `fraction` of its rows, or `None` when it is too short to be cut.
pub(crate) fn split_point(run: &Range<u64>, boundaries: &[u64], fraction: f64) -> Option<u64> {
    let rows = run.end.saturating_sub(run.start);
    if rows < 2 {
        return None;
    }
    let ideal = run.start + (rows as f64 * fraction) as u64;
    let point = snap(ideal, boundaries, rows / 8);
    Some(point.clamp(run.start + 1, run.end - 1))
}

fn share(rows: u64, i: u64, count: u64) -> u64 {
    // The product of two u64 fits u128, and the quotient is at most `rows`.
    (u128::from(rows) * u128::from(i) / u128::from(count)) as u64
}

fn snap(ideal: u64, boundaries: &[u64], slack: u64) -> u64 {
    let at = boundaries.partition_point(|b| *b < ideal);
    let above = boundaries.get(at).copied();
    let below = at.checked_sub(1).and_then(|i| boundaries.get(i)).copied();
    [below, above]
        .into_iter()
        .flatten()
        .filter(|b| b.abs_diff(ideal) <= slack)
        .min_by_key(|b| b.abs_diff(ideal))
        .unwrap_or(ideal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn count(bytes: u64, max: u32, preferred_min: u32) -> u64 {
        stream_count(
            bytes,
            u64::MAX,
            StreamCountRequest {
                max,
                preferred_min,
                forced: None,
            },
        )
    }

    #[test]
    fn the_count_follows_selected_bytes_and_the_maximum_is_no_floor() {
        assert_eq!(count(6 * MIB, 8, 4), 1);
        assert_eq!(count(195 * MIB, 0, 0), 1);
        assert!(count(264 * MIB, 0, 0) > 1);
        assert_eq!(count(8192 * MIB, 3, 0), 3);
        assert_eq!(count(910 << 30, 0, 0), 1000);
        assert!(count(8192 * MIB, 0, 150) > count(8192 * MIB, 0, 0));
        assert!(count(8192 * MIB, 0, 5000) < 5000);
        assert_eq!(stream_count(0, 0, StreamCountRequest::default()), 0);
    }

    #[test]
    fn a_forced_count_is_capped_by_the_request_and_by_the_rows() {
        let forced = NonZeroU32::new(7);
        let with = |max, rows| {
            stream_count(
                10,
                rows,
                StreamCountRequest {
                    max,
                    preferred_min: 0,
                    forced,
                },
            )
        };
        assert_eq!(with(0, 100), 7);
        assert_eq!(with(3, 100), 3);
        assert_eq!(with(0, 5), 5);
    }

    #[test]
    fn runs_are_disjoint_ordered_and_complete() {
        for rows in [1, 2, 9, 10, 1000, 12_345] {
            for count in [1, 2, 3, 7, 10, 999] {
                for group in [1, 3, 100, 5000] {
                    let boundaries: Vec<u64> =
                        (1..).map(|i| i * group).take_while(|b| *b < rows).collect();
                    let runs = cut(rows, &boundaries, count);
                    assert_eq!(runs.len() as u64, count.min(rows));
                    let mut next = 0;
                    for run in &runs {
                        assert_eq!(run.start, next, "{rows} {count} {group}");
                        assert!(run.end > run.start, "{rows} {count} {group}: {runs:?}");
                        next = run.end;
                    }
                    assert_eq!(next, rows);
                }
            }
        }
    }

    #[test]
    fn a_skewed_cut_gives_the_first_run_its_share_and_leaves_none_empty() {
        assert_eq!(cut_skewed(1000, 3, 99), [0..990, 990..995, 995..1000]);
        assert_eq!(cut_skewed(5, 4, 99), [0..2, 2..3, 3..4, 4..5]);
        assert_eq!(cut_skewed(3, 8, 100), [0..1, 1..2, 2..3]);
        assert_eq!(cut_skewed(1000, 1, 99), cut(1000, &[], 1));
        assert_eq!(cut_skewed(0, 4, 99), []);
    }

    #[test]
    fn cuts_move_to_a_near_row_group_end() {
        assert_eq!(
            cut(1000, &[240, 510, 745], 4),
            [0..240, 240..510, 510..745, 745..1000]
        );
        assert_eq!(cut(1000, &[400], 2), [0..400, 400..1000]);
        assert_eq!(cut(1000, &[300], 2), [0..500, 500..1000]);
    }

    #[test]
    fn a_split_leaves_rows_on_both_sides() {
        assert_eq!(split_point(&(0..10), &[], 0.5), Some(5));
        assert_eq!(split_point(&(4..6), &[], 0.01), Some(5));
        assert_eq!(split_point(&(4..6), &[], 0.99), Some(5));
        assert_eq!(split_point(&(4..5), &[], 0.5), None);
    }
}
