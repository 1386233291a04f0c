//! What a fit does when its categories outgrow memory.
//!
//! Owns which vocabularies go to the store and when; how they go there is the counts' affair.

use std::sync::Arc;

use super::leaf::LeafState;
use super::{Fit, FitError, FitState, Program};
use crate::category::CategoryCounts;
use crate::category::runs::VocabularyRoom;
use crate::category::store::CategoryStore;
use crate::step::Step;

/// Where vocabularies go that do not fit in memory.
#[derive(Debug, Clone)]
pub(super) struct StoredFit {
    pub(super) store: Arc<dyn CategoryStore>,
    /// For all fitted vocabularies together.
    in_memory_bytes: usize,
}

impl Fit {
    /// Gives the fit a place for categories that do not fit in memory, before the first state is made. Of vocabularies
    /// that would take more than `in_memory_bytes` together once they are fitted only the codes are kept in memory, and
    /// everything else stays in `store`. What is learned, down to the artefact, is the same with and without a store.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn CategoryStore>, in_memory_bytes: usize) -> Self {
        self.store = Some(StoredFit {
            store,
            in_memory_bytes,
        });
        self.prepare();
        self
    }

    /// The room of each vocabulary: an equal share for all encoders.
    pub(super) fn room(&self) -> Option<VocabularyRoom> {
        let steps = self.chains.iter().flat_map(|fit| &fit.chain.steps);
        let encoders = steps
            .filter(|bound| matches!(bound.step, Step::OneHotEncoder(_) | Step::OrdinalEncoder(_)))
            .count();
        self.store.as_ref().map(|stored| VocabularyRoom {
            store: Arc::clone(&stored.store),
            in_memory_bytes: stored.in_memory_bytes / encoders.max(1),
        })
    }
}

impl FitState {
    /// Hands categories to the store of the fit, the largest vocabularies first, until those in memory take at most
    /// `most_bytes`. Without a store nothing happens.
    ///
    /// # Errors
    /// When the store fails; the state is not to be used then.
    pub fn spill(&mut self, most_bytes: usize) -> Result<(), FitError> {
        let program = Arc::clone(&self.program);
        let Some(store) = &program.store else {
            return Ok(());
        };
        let columns = program.routes.iter().map(|(_, column, _)| column);
        let mut vocabularies: Vec<(&String, &mut CategoryCounts)> = columns
            .zip(&mut self.leaves)
            .flat_map(|(column, leaves)| {
                let counts = leaves.iter_mut().filter_map(LeafState::counts_mut);
                counts.map(move |counts| (column, counts))
            })
            .collect();
        vocabularies.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.spillable_bytes()));
        let mut held: usize = vocabularies
            .iter()
            .map(|(_, counts)| counts.spillable_bytes())
            .sum();
        for (column, counts) in vocabularies {
            if held <= most_bytes {
                break;
            }
            held -= counts.spillable_bytes();
            spill_counts(counts, store.as_ref(), column)?;
        }
        Ok(())
    }

    /// Bytes of [`memory_bytes`](Self::memory_bytes) that [`spill`](Self::spill) could free.
    pub fn category_bytes(&self) -> usize {
        let leaves = self.leaves.iter().flatten();
        leaves
            .filter_map(LeafState::counts)
            .map(CategoryCounts::spillable_bytes)
            .sum()
    }
}

/// What of a vocabulary is in memory in one state goes to the store if any other state has spilled of it: in the end it
/// must come together there, and until then memory is better used otherwise.
pub(super) fn spill_together(program: &Program, states: &mut [FitState]) -> Result<(), FitError> {
    let Some(store) = &program.store else {
        return Ok(());
    };
    for (position, (_, column, _)) in program.routes.iter().enumerate() {
        let leaves = states
            .iter()
            .map(|state| state.leaves.get(position).map_or(0, Vec::len));
        for leaf in 0..leaves.max().unwrap_or(0) {
            let mut counts: Vec<&mut CategoryCounts> = states
                .iter_mut()
                .filter_map(|state| state.leaves.get_mut(position)?.get_mut(leaf)?.counts_mut())
                .collect();
            if counts.iter().any(|counts| counts.has_spilled()) {
                for counts in &mut counts {
                    spill_counts(counts, store.as_ref(), column)?;
                }
            }
        }
    }
    Ok(())
}

fn spill_counts(
    counts: &mut CategoryCounts,
    store: &dyn CategoryStore,
    column: &str,
) -> Result<(), FitError> {
    counts.spill(store).map_err(|source| FitError::Category {
        column: column.to_owned(),
        source,
    })
}
