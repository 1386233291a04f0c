//! Loops compiled for the vector instructions of the machine they run on.
//!
//! Owns the choice between them. The result never depends on it: every operation on a lane is the IEEE one, and none are fused.

/// Runs `work` with the widest vectors of this machine. What `work` calls has to be inlined to gain from it.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
