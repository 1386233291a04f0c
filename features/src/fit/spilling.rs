//! What a fit does when its counts of distinct values outgrow memory.
//!
//! Owns which of them go to the store and when; how they go there is the counts' affair.

use std::sync::Arc;

use super::leaf::LeafState;
use super::{Fit, FitError, FitState, Program};
use crate::category::CategoryError;
use crate::category::runs::{Spillable, VocabularyRoom};
use crate::category::store::CategoryStore;

/// Where vocabularies go that do not fit in memory.
#[derive(Debug, Clone)]
pub(super) struct StoredFit {
    pub(super) store: Arc<dyn CategoryStore>,
    /// For all fitted vocabularies of this pass and later ones together.
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

    /// The room of each vocabulary of `merged`, which is all that was gathered in a pass: as many of them as possible stay
    /// in memory, the smallest first, and those that have spilled get equal shares of what is left.
    pub(super) fn room(&mut self, merged: &[Vec<LeafState>]) -> Option<VocabularyRoom> {
        let stored = self.store.as_mut()?;
        let counts: Vec<_> = merged
            .iter()
            .flatten()
            .filter_map(LeafState::counts)
            .collect();
        let mut sizes: Vec<usize> = counts.iter().filter_map(|c| c.fitted_bytes()).collect();
        sizes.sort_unstable();
        let spilled = counts.len() - sizes.len();
        let mut in_memory_bytes = 0;
        for size in sizes {
            if size > stored.in_memory_bytes {
                break;
            }
            stored.in_memory_bytes -= size;
            in_memory_bytes = size;
        }
        let spilled_in_memory_bytes = stored.in_memory_bytes.checked_div(spilled).unwrap_or(0);
        if spilled > 0 {
            stored.in_memory_bytes = 0;
        }
        Some(VocabularyRoom {
            store: Arc::clone(&stored.store),
            in_memory_bytes,
            spilled_in_memory_bytes,
        })
    }
}

impl FitState {
    /// Hands counts of distinct values (categories, and the numbers of a most frequent value) to the store of the fit, the
    /// largest first, until those in memory take at most `most_bytes`. Without a store nothing happens.
    ///
    /// # Errors
    /// When the store fails; the state is not to be used then.
    pub fn spill(&mut self, most_bytes: usize) -> Result<(), FitError> {
        let program = Arc::clone(&self.program);
        let Some(store) = &program.store else {
            return Ok(());
        };
        let columns = program.routes.iter().map(|(_, column, _)| column);
        let mut vocabularies: Vec<(&String, &mut dyn Spillable)> = columns
            .zip(&mut self.leaves)
            .flat_map(|(column, leaves)| {
                let counts = leaves.iter_mut().flat_map(LeafState::spillable_mut);
                counts.map(move |counts| (column, counts))
            })
            .collect();
        vocabularies.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.spillable_bytes()));
        let sizes = vocabularies
            .iter()
            .map(|(_, counts)| counts.spillable_bytes());
        let mut held: usize = sizes.sum();
        for (column, counts) in vocabularies {
            if held <= most_bytes {
                break;
            }
            held -= counts.spillable_bytes();
            spilled(counts.spill(store.as_ref()), column)?;
        }
        Ok(())
    }

    /// Bytes of [`memory_bytes`](Self::memory_bytes) that [`spill`](Self::spill) could free.
    pub fn category_bytes(&self) -> usize {
        let leaves = self.leaves.iter().flatten();
        leaves
            .flat_map(LeafState::spillable)
            .map(Spillable::spillable_bytes)
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
            let mut parts: Vec<Vec<&mut dyn Spillable>> = states
                .iter_mut()
                .filter_map(|state| {
                    let leaf = state.leaves.get_mut(position)?.get_mut(leaf)?;
                    Some(leaf.spillable_mut())
                })
                .collect();
            let kinds = parts.iter().map(Vec::len).max().unwrap_or(0);
            for kind in 0..kinds {
                let mut of_kind = parts.iter_mut().filter_map(|part| part.get_mut(kind));
                if of_kind.any(|counts| counts.has_spilled()) {
                    let of_kind = parts.iter_mut().filter_map(|part| part.get_mut(kind));
                    for counts in of_kind {
                        spilled(counts.spill(store.as_ref()), column)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Brings back what is needed of numbers that have spilled.
pub(super) fn gather(program: &Program, merged: &mut [Vec<LeafState>]) -> Result<(), FitError> {
    let Some(store) = &program.store else {
        return Ok(());
    };
    for ((_, column, _), leaves) in program.routes.iter().zip(merged) {
        for leaf in leaves {
            spilled(leaf.gather(store.as_ref()), column)?;
        }
    }
    Ok(())
}

fn spilled(result: Result<(), CategoryError>, column: &str) -> Result<(), FitError> {
    result.map_err(|source| FitError::Category {
        column: column.to_owned(),
        source,
    })
}
