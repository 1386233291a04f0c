//! The manifest: which units went into an output directory, and which shards came out, each with its checksum.
//!
//! Owns the format of `manifest.json` and its check against the files. Must not know how shards are written or read.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use arrow::datatypes::Schema;
use millpond_features::Split;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::output_dir::shard_path;

/// Name of the manifest in an output directory.
pub(crate) const MANIFEST: &str = "manifest.json";

/// The format this version writes, and the only one it reads.
const FORMAT_VERSION: u32 = 1;

/// Bytes read at a time to compute a checksum.
const READ_BYTES: usize = 1 << 20;

/// What an output directory holds and where it came from. The same run gives the same bytes of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub format_version: u32,
    /// Version of the engine that wrote it.
    pub engine_version: String,
    /// Columns of every shard, in order.
    pub schema: Vec<ManifestField>,
    /// Work units in index order.
    pub units: Vec<UnitEntry>,
    /// Shards by split (train, val, test), then by unit.
    pub shards: Vec<ShardEntry>,
}

/// One output column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestField {
    /// Column name.
    pub name: String,
    /// Arrow type as text, for example `Float32` or `Timestamp(µs, "UTC")`.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Whether the column may hold nulls.
    pub nullable: bool,
}

/// One work unit and what became of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitEntry {
    /// Position in the source, from 0.
    pub index: usize,
    /// The unit's name as the source gives it.
    pub name: String,
    /// Rows written per split.
    pub rows: SplitRows,
    /// Rows dropped by the recipe's `where`.
    pub filtered: u64,
}

/// A number of rows for each split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitRows {
    /// Training rows.
    pub train: u64,
    /// Validation rows.
    pub val: u64,
    /// Test rows.
    pub test: u64,
}

/// One finished Parquet file. Only a finished sink makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// Path relative to the output directory, for example `train/part-00017.parquet`.
    pub path: String,
    /// The split it belongs to.
    pub split: Split,
    /// The unit it came from; 0 for the empty shard of a split without rows.
    pub unit: usize,
    /// Rows in the file.
    pub rows: u64,
    /// Length of the file.
    pub bytes: u64,
    /// CRC-32C of the whole file.
    pub crc32c: u32,
}

impl SplitRows {
    /// Rows of one split.
    #[must_use]
    pub fn get(&self, split: Split) -> u64 {
        match split {
            Split::Train => self.train,
            Split::Val => self.val,
            Split::Test => self.test,
        }
    }

    /// Adds rows to one split.
    pub fn add(&mut self, split: Split, rows: u64) {
        let of_split = match split {
            Split::Train => &mut self.train,
            Split::Val => &mut self.val,
            Split::Test => &mut self.test,
        };
        *of_split = of_split.saturating_add(rows);
    }

    /// Rows of all splits.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.train
            .saturating_add(self.val)
            .saturating_add(self.test)
    }
}

impl Manifest {
    /// The manifest of a run. Units and shards may come in any order.
    #[must_use]
    pub fn new(schema: &Schema, mut units: Vec<UnitEntry>, mut shards: Vec<ShardEntry>) -> Self {
        units.sort_by_key(|unit| unit.index);
        shards.sort_by_key(|shard| (shard.split as u8, shard.unit));
        Self {
            format_version: FORMAT_VERSION,
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            schema: schema
                .fields()
                .iter()
                .map(|field| ManifestField {
                    name: field.name().clone(),
                    data_type: field.data_type().to_string(),
                    nullable: field.is_nullable(),
                })
                .collect(),
            units,
            shards,
        }
    }

    /// The manifest as indented JSON with a final newline.
    ///
    /// # Errors
    /// [`Manifest`](ErrorKind::Manifest) if it cannot be serialised.
    pub fn to_json(&self) -> Result<String> {
        let mut json = serde_json::to_string_pretty(self)
            .map_err(|e| Error::with_source(ErrorKind::Manifest, "cannot write the manifest", e))?;
        json.push('\n');
        Ok(json)
    }

