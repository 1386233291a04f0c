//! Keeping the rows of a first pass: in memory with disk as the overflow, or on disk for good.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use millpond_spill::{MemoryBudget, SeenTexts, SpillDir};

use super::checkpoints::Checkpoints;
use crate::plan::RowPlan;

/// How the rows of a first pass that must not be read twice are kept.
#[derive(Clone)]
pub(super) enum Keeper {
    /// For this run alone.
    Passing {
        schema: SchemaRef,
        budget: MemoryBudget,
        spill: Arc<SpillDir>,
    },
    /// So that a later run can go on from them.
    Lasting(LastingRows),
}

/// Rows that outlive the run.
#[derive(Clone)]
pub(super) struct LastingRows {
    pub plan: Arc<RowPlan>,
    pub budget: MemoryBudget,
    pub dir: Arc<SpillDir>,
    pub checkpoints: Arc<Checkpoints>,
    /// Positions of the columns that learning needs, when rows are read back.
    pub learning: Vec<usize>,
    pub batch_rows: usize,
    /// What has been found out about the texts of the table.
    pub seen_texts: SeenTexts,
    /// Bytes on the wire after which the rows of a unit so far are made durable.
    pub segment_bytes: u64,
}
