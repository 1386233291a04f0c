//! Messages kept on disk for whoever reads the same again: reading a stream twice decodes it once.
//!
//! Owns which streams are worth keeping, how much of the disk they may take, and what goes first when there is no room. What
//! is kept can be removed at any time. Must not know where messages come from.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use md5::{Digest, Md5};

use crate::stream_reader::Message;

mod stream_file;

pub(crate) use stream_file::Rest;
use stream_file::{Checks, StreamWriter};

/// Streams of sessions that read less than this part of the limit are not kept: they would be many, and are read soon enough.
const SMALLEST_PART: u64 = 1024;

/// What is kept takes at most one part in so many of what would be free without it.
const FREE_PARTS: u64 = 4;

/// The names of streams that are whole, and of those being written.
const WHOLE: &str = "messages";
const PART: &str = "part";

/// Whole streams, each by everything that decides its bytes.
#[derive(Debug)]
pub(crate) struct KeptMessages {
    directory: PathBuf,
    limit_bytes: u64,
    /// What tells this program from others that may write other messages.
    program: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of everything kept, and of what is being recorded.
    bytes: u64,
    /// Counts what was asked for, to know what was not asked for longest.
    asked: u64,
    /// Counts recordings, each of which has a file of its own.
    recordings: u64,
    streams: HashMap<PathBuf, Kept>,
}

#[derive(Debug)]
struct Kept {
    bytes: u64,
    last_asked: u64,
    checks: Checks,
}

impl KeptMessages {
    /// Keeps up to `limit_bytes` of messages in `directory`, which is made when something is first kept; 0 keeps nothing and
    /// looks at nothing. What an emulator has kept there before counts, oldest first.
    pub fn new(directory: PathBuf, limit_bytes: u64) -> Self {
        let state = match limit_bytes {
            0 => State::default(),
            _ => State::found(&directory).unwrap_or_default(),
        };
        Self {
            directory,
            limit_bytes,
            program: program(),
            state: Mutex::new(state),
        }
    }

    /// Whether streams of a session that reads about so many bytes are kept.
    pub fn is_worth(&self, session_bytes: u64) -> bool {
        let smallest = (self.limit_bytes / SMALLEST_PART).max(1);
        (smallest..=self.limit_bytes).contains(&session_bytes)
    }

    /// The messages of the stream `key` from row `offset` on, if all of it is kept and a message begins at that row.
    pub fn find(&self, key: &str, offset: u64) -> Option<Rest> {
        let key = self.key(key);
        let path = self.path(&key);
        let checks = {
            let mut state = self.lock();
            state.asked += 1;
            let asked = state.asked;
            let kept = state.streams.get_mut(&path)?;
            kept.last_asked = asked;
            kept.checks.clone()
        };
        match stream_file::open(&path, &key, &checks) {
            Ok(found) => {
                let found = found?;
                if let Some(kept) = self.lock().streams.get_mut(&path) {
                    kept.checks = found.checks();
                }
                found.rest_from(offset)
            }
            Err(error) => {
                self.drop_damaged(&path, &error);
                None
            }
        }
    }

    /// Forgets a stream whose file is not there or not what was written.
    pub fn drop_damaged(&self, path: &Path, error: &io::Error) {
        tracing::warn!(path = %path.display(), %error, "kept messages cannot be used, the table is read again");
        let mut state = self.lock();
        if let Some(kept) = state.streams.remove(path) {
            state.bytes -= kept.bytes;
        }
        // It is not asked for any more, and the next start finds it once more.
        let _ = fs::remove_file(path);
    }

    /// Begins to record the stream `key`, which is about to be read from its first row; `None` where files cannot be made.
    pub fn record(self: &Arc<Self>, key: &str) -> Option<Recording> {
        let key = self.key(key);
        let path = self.path(&key);
        let number = {
            let mut state = self.lock();
            state.recordings += 1;
            state.recordings
        };
        let part = path.with_extension(format!("{number}.{PART}"));
        let made =
            fs::create_dir_all(&self.directory).and_then(|()| StreamWriter::create(&part, key));
        match made {
            Ok(writer) => Some(Recording {
                kept: Arc::clone(self),
                writer: Some(writer),
                part,
                path,
                bytes: 0,
            }),
            Err(error) => {
                tracing::debug!(path = %part.display(), %error, "messages are not kept");
                None
            }
        }
    }

