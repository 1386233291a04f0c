//! How many passes over the training rows a plan takes, and why.

use super::Chain;
use crate::fit::leaf::{Segment, segment};
use crate::step::Step;

/// Passes of a fit over the training rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassEstimate {
    /// Passes needed whatever the data; fewer only when a column turns out to be dropped on the way.
    pub min: usize,
    /// Passes needed at most.
    pub max: usize,
    /// Why more than one pass is, or may be, needed: one line per column and cause.
    pub reasons: Vec<String>,
}

/// Passes after the first in which an exact quantile search settles at the latest: 16 of 64 bits per pass.
const REFINEMENTS: usize = 3;

impl PassEstimate {
    pub(super) fn of(chains: &[Chain], kept_values: usize) -> Self {
        let mut estimate = Self::default();
        for chain in chains {
            let mut min = 0;
            let mut max = 0;
            for (steps, segment) in segments(chain) {
                min += 1;
                max += 1;
                let first = steps
                    .iter()
                    .find_map(|&step| chain.steps.get(step))
                    .map_or("", |bound| bound.step.name());
                if min > 1 {
                    estimate.reasons.push(format!(
                        "{}: {first} learns from what the step before it makes, which takes a pass of its own",
                        chain.column
                    ));
                }
                if segment.searches_quantiles() {
                    max += REFINEMENTS;
                    estimate.reasons.push(format!(
                        "{}: {first} needs one more pass above {kept_values} rows, rarely up to {REFINEMENTS}",
                        chain.column
                    ));
                }
            }
            estimate.min = estimate.min.max(min);
            estimate.max = estimate.max.max(max);
        }
        estimate
    }
}

/// The passes of one chain: the steps that learn in each, and what is gathered.
fn segments(chain: &Chain) -> Vec<(Vec<usize>, Segment)> {
    let mut passes = Vec::new();
    let mut done = 0;
    while let Some(bound) = chain.steps.get(done) {
        if matches!(&bound.step, Step::Drop(drop) if drop.null_fraction_above.is_none()) {
            break;
        }
        if !bound.step.learns() {
            done += 1;
            continue;
        }
        let segment = segment(&chain.steps, done, &bound.input_type);
        let steps = segment.steps();
        done = steps.last().map_or(done, |last| *last) + 1;
        passes.push((steps, segment));
    }
    passes
}
