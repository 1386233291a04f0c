//! One stream's messages in a file: their bytes one after the other, then an index of them.
//!
//! The index has a checksum of every message, so that nothing which a crash or a disk has changed is ever sent. They are compared
//! once for a file that stays as it is. Must not know which streams are kept.

use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;
use std::vec;

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use crate::stream_reader::Message;

/// The last bytes of every file.
const MAGIC: [u8; 8] = *b"mpkept01";

/// What follows the index: its length, its checksum, and the magic bytes.
const TAIL_BYTES: u64 = 8 + 4 + 8;

/// Pieces given to the system at a time.
const PIECES: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    /// Everything that decides the messages.
    key: String,
    messages: Vec<Entry>,
}

/// A message but for its bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    crc32c: u32,
    rows: u64,
    progress: Range<f64>,
    uncompressed_bytes: Option<i64>,
}

/// A file being written.
#[derive(Debug)]
pub(super) struct StreamWriter {
    file: File,
    index: Index,
}

impl StreamWriter {
    pub fn create(path: &Path, key: String) -> io::Result<Self> {
        let messages = Vec::new();
        Ok(Self {
            file: File::create(path)?,
            index: Index { key, messages },
        })
    }

    /// Writes a message from where its pieces are.
    pub fn add(&mut self, message: &Message) -> io::Result<()> {
        let mut left = message.body.clone();
        let mut crc32c = 0;
        while left.has_remaining() {
            let written = {
                let mut pieces = [IoSlice::new(&[]); PIECES];
                let filled = left.chunks_vectored(&mut pieces);
                self.file
                    .write_vectored(pieces.get(..filled).unwrap_or_default())?
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            // What was written is still in the processor's cache.
            let mut unchecked = written;
            while unchecked > 0 {
                let piece = left.chunk();
                let checked = piece.len().min(unchecked);
                crc32c = crc32c::crc32c_append(crc32c, piece.get(..checked).unwrap_or_default());
                left.advance(checked);
                unchecked -= checked;
            }
        }
        self.index.messages.push(Entry {
            bytes: message.body.len() as u64,
            crc32c,
            rows: message.rows,
            progress: message.progress.clone(),
            uncompressed_bytes: message.uncompressed_bytes,
        });
        Ok(())
    }

    /// Writes the index; its bytes, and those behind it.
    pub fn finish(mut self) -> io::Result<u64> {
        let mut end = serde_json::to_vec(&self.index)?;
        let (length, crc32c) = (end.len() as u64, crc32c::crc32c(&end));
        end.extend_from_slice(&length.to_le_bytes());
        end.extend_from_slice(&crc32c.to_le_bytes());
        end.extend_from_slice(&MAGIC);
        self.file.write_all(&end)?;
        Ok(end.len() as u64)
    }
}

/// What was found to be as it was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Checks {
    /// When the file was last written; a file written since has not been looked at.
    written: Option<SystemTime>,
    /// So many messages from the first on.
    leading: Arc<AtomicUsize>,
}

impl Checks {
    /// Those of a file that was last written `then`.
    fn at(&self, then: Option<SystemTime>) -> Self {
        match then {
            Some(_) if then == self.written => self.clone(),
            _ => Self {
                written: then,
                leading: Arc::default(),
            },
        }
    }

    fn cover(&self, message: usize) -> bool {
        message < self.leading.load(Ordering::Relaxed)
    }

    /// Notes a message; one that is not the next is looked at again by who comes from the first.
    fn note(&self, message: usize) {
        let _ = self.leading.compare_exchange(
            message,
            message + 1,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}

/// A file that is whole.
#[derive(Debug)]
pub(super) struct StreamFile {
    path: PathBuf,
    file: File,
    messages: Vec<Entry>,
    checks: Checks,
}

/// Opens the file of the stream `key`, of which `checks` were made before; `None` where it is another's.
///
/// # Errors
/// What the system says, and [`io::ErrorKind::InvalidData`] where the file is not what was written.
pub(super) fn open(path: &Path, key: &str, checks: &Checks) -> io::Result<Option<StreamFile>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let end = metadata.len();
    let tail_at = end
        .checked_sub(TAIL_BYTES)
        .ok_or_else(|| damaged("too short"))?;
    file.seek(SeekFrom::Start(tail_at))?;
    let mut tail = Bytes::from(read(&mut file, TAIL_BYTES)?);
    let (length, crc32c) = (tail.get_u64_le(), tail.get_u32_le());
    if tail != MAGIC.as_slice() {
        return Err(damaged("no end"));
    }
    let index_at = tail_at
        .checked_sub(length)
        .ok_or_else(|| damaged("index too long"))?;
    file.seek(SeekFrom::Start(index_at))?;
    let index = read(&mut file, length)?;
    if crc32c::crc32c(&index) != crc32c {
        return Err(damaged("index altered"));
    }
    let index: Index = serde_json::from_slice(&index)?;
    if index.key != key {
        return Ok(None);
    }
    Ok(Some(StreamFile {
        path: path.to_owned(),
        file,
        messages: index.messages,
        checks: checks.at(metadata.modified().ok()),
    }))
}

impl StreamFile {
    /// What has been checked of the file as it is now, and what its readers will check.
    pub fn checks(&self) -> Checks {
        self.checks.clone()
    }

    /// The messages from row `offset` on; `None` where no message begins there.
    pub fn rest_from(mut self, offset: u64) -> Option<Rest> {
        let (mut row, mut position, mut before) = (0, 0, 0);
        for message in &self.messages {
            if row >= offset {
                break;
            }
            row += message.rows;
            position += message.bytes;
            before += 1;
        }
        if row != offset {
            return None;
        }
        self.file.seek(SeekFrom::Start(position)).ok()?;
        self.messages.drain(..before);
        Some(Rest {
            path: self.path,
            file: self.file,
            next_row: row,
            next_message: before,
            messages: self.messages.into_iter(),
            checks: self.checks,
        })
    }
}

/// What is left of a kept stream.
#[derive(Debug)]
pub(crate) struct Rest {
    path: PathBuf,
    file: File,
    next_row: u64,
    /// Its place in the stream.
    next_message: usize,
    messages: vec::IntoIter<Entry>,
    checks: Checks,
}

impl Rest {
    /// The file it is read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The row that the next message begins with.
    pub fn next_row(&self) -> u64 {
        self.next_row
    }

    /// The next message; `None` after the last.
    ///
    /// # Errors
    /// What the system says, and [`io::ErrorKind::InvalidData`] where the bytes are not those written. No message follows.
    pub fn next_message(&mut self) -> io::Result<Option<Message>> {
        let Some(entry) = self.messages.next() else {
            return Ok(None);
        };
        let bytes = read(&mut self.file, entry.bytes)?;
        if !self.checks.cover(self.next_message) {
            if crc32c::crc32c(&bytes) != entry.crc32c {
                return Err(damaged("message altered"));
            }
            self.checks.note(self.next_message);
        }
        self.next_message += 1;
        self.next_row += entry.rows;
        Ok(Some(Message {
            body: Bytes::from(bytes).into(),
            rows: entry.rows,
            progress: entry.progress,
            uncompressed_bytes: entry.uncompressed_bytes,
        }))
    }
}

/// The next `count` bytes.
fn read(file: &mut File, count: u64) -> io::Result<Vec<u8>> {
    let capacity = usize::try_from(count).map_err(|_| damaged("too long"))?;
    let mut bytes = Vec::with_capacity(capacity);
    file.take(count).read_to_end(&mut bytes)?;
    if bytes.len() == capacity {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn damaged(how: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, how)
}
