//! Bytes on disk that cannot change unnoticed. Owns the block checksums of a spill file, on the way out and on the way
//! back; knows nothing of what the bytes mean.
//!
//! The file is cut into blocks and the checksum of each block stays in memory. Reading verifies every block it touches,
//! so a projected read pays for its own columns only, and no decoder ever sees a changed byte.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::error::SpillError;
use crate::spill_dir::FileSlot;

/// Bytes per block: four bytes of checksum in memory for each, and the unit of reading.
const BLOCK_BYTES: usize = 16 * 1024;

/// Length and block checksums of a finished file.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    len: u64,
    checksums: Arc<[u32]>,
}

impl Seal {
    /// Length of the file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// One checksum for the whole file: CRC-32C over the little-endian checksums of its blocks.
    pub(crate) fn digest(&self) -> u32 {
        self.checksums.iter().fold(0, |crc, block| {
            crc32c::crc32c_append(crc, &block.to_le_bytes())
        })
    }

    /// Seals a file that is there already by reading it once, and compares it with what is known of it.
    ///
    /// # Errors
    /// [`SpillError::Missing`], [`SpillError::Io`]; [`SpillError::Corrupt`] when its length or digest differs.
    pub(crate) fn of_file(path: &Path, len: u64, digest: u32) -> Result<Self, SpillError> {
        let mut file = open(path)?;
        let mut block = vec![0; BLOCK_BYTES];
        let mut checksums = Vec::new();
        let mut found = 0;
        loop {
            let filled = fill(&mut file, &mut block).map_err(SpillError::io(path, "read"))?;
            let Some(bytes) = block.get(..filled).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            checksums.push(crc32c::crc32c(bytes));
            found += filled as u64;
        }
        let seal = Self {
            len: found,
            checksums: checksums.into(),
        };
        if found != len {
            return Err(corrupt(path, found, "its length has changed"));
        }
        if seal.digest() != digest {
            return Err(corrupt(path, 0, "it does not match its checksum"));
        }
        Ok(seal)
    }
}

/// Opens a file for reading.
fn open(path: &Path) -> Result<File, SpillError> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SpillError::Missing {
            path: path.to_owned(),
        },
        _ => SpillError::io(path, "open")(error),
    })
}

/// Reads until `block` is full or the file ends; returns the bytes read.
fn fill(file: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes a file, charges the quota and computes the checksums. Keeps the first failure, because the Parquet writer
/// passes errors on as text only.
pub(crate) struct CheckedSink {
    file: File,
    slot: Arc<FileSlot>,
    len: u64,
    checksums: Vec<u32>,
    open_block: u32,
    open_bytes: usize,
    failure: Option<SpillError>,
}

impl CheckedSink {
    pub(crate) fn new(file: File, slot: Arc<FileSlot>) -> Self {
        Self {
            file,
            slot,
            len: 0,
            checksums: Vec::new(),
            open_block: 0,
            open_bytes: 0,
            failure: None,
        }
    }

    /// Bytes of memory the checksums take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.checksums.capacity() * size_of::<u32>()
    }

    /// The first failure, if there was one.
    pub(crate) fn take_failure(&mut self) -> Option<SpillError> {
        self.failure.take()
    }

    /// Closes the last block.
    pub(crate) fn seal(&mut self) -> Seal {
        if self.open_bytes > 0 {
            self.checksums.push(self.open_block);
            self.open_bytes = 0;
        }
        Seal {
            len: self.len,
            checksums: std::mem::take(&mut self.checksums).into(),
        }
    }

    fn count(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let take = bytes.len().min(BLOCK_BYTES - self.open_bytes);
            let (now, later) = bytes.split_at(take);
            self.open_block = crc32c::crc32c_append(self.open_block, now);
            self.open_bytes += take;
            if self.open_bytes == BLOCK_BYTES {
                self.checksums.push(self.open_block);
                self.open_block = 0;
                self.open_bytes = 0;
            }
            bytes = later;
        }
    }

    fn fail(&mut self, failure: SpillError) -> io::Error {
        let short = io::Error::other(failure.to_string());
        self.failure.get_or_insert(failure);
        short
    }
}

