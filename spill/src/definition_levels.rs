//! Which rows of a page have a value. Owns their encoding in a page of a flat column; knows no values.
//!
//! Level one is a value, level zero is none, so the levels are the bits of a validity bitmap:
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::NullBuffer;
use parquet::errors::ParquetError;

use crate::column_pages::{push_varint, unsigned};

/// Bytes of equal bits from which on they are a run of their own: shorter ones cost as much as they spare.
const SHORTEST_RUN_BYTES: usize = 8;

/// The definition levels of one page.
pub(crate) struct DefinitionLevels {
    /// One bit per row, set for a value; nothing for columns that have a value in every row.
    bits: Option<BooleanBufferBuilder>,
    rows: usize,
    nulls: usize,
}

impl DefinitionLevels {
    /// For a page without rows yet.
    pub(crate) fn new(nullable: bool) -> Self {
        Self {
            bits: nullable.then(|| BooleanBufferBuilder::new(0)),
            rows: 0,
            nulls: 0,
        }
    }

    /// Rows, with and without a value.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Rows without a value.
    pub(crate) fn nulls(&self) -> usize {
        self.nulls
    }

    /// Appends `rows` rows; all of them have a value without `nulls`.
    pub(crate) fn append(&mut self, rows: usize, nulls: Option<&NullBuffer>) {
        self.rows += rows;
        let Some(bits) = &mut self.bits else {
            return;
        };
        match nulls {
            None => bits.append_n(rows, true),
            Some(nulls) => {
                bits.append_buffer(nulls.inner());
                self.nulls += nulls.null_count();
            }
        }
    }

    /// Writes the levels, behind their length in bytes, to the begin of a page; nothing for columns that cannot have nulls.
    ///
    /// # Errors
    /// When there are more bytes than the format can say.
    pub(crate) fn write(&self, page: &mut Vec<u8>) -> Result<(), ParquetError> {
        let Some(bits) = &self.bits else {
            return Ok(());
        };
        let mut levels = Vec::new();
        if self.nulls == 0 {
            push_run(&mut levels, self.rows, 1);
        } else {
            push_runs(&mut levels, bits.as_slice(), self.rows);
        }
        page.extend_from_slice(&unsigned(levels.len())?.to_le_bytes());
        page.append(&mut levels);
        Ok(())
    }
}

/// Long runs of equal bits as such, all else as it is.
fn push_runs(levels: &mut Vec<u8>, bits: &[u8], rows: usize) {
    let mut rest = bits;
    let mut rows = rows;
    let mut mixed = 0;
    while let Some(first) = rest.get(mixed) {
        let equal = rest
            .iter()
            .skip(mixed)
            .take_while(|byte| *byte == first)
            .count();
        if !matches!(first, 0 | 0xff) || equal < SHORTEST_RUN_BYTES {
            mixed += equal;
            continue;
        }
        push_mixed(levels, rest.get(..mixed).unwrap_or_default());
        rows -= 8 * mixed;
        // The last byte may have bits to spare.
        let run = rows.min(8 * equal);
        push_run(levels, run, first & 1);
        rows -= run;
        rest = rest.get(mixed + equal..).unwrap_or_default();
        mixed = 0;
    }
    push_mixed(levels, rest);
}

fn push_run(levels: &mut Vec<u8>, rows: usize, level: u8) {
    push_varint(levels, (rows as u64) << 1);
    levels.push(level);
}

fn push_mixed(levels: &mut Vec<u8>, bits: &[u8]) {
    if !bits.is_empty() {
        push_varint(levels, (bits.len() as u64) << 1 | 1);
        levels.extend_from_slice(bits);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn levels(parts: &[&[bool]]) -> Vec<u8> {
        let mut levels = DefinitionLevels::new(true);
        for part in parts {
            let nulls = NullBuffer::from(part.to_vec());
            levels.append(part.len(), (nulls.null_count() > 0).then_some(&nulls));
        }
        let mut page = Vec::new();
        levels.write(&mut page).unwrap();
        let (length, bytes) = page.split_at(4);
        assert_eq!(length, u32::try_from(bytes.len()).unwrap().to_le_bytes());
        bytes.to_vec()
    }

    #[test]
    fn rows_that_all_have_a_value_are_one_run() {
        assert_eq!(levels(&[&[true; 3], &[true; 2]]), [10, 1]);
        let mut page = Vec::new();
        DefinitionLevels::new(false).write(&mut page).unwrap();
        assert!(page.is_empty());
    }

    #[test]
    fn bits_stay_bits_and_long_runs_become_short() {
        assert_eq!(levels(&[&[true, false, true], &[true]]), [3, 0b1101]);
        // They begin in the middle of a byte, and the last one is not full.
        let short = levels(&[&[true; 4], &[false; 56]]);
        assert_eq!(short, [17, 0x0f, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(levels(&[&[true; 4], &[false; 64]]), [3, 0x0f, 120, 0]);
        assert_eq!(levels(&[&[false; 67]]), [134, 1, 0]);
        assert_eq!(
            levels(&[&[true; 64], &[false, true], &[true; 6]]),
            [128, 1, 1, 3, 0xfe]
        );
    }
}
