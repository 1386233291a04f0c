//! Mini-batches for training. Owns their size, their columns, and that each row of the split comes exactly once per epoch.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use ndarray::{Array1, Array2};

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::ShardEntry;

use super::SplitReader;
use super::matrix::RowShape;
use super::random::Random;
use super::row_groups::{RowGroup, ShardReader, open_shard};
use super::shuffle::ShuffleBuffer;

/// Which rows and columns a mini-batch has, and in what order rows come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MiniBatchOptions {
    /// Rows per mini-batch, at least 1.
    pub rows: usize,
    /// Columns of the feature matrix, in this order; at least one. Numbers and booleans only.
    pub features: Vec<String>,
    /// Column of the label vector, if any. A number or a boolean.
    pub label: Option<String>,
    /// Order of the rows.
    pub order: RowOrder,
    /// What to do with the rows left over at the end.
    pub last: LastBatch,
}

impl MiniBatchOptions {
    /// Mini-batches of `rows` rows of the columns `features`: no label, stored order, a shorter one at the end.
    pub fn new(rows: usize, features: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            rows,
            features: features.into_iter().map(Into::into).collect(),
            label: None,
            order: RowOrder::Stored,
            last: LastBatch::Keep,
        }
    }

    /// Adds a label column.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Shuffles rows.
    #[must_use]
    pub fn with_shuffle(mut self, shuffle: Shuffle) -> Self {
        self.order = RowOrder::Shuffled(shuffle);
        self
    }

    /// Chooses what happens to the rows left over.
    #[must_use]
    pub fn with_last(mut self, last: LastBatch) -> Self {
        self.last = last;
        self
    }
}

/// Order of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RowOrder {
    /// As written: shard by shard.
    #[default]
    Stored,
    /// Shuffled anew each epoch.
    Shuffled(Shuffle),
}

/// A shuffle that can be repeated: the same dataset, seed, epoch and buffer give the same order, on any machine.
///
/// # How good it is
///
/// Row groups of all shards are visited in random order, every order as likely as another. Their rows pass through a buffer
/// of `buffer_rows` rows: each row that comes in takes the place of a random one, which goes out.
///
/// - If the buffer holds the whole split, every order of rows is as likely as another.
/// - If it does not, rows of one row group stay near one another. A row leaves the buffer after `buffer_rows` more rows on
///   average, so a mini-batch mixes rows of about `buffer_rows / rows per row group` neighbouring row groups, plus one or
///   two. A row cannot come out earlier than `buffer_rows` places before the place at which it is read.
/// - Data stored in an order that matters (sorted by label, by time) therefore needs a buffer of several row groups. Shards
///   of 41 numeric columns have about 200,000 rows per row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shuffle {
    /// Any number; another one gives another order.
    pub seed: u64,
    /// Number of the pass over the data. Each epoch of one seed has an order of its own.
    pub epoch: u64,
    /// Rows in the buffer, at least 1. Costs 4 bytes per row and column (features and label); more mixes better.
    pub buffer_rows: usize,
}

/// What to do with the rows left over when the split's rows are not a multiple of a mini-batch's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LastBatch {
    /// They form a smaller mini-batch.
    #[default]
    Keep,
    /// They are left out.
    Drop,
}

/// Some rows as matrices. A null is NaN, `true` is 1, `false` is 0.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MiniBatch {
    /// Rows by features, in the order of [`MiniBatchOptions::features`].
    pub features: Array2<f32>,
    /// One label per row, if a label column was named.
    pub label: Option<Array1<f32>>,
}

/// Iterator over mini-batches. Holds the shuffle buffer, one open shard and one decoded batch.
///
/// After an error the iterator is at its end.
pub struct MiniBatches {
    source: Groups,
    shape: RowShape,
    rows_per_batch: usize,
    label: Label,
    last: LastBatch,
    buffer: Option<ShuffleBuffer>,
    /// Rows read from the open row group, before shuffling.
    incoming: Vec<f32>,
    /// Rows in their final order, the first `given` values of which have been given out.
    ready: Vec<f32>,
    given: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Absent,
    /// The last value of each row.
    Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Row groups are left.
    Reading,
    /// The buffer is being emptied.
    Draining,
    Ended,
}

impl MiniBatches {
    pub(super) fn try_new(split: &SplitReader, options: &MiniBatchOptions) -> Result<Self> {
        if options.rows == 0 {
            return Err(Error::config("a mini-batch needs at least 1 row"));
        }
        if options.features.is_empty() {
            return Err(Error::config(
                "a mini-batch needs at least 1 feature column",
            ));
        }
        let names: Vec<&str> = options
            .features
            .iter()
            .chain(&options.label)
            .map(String::as_str)
            .collect();
        let shape = RowShape::try_new(split.schema(), &names)?;
        let mut groups = Groups::list(split, &shape)?;
        let buffer = match options.order {
            RowOrder::Stored => None,
            RowOrder::Shuffled(Shuffle { buffer_rows: 0, .. }) => {
                return Err(Error::config("a shuffle buffer needs at least 1 row"));
            }
            RowOrder::Shuffled(shuffle) => {
                let mut random = Random::new(shuffle.seed, shuffle.epoch);
                random.shuffle(&mut groups.order);
                Some(ShuffleBuffer::new(
                    random,
                    shape.width(),
                    shuffle.buffer_rows,
                ))
            }
        };
        Ok(Self {
            source: groups,
            shape,
            rows_per_batch: options.rows,
            label: if options.label.is_some() {
                Label::Last
            } else {
                Label::Absent
            },
            last: options.last,
            buffer,
            incoming: Vec::new(),
            ready: Vec::new(),
            given: 0,
            state: State::Reading,
        })
    }