impl Write for CheckedSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wanted = bytes.len() as u64;
        if let Err(over) = self.slot.charge(wanted) {
            return Err(self.fail(over));
        }
        let result = self.file.write(bytes);
        let written = *result.as_ref().unwrap_or(&0);
        self.slot.refund(wanted - written as u64);
        match result {
            Ok(0) if wanted > 0 => {
                let stuck = io::Error::from(io::ErrorKind::WriteZero);
                Err(self.fail(SpillError::io(self.slot.path(), "write")(stuck)))
            }
            Ok(n) => {
                self.count(bytes.get(..n).unwrap_or(bytes));
                Ok(n)
            }
            // Not a failure: the caller tries again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.fail(SpillError::io(self.slot.path(), "write")(error))),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A finished file opened for reading. Clones share the descriptor and the first failure.
#[derive(Clone)]
pub(crate) struct CheckedFile {
    open: Arc<Open>,
}

struct Open {
    file: File,
    slot: Arc<FileSlot>,
    seal: Seal,
    failure: Mutex<Option<SpillError>>,
}

impl CheckedFile {
    /// Opens the file and checks its length.
    pub(crate) fn open(slot: &Arc<FileSlot>, seal: &Seal) -> Result<Self, SpillError> {
        let path = slot.path();
        let file = open(path)?;
        let metadata = file.metadata().map_err(SpillError::io(path, "inspect"))?;
        if metadata.len() != seal.len {
            return Err(corrupt(path, metadata.len(), "its length has changed"));
        }
        Ok(Self {
            open: Arc::new(Open {
                file,
                slot: Arc::clone(slot),
                seal: seal.clone(),
                failure: Mutex::new(None),
            }),
        })
    }

    /// The first failure of any clone, if there was one.
    pub(crate) fn take_failure(&self) -> Option<SpillError> {
        let mut failure = self
            .open
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }

    pub(crate) fn path(&self) -> &Path {
        self.open.slot.path()
    }

    /// Reads and verifies the blocks that hold `start..end`, into one buffer. Returns it with the offset of its first byte.
    fn read_blocks(&self, start: u64, end: u64) -> Result<(u64, Vec<u8>), SpillError> {
        let block = BLOCK_BYTES as u64;
        let from = start / block * block;
        let to = end.div_ceil(block).saturating_mul(block).min(self.len());
        if start > end || end > self.len() {
            return Err(corrupt(self.path(), end, "a range reaches past its end"));
        }
        let size = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; size];
        let read = self.open.file.read_exact_at(&mut bytes, from);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => corrupt(self.path(), from, "it was cut short"),
            _ => SpillError::io(self.path(), "read")(error),
        })?;
        let first = usize::try_from(from / block).unwrap_or(usize::MAX);
        let expected = self.open.seal.checksums.iter().skip(first);
        let mut at = from;
        for (bytes, expected) in bytes.chunks(BLOCK_BYTES).zip(expected) {
            if crc32c::crc32c(bytes) != *expected {
                return Err(corrupt(
                    self.path(),
                    at,
                    "a block does not match its checksum",
                ));
            }
            at += bytes.len() as u64;
        }
        Ok((from, bytes))
    }

    fn note(&self, failure: SpillError) -> io::Error {
        let short = io::Error::other(failure.to_string());
        self.open
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(failure);
        short
    }
}

fn corrupt(path: &Path, offset: u64, detail: &'static str) -> SpillError {
    SpillError::Corrupt {
        path: path.to_owned(),
        offset,
        detail,
    }
}

impl Length for CheckedFile {
    fn len(&self) -> u64 {
        self.open.seal.len
    }
}

impl ChunkReader for CheckedFile {
    type T = BlockReader;

    fn get_read(&self, start: u64) -> Result<BlockReader, ParquetError> {
        Ok(BlockReader {
            file: self.clone(),
            block: Bytes::new(),
            at: start,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.saturating_add(length as u64);
        let (from, bytes) = self
            .read_blocks(start, end)
            .map_err(|failure| ParquetError::from(self.note(failure)))?;
        let skip = usize::try_from(start - from).unwrap_or(usize::MAX);
        let bytes = Bytes::from(bytes);
        // The blocks cover the range, so this cannot be out of bounds.
        Ok(bytes.slice(skip..skip.saturating_add(length)))
    }
}

/// Reads on from an offset, one verified block at a time.
pub(crate) struct BlockReader {
    file: CheckedFile,
    block: Bytes,
    at: u64,
}

impl Read for BlockReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.block.is_empty() && self.at < self.file.len() {
            let end = (self.at / BLOCK_BYTES as u64 + 1) * BLOCK_BYTES as u64;
            let size = end.min(self.file.len()) - self.at;
            self.block = self
                .file
                .get_bytes(self.at, usize::try_from(size).unwrap_or(usize::MAX))
                .map_err(io::Error::other)?;
        }
        let n = out.len().min(self.block.len());
        let (now, _) = out.split_at_mut(n);
        now.copy_from_slice(&self.block.split_to(n));
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