    fn key(&self, stream: &str) -> String {
        format!("{} {stream}", self.program)
    }

    fn path(&self, key: &str) -> PathBuf {
        let digest = Md5::digest(key.as_bytes());
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(name).with_extension(WHOLE)
    }

    /// Takes room for `bytes`, from what was not asked for longest if need be.
    fn reserve(&self, bytes: u64) -> bool {
        let Ok(free) = fs4::available_space(&self.directory) else {
            return false;
        };
        let mut state = self.lock();
        let limit = room(self.limit_bytes, state.bytes, free);
        while state.bytes.saturating_add(bytes) > limit {
            let oldest = state
                .streams
                .iter()
                .min_by_key(|(_, kept)| kept.last_asked)
                .map(|(path, _)| path.clone());
            let Some((path, kept)) = oldest.and_then(|path| state.streams.remove_entry(&path))
            else {
                return false;
            };
            state.bytes -= kept.bytes;
            // Whoever reads it has it open; what cannot be removed is found at the next start.
            let _ = fs::remove_file(path);
        }
        state.bytes += bytes;
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What lies in `directory`. What was being written when a program ended is removed.
    fn found(directory: &Path) -> io::Result<Self> {
        let mut whole = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            match path.extension().and_then(|e| e.to_str()) {
                Some(WHOLE) => {
                    let metadata = entry.metadata()?;
                    whole.push((metadata.modified()?, path, metadata.len()));
                }
                Some(PART) => fs::remove_file(path)?,
                _ => {}
            }
        }
        whole.sort();
        let mut state = Self::default();
        for (_, path, bytes) in whole {
            state.bytes += bytes;
            state.asked += 1;
            let last_asked = state.asked;
            let kept = Kept {
                bytes,
                last_asked,
                checks: Checks::default(),
            };
            state.streams.insert(path, kept);
        }
        Ok(state)
    }
}

/// Bytes that may be kept, at most `limit_bytes`, where `kept_bytes` are and `free_bytes` are left.
fn room(limit_bytes: u64, kept_bytes: u64, free_bytes: u64) -> u64 {
    limit_bytes.min(kept_bytes.saturating_add(free_bytes) / FREE_PARTS)
}

/// The running program, by its file: another build may write other messages for the same rows.
fn program() -> String {
    let found = std::env::current_exe().and_then(fs::metadata);
    let described = found.and_then(|file| Ok(format!("{} {:?}", file.len(), file.modified()?)));
    described.unwrap_or_default()
}

/// A stream being recorded. Dropped before it is finished, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Recording {
    kept: Arc<KeptMessages>,
    writer: Option<StreamWriter>,
    part: PathBuf,
    path: PathBuf,
    bytes: u64,
}

impl Recording {
    /// Adds the next message. Without room for it, or where it cannot be written, the recording is given up.
    pub fn add(mut self, message: &Message) -> Option<Self> {
        let bytes = message.body.len() as u64;
        if !self.kept.reserve(bytes) {
            return None;
        }
        self.bytes += bytes;
        match self.writer.as_mut()?.add(message) {
            Ok(()) => Some(self),
            Err(error) => {
                tracing::debug!(path = %self.part.display(), %error, "messages are not kept");
                None
            }
        }
    }

    /// Keeps the stream, which has no more messages.
    pub fn finish(mut self) {
        let Some(writer) = self.writer.take() else {
            return;
        };
        let kept = writer.finish().and_then(|index_bytes| {
            fs::rename(&self.part, &self.path)?;
            Ok(index_bytes)
        });
        let index_bytes = match kept {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::debug!(path = %self.part.display(), %error, "messages are not kept");
                return;
            }
        };
        let mut state = self.kept.lock();
        state.asked += 1;
        state.bytes += index_bytes;
        let kept = Kept {
            bytes: std::mem::take(&mut self.bytes) + index_bytes,
            last_asked: state.asked,
            checks: Checks::default(),
        };
        // Another call may have recorded the same meanwhile.
        if let Some(before) = state.streams.insert(self.path.clone(), kept) {
            state.bytes -= before.bytes;
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // Nothing is there once it was kept; the next start removes what cannot be removed now.
        let _ = fs::remove_file(&self.part);
        self.kept.lock().bytes -= self.bytes;
    }
}

#[cfg(test)]
mod tests;
