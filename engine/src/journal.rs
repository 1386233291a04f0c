//! The journal of a run: what is finished for good, so that a later run on the same directory can go on from there.
//!
//! Owns the format of the file and the checks on reading it. Must not know what follows from a record, nor when one may be
//! written: whoever appends has made durable everything the record speaks of.
//!
//! One record per line: its length and its CRC-32C, both as eight hexadecimal digits, then the record as JSON. A crash can
//! tear the last line only; anything else that does not fit its checksum was changed by somebody, and the journal is not used.

mod record;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::output_dir::write_failed;

pub(crate) use self::record::{
    Begun, ForgottenRecord, KeptTable, LearnedRecord, QueryRecord, ReadRecord, Record, RowsRecord,
    ScanRecord, UnitRecord, WrittenRecord,
};

/// The version of the records, and the only one this engine goes on from.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Longest journal that is read, in bytes.
const LONGEST: u64 = 1 << 30;
/// Bytes before a record on its line: two numbers, each with a space behind it.
const PREFIX: usize = 18;

/// The open end of a journal.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Reads the journal at `path`, cuts off a torn end, and opens it for appending. There is none yet: it is made.
    ///
    /// # Errors
    /// [`Manifest`](ErrorKind::Manifest) when a record in the middle is damaged or of another version;
    /// [`Sink`](ErrorKind::Sink) or [`Disk`](ErrorKind::Disk) when the file cannot be used.
    pub fn open(path: &Path) -> Result<(Self, Vec<Record>)> {
        let failed = |e| write_failed(path, "cannot use journal", e);
        let file = open_private(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length > LONGEST {
            return Err(unusable(path, 0, &format!("it has {length} bytes")));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let (records, good) = parse(path, &bytes)?;
        if good < bytes.len() {
            tracing::debug!(path = %path.display(), good, found = bytes.len(), "the journal's last record is torn");
            file.set_len(good as u64).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        let journal = Self {
            file,
            path: path.to_owned(),
        };
        Ok((journal, records))
    }

    /// Appends a record and returns once it is durable.
    ///
    /// # Errors
    /// [`Sink`](ErrorKind::Sink) or [`Disk`](ErrorKind::Disk); the record may then be torn, which reading forgives.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let line = line_of(record)?;
        self.file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|e| write_failed(&self.path, "cannot append to", e))
    }

    /// Forgets every record.
    ///
    /// # Errors
    /// [`Sink`](ErrorKind::Sink) or [`Disk`](ErrorKind::Disk).
    pub fn clear(&mut self) -> Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.sync_all())
            .map_err(|e| write_failed(&self.path, "cannot clear", e))
    }
}

/// The records of `bytes` and how many of the bytes they take: fewer than all when the last one is torn.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Record>, usize)> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let line = rest.split_inclusive(|b| *b == b'\n').next().unwrap_or(rest);
        let last = line.len() == rest.len();
        match record_of(line) {
            Ok(record) => records.push(record),
            // What a crash leaves of the record being appended.
            Err(_) if last => break,
            Err(why) => return Err(unusable(path, at, &why)),
        }
        at += line.len();
    }
    Ok((records, at))
}

/// A record as its line of the journal.
pub(crate) fn line_of(record: &Record) -> Result<String> {
    let json = serde_json::to_string(record)
        .map_err(|e| Error::with_source(ErrorKind::Manifest, "cannot write a record", e))?;
    let crc = crc32c::crc32c(json.as_bytes());
    Ok(format!("{:08x} {crc:08x} {json}\n", json.len()))
}

fn record_of(line: &[u8]) -> Result<Record, String> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end")?;
    let (prefix, json) = line.split_at_checked(PREFIX).ok_or("it is too short")?;
    let number = |from: usize| {
        prefix
            .get(from..from + 8)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    let (Some(length), Some(crc)) = (number(0), number(9)) else {
        return Err("it does not begin with length and checksum".to_owned());
    };
    if usize::try_from(length) != Ok(json.len()) {
        return Err(format!("it has {} bytes and says {length}", json.len()));
    }
    let found = crc32c::crc32c(json);
    if found != crc {
        return Err(format!("its checksum is {found:08x} and it says {crc:08x}"));
    }
    serde_json::from_slice(json).map_err(|e| e.to_string())
}

fn unusable(path: &Path, at: usize, why: &str) -> Error {
    Error::new(
        ErrorKind::Manifest,
        format!(
            "journal {} cannot be used: the record at byte {at} is damaged: {why}; add --restart to start over",
            path.display()
        ),
    )
}

/// Opens or makes a file that only this user can read, whatever the umask. A link is refused.
fn open_private(path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(io::ErrorKind::InvalidInput.into()),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = File::options();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path)
}