    /// Reads a manifest and checks that it makes sense in itself.
    ///
    /// # Errors
    /// [`Manifest`](ErrorKind::Manifest) if it is not JSON of this format version, or contradicts itself.
    pub fn from_json(json: &str) -> Result<Self> {
        let unreadable =
            |e| Error::with_source(ErrorKind::Manifest, format!("cannot read {MANIFEST}"), e);
        // A later version may have any shape, so the version is looked at before the rest.
        let version: Version = serde_json::from_str(json).map_err(unreadable)?;
        if version.format_version != FORMAT_VERSION {
            return Err(unusable(format!(
                "{MANIFEST} has format version {}, this engine reads version {FORMAT_VERSION}",
                version.format_version
            )));
        }
        let manifest: Self = serde_json::from_str(json).map_err(unreadable)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Rows of one split in all shards.
    #[must_use]
    pub fn rows(&self, split: Split) -> u64 {
        self.shards_of(split)
            .fold(0, |sum, shard| sum.saturating_add(shard.rows))
    }

    /// The shards of one split, in order.
    pub fn shards_of(&self, split: Split) -> impl Iterator<Item = &ShardEntry> {
        self.shards.iter().filter(move |shard| shard.split == split)
    }

    /// Reads every shard below `directory` and compares its length and checksum.
    ///
    /// # Errors
    /// [`Manifest`](ErrorKind::Manifest) naming the first file that is missing or differs, or a contradiction.
    pub fn verify(&self, directory: &Path) -> Result<()> {
        self.check()?;
        for shard in &self.shards {
            shard.check_length(directory)?;
            let path = directory.join(&shard.path);
            let found = checksum(&path).map_err(|e| {
                Error::with_source(
                    ErrorKind::Manifest,
                    format!("cannot read {}", path.display()),
                    e,
                )
            })?;
            if found != shard.crc32c {
                return Err(unusable(format!(
                    "{} has checksum {found:08x}, the manifest says {:08x}",
                    path.display(),
                    shard.crc32c
                )));
            }
        }
        Ok(())
    }

    /// Whether the parts agree with one another.
    fn check(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for shard in &self.shards {
            // The name follows from split and unit, so a manifest cannot point anywhere else.
            let expected = shard_path(shard.split, shard.unit);
            if shard.path != expected {
                return Err(unusable(format!(
                    "{MANIFEST} lists {:?} where {expected:?} belongs",
                    shard.path
                )));
            }
            if !seen.insert(&shard.path) {
                return Err(unusable(format!("{MANIFEST} lists {expected:?} twice")));
            }
        }
        for split in Split::ALL {
            let units = self
                .units
                .iter()
                .fold(0_u64, |sum, unit| sum.saturating_add(unit.rows.get(split)));
            let shards = self.rows(split);
            if units != shards {
                return Err(unusable(format!(
                    "{MANIFEST} counts {units} {split} rows in units but {shards} in shards"
                )));
            }
        }
        Ok(())
    }
}

impl ShardEntry {
    /// Whether the file is there, is a file, and has the listed length.
    pub(crate) fn check_length(&self, directory: &Path) -> Result<()> {
        let path = directory.join(&self.path);
        let found = fs::symlink_metadata(&path).map_err(|e| {
            Error::with_source(
                ErrorKind::Manifest,
                format!("cannot read {}", path.display()),
                e,
            )
        })?;
        if !found.is_file() {
            return Err(unusable(format!("{} is not a file", path.display())));
        }
        if found.len() != self.bytes {
            return Err(unusable(format!(
                "{} has {} bytes, the manifest says {}",
                path.display(),
                found.len(),
                self.bytes
            )));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

fn unusable(context: String) -> Error {
    Error::new(ErrorKind::Manifest, context)
}

/// CRC-32C of a whole file.
pub(crate) fn checksum(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut block = vec![0; READ_BYTES];
    let mut crc = 0;
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(crc),
            Ok(read) => crc = crc32c::crc32c_append(crc, block.get(..read).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
