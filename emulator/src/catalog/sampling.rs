//! Parts of tables: samples as `TABLESAMPLE SYSTEM` takes them, which are whole blocks, each by chance; and whole files.

use std::ops::Range;

use super::table::{DataFile, Table};
use crate::faults::mix;

/// Rows of a block at most; a row group is cut into blocks of about the same size.
const BLOCK_ROWS: u64 = 16_384;

impl Table {
    /// The table with each of its blocks kept with probability `percentage` / 100. The seed decides which.
    pub fn sampled(&self, percentage: f64, seed: u64) -> Self {
        let mut blocks = 0;
        let mut first_row = 0;
        let mut files = Vec::new();
        for file in &self.files {
            let chosen = chosen(file, percentage, seed, &mut blocks);
            files.extend(chosen.into_iter().map(|part| {
                let part = file.part_at(part, first_row);
                first_row = part.end_row();
                part
            }));
        }
        self.of_files(files, first_row)
    }

    /// The table with those of its files that `keep` chooses, asked in storage order.
    pub fn with_files(&self, mut keep: impl FnMut(&DataFile) -> bool) -> Self {
        let mut first_row = 0;
        let mut files = Vec::new();
        for file in self.files.iter().filter(|file| keep(file)) {
            let file = file.starting_at(first_row);
            first_row = file.end_row();
            files.push(file);
        }
        self.of_files(files, first_row)
    }

    /// The table with those of its rows whose numbers are in `ranges`, which ascend.
    pub fn with_rows(&self, ranges: &[Range<u64>]) -> Self {
        let mut first_row = 0;
        let mut files = Vec::new();
        for file in &self.files {
            for range in ranges {
                let (start, end) = (
                    range.start.max(file.first_row),
                    range.end.min(file.end_row()),
                );
                if start >= end {
                    continue;
                }
                let part = file.own_row(start)..file.own_row(start) + (end - start);
                let part = file.part_at(part, first_row);
                first_row = part.end_row();
                files.push(part);
            }
        }
        self.of_files(files, first_row)
    }

    /// The table with other files; its bytes are estimated by their share of its rows.
    fn of_files(&self, files: Vec<DataFile>, rows: u64) -> Self {
        let share = |bytes: &u64| {
            // The product of two u64 fits u128, and the quotient is at most `bytes`.
            (u128::from(*bytes) * u128::from(rows) / u128::from(self.rows.max(1))) as u64
        };
        Self {
            name: self.name.clone(),
            files,
            metadata: self.metadata.clone(),
            schema: self.schema.clone(),
            rows,
            leaf_bytes: self.leaf_bytes.iter().map(share).collect(),
            modified: self.modified,
        }
    }
}

/// The file's own row numbers of its kept blocks; blocks side by side are one range.
fn chosen(file: &DataFile, percentage: f64, seed: u64, blocks: &mut u64) -> Vec<Range<u64>> {
    let mut chosen: Vec<Range<u64>> = Vec::new();
    let mut begin = 0;
    for end in &file.group_ends {
        let rows = end - begin;
        let count = rows.div_ceil(BLOCK_ROWS);
        for block in 0..count {
            let range = begin + rows * block / count..begin + rows * (block + 1) / count;
            *blocks += 1;
            if chance(seed, *blocks) * 100.0 >= percentage {
                continue;
            }
            match chosen.last_mut().filter(|last| last.end == range.start) {
                Some(last) => last.end = range.end,
                None => chosen.push(range),
            }
        }
        begin = *end;
    }
    chosen
}

/// A number from 0 up to 1.
fn chance(seed: u64, block: u64) -> f64 {
    (mix(seed ^ mix(block)) >> 11) as f64 / (1u64 << 53) as f64
}
