//! Messages kept in memory for whoever reads the same again: a server that only sends, for measuring clients.
//!
//! Owns how much is kept and what goes first when there is no room. Must not know where messages come from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::stream_reader::Message;

/// Whole streams, each by everything that decides its bytes.
#[derive(Debug)]
pub(crate) struct KeptMessages {
    limit_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of everything kept, and of what is being recorded.
    bytes: u64,
    /// Counts what was asked for, to know what was not asked for longest.
    asked: u64,
    streams: HashMap<String, Kept>,
}

#[derive(Debug)]
struct Kept {
    messages: Arc<[Message]>,
    bytes: u64,
    last_asked: u64,
}

impl KeptMessages {
    /// Keeps up to `limit_bytes` of messages; 0 keeps nothing.
    pub fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            state: Mutex::default(),
        }
    }

    /// Whether anything is ever kept.
    pub fn is_enabled(&self) -> bool {
        self.limit_bytes > 0
    }

    /// The messages of the stream `key` from row `offset` on, if all of it is kept and a message begins at that row.
    pub fn find(&self, key: &str, offset: u64) -> Option<Rest> {
        let mut state = self.lock();
        state.asked += 1;
        let asked = state.asked;
        let kept = state.streams.get_mut(key)?;
        kept.last_asked = asked;
        let messages = Arc::clone(&kept.messages);
        drop(state);
        let mut row = 0;
        let mut begins = messages.iter().map(|message| {
            let begin = row;
            row += message.rows;
            begin
        });
        let next = match begins.position(|begin| begin == offset) {
            Some(next) => next,
            // The clean end of the stream.
            None if row == offset => messages.len(),
            None => return None,
        };
        Some(Rest { messages, next })
    }

    /// Begins to record the stream `key`, which is about to be read from its first row.
    pub fn record(self: &Arc<Self>, key: String) -> Recording {
        Recording {
            kept: Arc::clone(self),
            key,
            messages: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes room for `bytes`, from what was not asked for longest if need be.
    fn reserve(&self, bytes: u64) -> bool {
        let mut state = self.lock();
        while state.bytes.saturating_add(bytes) > self.limit_bytes {
            let oldest = state
                .streams
                .iter()
                .min_by_key(|(_, kept)| kept.last_asked)
                .map(|(key, _)| key.clone());
            let Some(kept) = oldest.and_then(|key| state.streams.remove(&key)) else {
                return false;
            };
            state.bytes -= kept.bytes;
        }
        state.bytes += bytes;
        true
    }

    fn release(&self, bytes: u64) {
        self.lock().bytes -= bytes;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left of a kept stream.
#[derive(Debug)]
pub(crate) struct Rest {
    messages: Arc<[Message]>,
    next: usize,
}

impl Iterator for Rest {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let message = self.messages.get(self.next).cloned();
        self.next += 1;
        message
    }
}

/// A stream being recorded. Dropped before it is finished, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Recording {
    kept: Arc<KeptMessages>,
    key: String,
    messages: Vec<Message>,
    bytes: u64,
}

impl Recording {
    /// Adds the next message. Its bytes become one piece, so that no more is kept than is counted. Without room for it the recording
    /// is given up.
    pub fn add(mut self, message: &mut Message) -> Option<Self> {
        let bytes = message.body.len() as u64;
        if !self.kept.reserve(bytes) {
            return None;
        }
        self.bytes += bytes;
        message.body = std::mem::take(&mut message.body).into_bytes().into();
        self.messages.push(message.clone());
        Some(self)
    }

    /// Keeps the stream, which has no more messages.
    pub fn finish(mut self) {
        let kept = Kept {
            messages: std::mem::take(&mut self.messages).into(),
            bytes: std::mem::take(&mut self.bytes),
            last_asked: 0,
        };
        let mut state = self.kept.lock();
        let kept = Kept {
            last_asked: state.asked,
            ..kept
        };
        let key = std::mem::take(&mut self.key);
        // Another call may have recorded the same meanwhile.
        if let Some(before) = state.streams.insert(key, kept) {
            state.bytes -= before.bytes;
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.kept.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    fn message(rows: u64, bytes: usize) -> Message {
        Message {
            body: Bytes::from(vec![7; bytes]).into(),
            rows,
            progress: 0.0..1.0,
            uncompressed_bytes: None,
        }
    }

    fn keep(kept: &Arc<KeptMessages>, key: &str, messages: &[(u64, usize)]) -> bool {
        let recording = messages
            .iter()
            .try_fold(kept.record(key.to_owned()), |recording, (rows, bytes)| {
                recording.add(&mut message(*rows, *bytes))
            });
        let Some(recording) = recording else {
            return false;
        };
        recording.finish();
        true
    }

    fn rows(kept: &KeptMessages, key: &str, offset: u64) -> Option<Vec<u64>> {
        let rest = kept.find(key, offset)?;
        Some(rest.map(|message| message.rows).collect())
    }

    #[test]
    fn a_kept_stream_is_found_from_where_a_message_begins() {
        let kept = Arc::new(KeptMessages::new(100));
        assert!(keep(&kept, "a", &[(3, 10), (4, 10), (5, 10)]));
        assert_eq!(rows(&kept, "a", 0).unwrap(), [3, 4, 5]);
        assert_eq!(rows(&kept, "a", 7).unwrap(), [5]);
        assert_eq!(rows(&kept, "a", 12).unwrap(), [0; 0]);
        for offset in [1, 4, 11, 13] {
            assert_eq!(rows(&kept, "a", offset), None, "{offset}");
        }
        assert_eq!(rows(&kept, "b", 0), None);
        assert!(keep(&kept, "empty", &[]));
        assert_eq!(rows(&kept, "empty", 0).unwrap(), [0; 0]);
    }

    #[test]
    fn what_was_not_asked_for_longest_makes_room() {
        let kept = Arc::new(KeptMessages::new(100));
        assert!(keep(&kept, "a", &[(1, 40)]));
        assert!(keep(&kept, "b", &[(1, 40)]));
        assert!(rows(&kept, "a", 0).is_some());
        assert!(keep(&kept, "c", &[(1, 40)]));
        assert!(rows(&kept, "b", 0).is_none());
        assert!(rows(&kept, "a", 0).is_some() && rows(&kept, "c", 0).is_some());
        assert_eq!(kept.lock().bytes, 80);
    }

    #[test]
    fn what_is_not_finished_or_too_large_leaves_nothing_behind() {
        let kept = Arc::new(KeptMessages::new(100));
        let recording = kept.record("a".to_owned()).add(&mut message(1, 60));
        assert_eq!(kept.lock().bytes, 60);
        drop(recording);
        assert!(!keep(&kept, "b", &[(1, 60), (1, 60)]));
        assert_eq!(kept.lock().bytes, 0);
        assert!(rows(&kept, "a", 0).is_none() && rows(&kept, "b", 0).is_none());
        // The same stream recorded twice counts once.
        assert!(keep(&kept, "c", &[(1, 30)]) && keep(&kept, "c", &[(1, 30)]));
        assert_eq!(kept.lock().bytes, 30);
        assert!(!KeptMessages::new(0).is_enabled());
    }
}
