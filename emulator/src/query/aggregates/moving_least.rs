//! MIN of floats over a frame that moves: the least of those that are in it, NaN as soon as one is.
//!
//! Values leave in the order in which they came. Must not know what a frame is.

use std::collections::VecDeque;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::Float64Type;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::Accumulator;

/// What is in the frame, as far as it can become the least.
#[derive(Debug, Default)]
pub(super) struct MovingLeast {
    /// How many values came, and how many of these left.
    came: u64,
    left: u64,
    /// Numbers that are less than all that came after them, with their places among all values, first ones first.
    candidates: VecDeque<(u64, f64)>,
    /// Places of what is no number.
    unordered: VecDeque<u64>,
}

impl MovingLeast {
    fn takes(&mut self, value: f64) {
        let place = self.came;
        self.came += 1;
        if value.is_nan() {
            self.unordered.push_back(place);
            return;
        }
        while self.candidates.back().is_some_and(|(_, c)| *c >= value) {
            self.candidates.pop_back();
        }
        self.candidates.push_back((place, value));
    }

    fn loses_first(&mut self) {
        self.left += 1;
        let left = self.left;
        while self.candidates.front().is_some_and(|(at, _)| *at < left) {
            self.candidates.pop_front();
        }
        while self.unordered.front().is_some_and(|at| *at < left) {
            self.unordered.pop_front();
        }
    }

    fn least(&self) -> Option<f64> {
        if self.unordered.is_empty() {
            return self.candidates.front().map(|(_, value)| *value);
        }
        Some(f64::NAN)
    }
}

fn given(values: &[ArrayRef]) -> Result<impl Iterator<Item = f64> + '_> {
    let values = values.first();
    let values = values.ok_or_else(|| exec_datafusion_err!("an argument is missing"))?;
    Ok(values.as_primitive::<Float64Type>().iter().flatten())
}

impl Accumulator for MovingLeast {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        given(values)?.for_each(|value| self.takes(value));
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        given(values)?.for_each(|_| self.loses_first());
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.least()))
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.candidates.capacity() * size_of::<(u64, f64)>()
            + self.unordered.capacity() * size_of::<u64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        exec_err!("the least of a frame has no state that could be merged")
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        exec_err!("the least of a frame has no state that could be merged")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The least of each frame of `width` values, computed one by one.
    fn moved(values: &[f64], width: usize) -> Vec<Option<f64>> {
        let mut frame = MovingLeast::default();
        let mut least = Vec::new();
        for (at, value) in values.iter().enumerate() {
            frame.takes(*value);
            if at >= width {
                frame.loses_first();
            }
            least.push(frame.least());
        }
        least
    }

    #[test]
    fn the_least_is_that_of_what_is_in_the_frame() {
        let values = [3.0, 1.0, 2.0, 2.0, 5.0, 0.5, 4.0, 4.5];
        for width in 1..values.len() {
            let naive: Vec<_> = (0..values.len())
                .map(|at| {
                    let from = (at + 1).saturating_sub(width);
                    let frame = values.get(from..=at).unwrap();
                    frame.iter().copied().reduce(f64::min)
                })
                .collect();
            assert_eq!(moved(&values, width), naive, "{width}");
        }
    }

    #[test]
    fn what_is_no_number_counts_as_long_as_it_is_there() {
        let least = moved(&[1.0, f64::NAN, 2.0, 3.0], 2);
        let nan: Vec<_> = least.iter().map(|l| l.unwrap().is_nan()).collect();
        assert_eq!(nan, [false, true, true, false]);
        assert_eq!(least.last().unwrap(), &Some(2.0));
    }

    #[test]
    fn an_empty_frame_has_no_least() {
        let mut frame = MovingLeast::default();
        assert_eq!(frame.least(), None);
        frame.takes(1.0);
        frame.loses_first();
        assert_eq!(frame.least(), None);
    }
}
