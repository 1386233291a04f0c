//! Reading a finished output directory back: whole batches, or mini-batches for training.
//!
//! Owns the refusal of anything unfinished, and the order in which rows come. Must not know how the rows were made.

mod matrix;
mod mini_batch;
mod random;
mod row_groups;
mod shuffle;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millpond_features::Split;

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{MANIFEST, Manifest, ShardEntry};
use crate::output_dir::SUCCESS;

pub use self::mini_batch::{
    LastBatch, MiniBatch, MiniBatchOptions, MiniBatches, RowOrder, Shuffle,
};
use self::row_groups::{RowGroup, ShardReader, open_shard};

/// Longest manifest that is read, in bytes.
const LONGEST_MANIFEST: u64 = 1 << 30;

/// A complete output directory.
#[derive(Debug, Clone)]
pub struct Dataset {
    directory: PathBuf,
    manifest: Arc<Manifest>,
}

impl Dataset {
    /// Opens what a run wrote. Reads the manifest, but no shard.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such directory; [`Manifest`](ErrorKind::Manifest) if the run that
    /// wrote it is not finished (there is no `_SUCCESS`) or its manifest cannot be used.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        let given = directory.as_ref();
        let directory = fs::canonicalize(given).map_err(|e| {
            let kind = match e.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Manifest,
            };
            Error::with_source(kind, format!("cannot open dataset {}", given.display()), e)
        })?;
        if !directory.join(SUCCESS).is_file() {
            return Err(Error::new(
                ErrorKind::Manifest,
                format!(
                    "{} has no {SUCCESS}: the run that wrote it did not finish",
                    directory.display()
                ),
            ));
        }
        let path = directory.join(MANIFEST);
        let unreadable = |e| {
            Error::with_source(
                ErrorKind::Manifest,
                format!("cannot read {}", path.display()),
                e,
            )
        };
        let bytes = fs::metadata(&path).map_err(unreadable)?.len();
        if bytes > LONGEST_MANIFEST {
            return Err(Error::new(
                ErrorKind::Manifest,
                format!(
                    "{} has {bytes} bytes, more than {LONGEST_MANIFEST}",
                    path.display()
                ),
            ));
        }
        let json = fs::read_to_string(&path).map_err(unreadable)?;
        Ok(Self {
            manifest: Arc::new(Manifest::from_json(&json)?),
            directory,
        })
    }

    /// What the directory holds and where it came from.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads every shard and compares it with its checksum.
    ///
    /// # Errors
    /// [`Manifest`](ErrorKind::Manifest) naming the first file that is missing or differs.
    pub fn verify(&self) -> Result<()> {
        self.manifest.verify(&self.directory)
    }

    /// One split of the dataset.
    ///
    /// # Errors
    /// [`Manifest`](ErrorKind::Manifest) if its first shard is missing or cannot be read.
    pub fn split(&self, split: Split) -> Result<SplitReader> {
        let shards: Vec<ShardEntry> = self.manifest.shards_of(split).cloned().collect();
        let Some(first) = shards.first() else {
            return Err(Error::new(
                ErrorKind::Manifest,
                format!(
                    "{} lists no {split} shard",
                    self.directory.join(MANIFEST).display()
                ),
            ));
        };
        let schema = Arc::clone(open_shard(&self.directory, first)?.schema());
        Ok(SplitReader {
            directory: self.directory.clone(),
            schema,
            rows: self.manifest.rows(split),
            shards: shards.into(),
        })
    }
}

/// One split of a dataset. Holds no open file.
#[derive(Debug, Clone)]
pub struct SplitReader {
    directory: PathBuf,
    schema: SchemaRef,
    rows: u64,
    shards: Arc<[ShardEntry]>,
}

impl SplitReader {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Columns, in order.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// All rows in the order in which they were written: shard by shard. Batches have up to 8,192 rows and end with a shard.
    ///
    /// Holds one open shard and one batch. After an error the iterator is at its end.
    #[must_use]
    pub fn batches(&self) -> Batches {
        Batches {
            directory: self.directory.clone(),
            schema: Arc::clone(&self.schema),
            shards: Arc::clone(&self.shards),
            next: 0,
            open: None,
        }
    }

    /// Rows as matrices for training, in stored or shuffled order; see [`MiniBatchOptions`].
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if an option makes no sense; [`Schema`](ErrorKind::Schema) if a column is missing or
    /// is not a number; [`Manifest`](ErrorKind::Manifest) if a shard cannot be read.
    pub fn mini_batches(&self, options: &MiniBatchOptions) -> Result<MiniBatches> {
        MiniBatches::try_new(self, options)
    }
}

/// Iterator over the batches of a split.
#[derive(Debug)]
pub struct Batches {
    directory: PathBuf,
    schema: SchemaRef,
    shards: Arc<[ShardEntry]>,
    next: usize,
    open: Option<ShardReader>,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.open.as_mut().and_then(Iterator::next) {
                return Some(batch.inspect_err(|_| self.stop()));
            }
            let shard = self.shards.get(self.next)?;
            self.next += 1;
            let opened = open_shard(&self.directory, shard)
                .and_then(|shard| shard.check_schema(&self.schema))
                .and_then(|shard| shard.read(RowGroup::All, None));
            match opened {
                Ok(reader) => self.open = Some(reader),
                Err(e) => {
                    self.stop();
                    return Some(Err(e));
                }
            }
        }
    }
}

impl Batches {
    fn stop(&mut self) {
        self.next = self.shards.len();
        self.open = None;
    }
}
