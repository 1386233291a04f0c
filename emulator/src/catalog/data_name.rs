//! Names of data files: when a file became part of its table, and in which partition its rows are.

/// What a file's name says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DataName {
    /// Microseconds since 1970; 0 for files put there by somebody else, which have always been part of their table.
    pub committed_us: i64,
    /// The partition decorator, such as `20190810`, of tables partitioned by arrival.
    pub partition: Option<String>,
}

impl DataName {
    /// The name of a file. Names sort by commit.
    pub fn to_file_name(&self) -> String {
        match &self.partition {
            Some(partition) => format!("data-{:020}-p{partition}.parquet", self.committed_us),
            None => format!("data-{:020}.parquet", self.committed_us),
        }
    }

    /// Reads a name; any other name is that of a foreign file.
    pub fn parse(file_name: &str) -> Self {
        Self::parse_own(file_name).unwrap_or_default()
    }

    fn parse_own(file_name: &str) -> Option<Self> {
        let stem = file_name.strip_prefix("data-")?.strip_suffix(".parquet")?;
        let (committed, partition) = match stem.split_once("-p") {
            Some((committed, partition)) => (committed, Some(partition.to_owned())),
            None => (stem, None),
        };
        let own = committed.len() == 20 && committed.bytes().all(|b| b.is_ascii_digit());
        own.then_some(())?;
        Some(Self {
            committed_us: committed.parse().ok()?,
            partition,
        })
    }

    /// The value of `_PARTITIONTIME`, microseconds since 1970; `None` outside partitions.
    pub fn partition_time(&self) -> Option<i64> {
        partition_time(self.partition.as_deref()?)
    }
}

/// The beginning of the partition that a decorator names: a year, month, day or hour in UTC.
pub(crate) fn partition_time(decorator: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| decorator.get(range)?.parse::<u32>().ok();
    if !decorator.is_ascii() || !matches!(decorator.len(), 4 | 6 | 8 | 10) {
        return None;
    }
    let year = i32::try_from(number(0..4)?).ok()?;
    let part = |range: std::ops::Range<usize>, missing| {
        if decorator.len() >= range.end {
            number(range)
        } else {
            Some(missing)
        }
    };
    let date = chrono::NaiveDate::from_ymd_opt(year, part(4..6, 1)?, part(6..8, 1)?)?;
    let time = date.and_hms_opt(part(8..10, 0)?, 0, 0)?;
    Some(time.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_when_and_where() {
        for partition in [None, Some("20190810".to_owned())] {
            let name = DataName {
                committed_us: 1_800_000_000_123_456,
                partition,
            };
            assert_eq!(DataName::parse(&name.to_file_name()), name);
        }
        for foreign in [
            "part-0.parquet",
            "data-1.parquet",
            "data-0000000000000000000x.parquet",
        ] {
            assert_eq!(DataName::parse(foreign), DataName::default());
        }
    }

    #[test]
    fn decorators_name_the_beginning_of_their_partition() {
        assert_eq!(partition_time("1970"), Some(0));
        assert_eq!(partition_time("197002"), Some(31 * 86_400_000_000));
        assert_eq!(partition_time("19700102"), Some(86_400_000_000));
        assert_eq!(partition_time("1970010203"), Some(97_200_000_000));
        for wrong in ["", "197", "19701301", "1970010224", "2019-8-1", "１９７０"] {
            assert_eq!(partition_time(wrong), None, "{wrong}");
        }
    }
}
