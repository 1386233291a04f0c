//! Validity of gathered values. Owns the rule that a column without nulls has no null buffer, whatever its sources had:
//! the Parquet writer treats the two differently, and the bytes must not.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::NullBuffer;

/// Grows one bit per value, but only from the first null on.
#[derive(Debug, Default)]
pub(super) struct Validity {
    length: usize,
    bits: Option<BooleanBufferBuilder>,
}

impl Validity {
    /// Appends the bits at `rows` of `source`.
    pub(super) fn append(&mut self, source: Option<&NullBuffer>, rows: &[u32]) {
        match source.filter(|nulls| nulls.null_count() > 0) {
            None => self.append_valid(rows.len()),
            Some(nulls) => {
                let bits = nulls.inner();
                self.append_bits(rows.iter().map(|&row| bits.value(row as usize)));
            }
        }
    }

    /// Appends `count` valid values.
    pub(super) fn append_valid(&mut self, count: usize) {
        self.length += count;
        if let Some(bits) = &mut self.bits {
            bits.append_n(count, true);
        }
    }

    /// Appends one value per item, `true` for a valid one.
    pub(super) fn append_bits(&mut self, valid: impl Iterator<Item = bool>) {
        let length = self.length;
        let bits = self.bits.get_or_insert_with(|| {
            let mut bits = BooleanBufferBuilder::new(length);
            bits.append_n(length, true);
            bits
        });
        for valid in valid {
            bits.append(valid);
        }
        self.length = bits.len();
    }

    /// The buffer of everything appended, `None` if nothing is null. Starts anew.
    pub(super) fn take(&mut self) -> Option<NullBuffer> {
        self.length = 0;
        let bits = self.bits.take()?.build();
        let nulls = NullBuffer::new(bits);
        (nulls.null_count() > 0).then_some(nulls)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bits.as_ref().map_or(0, |bits| bits.capacity() / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_exists_only_with_a_null_among_the_rows_taken() {
        let nulls = NullBuffer::from(vec![true, false, true]);
        let mut validity = Validity::default();
        validity.append(Some(&nulls), &[0, 2]);
        validity.append(Some(&NullBuffer::new_valid(3)), &[1]);
        validity.append(None, &[0]);
        assert_eq!(validity.take(), None);
        validity.append(None, &[0, 0]);
        validity.append(Some(&nulls), &[2, 1]);
        validity.append_valid(1);
        assert_eq!(
            validity.take(),
            Some(NullBuffer::from(vec![true, true, true, false, true]))
        );
        assert_eq!(validity.take(), None);
    }
}
