//! How rows wait when memory is short.
//!
//! A work unit pours batches into a [`Reservoir`]; they stay in memory while the [`MemoryBudget`] grants it and go to
//! Parquet files in a private [`SpillDir`] when it does not. What was kept is a [`Pond`] and can be replayed, in arrival
//! order, any number of times. This crate knows Arrow, Parquet, bytes and directories; it knows nothing of features,
//! sources, sinks or the user's own files.
//!
//! One ledger counts everything that is held on purpose: rows in flight ([`Permit`], waits), rows kept ([`Lease`],
//! refused when over) and the reservations of query operators (the pool of [`MemoryBudget::pool`]). What cannot be
//! counted is watched by [`RssMonitor`], which lowers the effective limits while the process is larger than it should be.

mod account;
mod batch_size;
mod bit_packer;
mod budget;
mod carrier;
mod checked_file;
mod claim;
mod column_pages;
mod compact;
mod definition_levels;
mod delta_binary_packed;
mod dictionary_column;
mod error;
mod host_memory;
mod integer_column;
mod lease;
mod ledger;
mod monitor;
mod permit;
mod pond;
mod process_sampler;
mod reservoir;
mod root_check;
mod row_group;
mod row_group_encoder;
mod seen_texts;
mod segment;
mod spill_dir;
mod spill_file;
mod spill_reader;
mod spill_writer;
mod sweep;
#[cfg(test)]
mod test_rows;
mod text_interner;

pub use batch_size::{BatchMeasure, batch_logical_bytes, batch_memory_bytes};
pub use budget::MemoryBudget;
pub use carrier::check_spillable;
pub use claim::Claim;
pub use compact::{compact, compact_if_wasteful};
pub use error::{BudgetError, RootFault, SpillError, UnwritableColumn};
pub use host_memory::{default_memory_limit, memory_limit_for};
pub use lease::Lease;
pub use ledger::{BudgetShares, BudgetUse, Pressure};
pub use monitor::{RssMonitor, RssSampler};
pub use permit::Permit;
pub use pond::{Pond, Replay};
pub use process_sampler::ProcessSampler;
pub use reservoir::{Reservoir, ReservoirBuilder};
pub use row_group_encoder::{RowGroupEncoder, packs_well};
pub use seen_texts::SeenTexts;
pub use segment::{Segment, SegmentWriter};
pub use spill_dir::{QUOTA_SETTING, SpillDir};
pub use spill_file::{KeptFile, SpillFile};
pub use spill_reader::SpillReader;
pub use spill_writer::{SpillCompression, SpillPages, SpillWriter};
pub use sweep::{SweepReport, sweep};