    /// Makes `rows_per_batch` rows ready, or all that are left.
    fn gather(&mut self) -> Result<()> {
        let width = self.shape.width().max(1);
        let wanted = self.rows_per_batch * width;
        if self.ready.len() - self.given >= wanted {
            return Ok(());
        }
        self.ready.drain(..self.given);
        self.given = 0;
        while self.ready.len() < wanted {
            match self.state {
                State::Ended => return Ok(()),
                State::Draining => {
                    let before = self.ready.len();
                    if let Some(buffer) = &mut self.buffer {
                        buffer.drain(self.rows_per_batch - before / width, &mut self.ready);
                    }
                    if self.ready.len() == before {
                        self.state = State::Ended;
                    }
                }
                State::Reading => match (self.source.next_batch()?, &mut self.buffer) {
                    (None, _) => self.state = State::Draining,
                    (Some(batch), None) => self.shape.append(&batch, &mut self.ready)?,
                    (Some(batch), Some(buffer)) => {
                        self.incoming.clear();
                        self.shape.append(&batch, &mut self.incoming)?;
                        buffer.pass(&self.incoming, &mut self.ready);
                    }
                },
            }
        }
        Ok(())
    }

    /// The next mini-batch from what is ready.
    fn cut(&mut self) -> Result<Option<MiniBatch>> {
        let width = self.shape.width().max(1);
        let ready = self.ready.get(self.given..).unwrap_or_default();
        let rows = (ready.len() / width).min(self.rows_per_batch);
        if rows == 0 || (rows < self.rows_per_batch && self.last == LastBatch::Drop) {
            return Ok(None);
        }
        let values = ready.get(..rows * width).unwrap_or_default();
        let (columns, features, label) = match self.label {
            Label::Absent => (width, values.to_vec(), None),
            Label::Last => {
                let mut features = Vec::with_capacity(rows * (width - 1));
                let mut labels = Vec::with_capacity(rows);
                for row in values.chunks_exact(width) {
                    if let Some((label, row)) = row.split_last() {
                        features.extend_from_slice(row);
                        labels.push(*label);
                    }
                }
                (width - 1, features, Some(Array1::from_vec(labels)))
            }
        };
        self.given += values.len();
        let features = Array2::from_shape_vec((rows, columns), features)
            .map_err(|e| Error::with_source(ErrorKind::Sink, "cannot shape a mini-batch", e))?;
        Ok(Some(MiniBatch { features, label }))
    }
}

impl Iterator for MiniBatches {
    type Item = Result<MiniBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.gather().and_then(|()| self.cut()) {
            Ok(batch) => batch.map(Ok),
            Err(e) => {
                self.state = State::Ended;
                self.ready.clear();
                self.given = 0;
                Some(Err(e))
            }
        }
    }
}

impl fmt::Debug for MiniBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MiniBatches")
            .field("rows_per_batch", &self.rows_per_batch)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The row groups of a split, in the order in which they are to be read.
struct Groups {
    directory: PathBuf,
    schema: SchemaRef,
    shards: Arc<[ShardEntry]>,
    columns: Vec<usize>,
    /// Shard and row group.
    order: Vec<(usize, usize)>,
    next: usize,
    open: Option<ShardReader>,
}

impl Groups {
    /// Lists row groups in stored order. Reads the footer of every shard, and keeps none.
    fn list(split: &SplitReader, shape: &RowShape) -> Result<Self> {
        let mut order = Vec::new();
        for (index, shard) in split.shards.iter().enumerate() {
            let opened = open_shard(&split.directory, shard)?.check_schema(&split.schema)?;
            order.extend((0..opened.row_groups()).map(|group| (index, group)));
        }
        Ok(Self {
            directory: split.directory.clone(),
            schema: Arc::clone(&split.schema),
            shards: Arc::clone(&split.shards),
            columns: shape.columns().to_vec(),
            order,
            next: 0,
            open: None,
        })
    }

    fn next_batch(&mut self) -> Result<Option<arrow::array::RecordBatch>> {
        loop {
            if let Some(batch) = self.open.as_mut().and_then(Iterator::next) {
                return batch.map(Some);
            }
            self.open = None;
            let Some(&(index, group)) = self.order.get(self.next) else {
                return Ok(None);
            };
            self.next += 1;
            let Some(shard) = self.shards.get(index) else {
                return Ok(None);
            };
            let opened = open_shard(&self.directory, shard)?.check_schema(&self.schema)?;
            self.open = Some(opened.read(RowGroup::One(group), Some(&self.columns))?);
        }
    }
}
