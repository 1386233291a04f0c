//! Buckets: directories of files that stand for Google Cloud Storage.
//!
//! `gs://bucket/a/b.csv` is the file `<directory>/bucket/a/b.csv`. Owns how addresses become paths, and that an object is there
//! as a whole or not at all. Must not know about requests, jobs or formats.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// What an address of an object begins with.
pub(crate) const SCHEME: &str = "gs://";

/// What names of files begin with that are no objects, or not yet.
const HIDDEN: char = '.';

/// An object as it lies in its bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub bucket: String,
    pub name: String,
    pub path: PathBuf,
    pub len: u64,
    pub modified: SystemTime,
}

impl Object {
    /// `gs://bucket/name`.
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.bucket, self.name)
    }
}

/// All buckets of a server.
#[derive(Debug)]
pub(crate) struct Buckets {
    directory: PathBuf,
    written: AtomicU64,
}

/// The bucket and the name of an address.
pub(crate) fn parts(uri: &str) -> Option<(&str, &str)> {
    let (bucket, name) = uri.strip_prefix(SCHEME)?.split_once('/')?;
    (!bucket.is_empty() && !name.is_empty()).then_some((bucket, name))
}

/// Whether text with at most one star stands for a name; the star may stand for any part of it, slashes included.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        }
    }
}

fn is_bucket_name(bucket: &str) -> bool {
    !bucket.is_empty()
        && !bucket.starts_with(HIDDEN)
        && bucket
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A part of a name that a file or a directory can have.
fn is_part(part: &str) -> bool {
    !part.is_empty() && !part.starts_with(HIDDEN) && !part.contains(['\\', '\0'])
}

impl Buckets {
    /// Those below `directory`, which need not be there before something is written.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            written: AtomicU64::new(0),
        }
    }

    /// Where a bucket is; `None` for a name that no bucket can have.
    fn place(&self, bucket: &str) -> Option<PathBuf> {
        is_bucket_name(bucket).then(|| self.directory.join(bucket))
    }

    /// The file of an object; `None` for a name that cannot be one here: with an empty part, or one that begins with a dot.
    pub fn path(&self, bucket: &str, name: &str) -> Option<PathBuf> {
        let place = self.place(bucket)?;
        name.split('/')
            .all(is_part)
            .then(|| place.join(name.split('/').collect::<PathBuf>()))
    }

    /// Whether there is a bucket.
    pub fn has(&self, bucket: &str) -> bool {
        self.place(bucket).is_some_and(|place| place.is_dir())
    }

    /// The names of all buckets, in order.
    pub fn all(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in entries(&self.directory)? {
            if let Some(name) = entry.file_name().and_then(|n| n.to_str())
                && is_bucket_name(name)
                && entry.is_dir()
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes a bucket; whether it was not there.
    pub fn make(&self, bucket: &str) -> io::Result<bool> {
        let place = self.place(bucket).ok_or(ErrorKind::InvalidInput)?;
        fs::create_dir_all(&self.directory)?;
        match fs::create_dir(place) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Removes a bucket that holds no object.
    pub fn remove_bucket(&self, bucket: &str) -> io::Result<()> {
        let place = self.place(bucket).ok_or(ErrorKind::NotFound)?;
        if !self.objects(bucket, "")?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        fs::remove_dir_all(place)
    }

    /// One object, if it is there.
    pub fn object(&self, bucket: &str, name: &str) -> io::Result<Option<Object>> {
        let Some(path) = self.path(bucket, name) else {
            return Ok(None);
        };
        match fs::metadata(&path) {
            Ok(facts) if facts.is_file() => Ok(Some(Object {
                bucket: bucket.to_owned(),
                name: name.to_owned(),
                path,
                len: facts.len(),
                modified: facts.modified()?,
            })),
            Ok(_) => Ok(None),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// The objects whose names begin with `prefix`, in the order of their names.
    pub fn objects(&self, bucket: &str, prefix: &str) -> io::Result<Vec<Object>> {
        let Some(place) = self.place(bucket) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let mut below = vec![(place, String::new())];
        while let Some((directory, name)) = below.pop() {
            for path in entries(&directory)? {
                let Some(part) = path.file_name().and_then(|n| n.to_str()) else {
                    continue;
                };
                let name = format!("{name}{part}");
                if !is_part(part) {
                    continue;
                }
                if path.is_dir() {
                    let name = format!("{name}/");
                    if name.starts_with(prefix) || prefix.starts_with(&name) {
                        below.push((path, name));
                    }
                } else if name.starts_with(prefix) {
                    found.extend(self.object(bucket, &name)?);
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The objects of an address whose name may hold one star.
    pub fn matching(&self, uri: &str) -> io::Result<Vec<Object>> {
        let Some((bucket, pattern)) = parts(uri) else {
            return Ok(Vec::new());
        };
        let Some((before, _)) = pattern.split_once('*') else {
            return Ok(self.object(bucket, pattern)?.into_iter().collect());
        };
        let mut found = self.objects(bucket, before)?;
        found.retain(|object| fits(pattern, &object.name));
        Ok(found)
    }

    /// Begins an object, whose bucket must be there.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without a bucket, [`ErrorKind::InvalidInput`] for a name that cannot be one here.
    pub fn begin(&self, bucket: &str, name: &str) -> io::Result<Arriving> {
        if !self.has(bucket) {
            return Err(ErrorKind::NotFound.into());
        }
        let path = self.path(bucket, name).ok_or(ErrorKind::InvalidInput)?;
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let part = self
            .directory
            .join(bucket)
            .join(format!("{HIDDEN}part-{}-{number}", std::process::id()));
        Ok(Arriving {
            file: File::create(&part)?,
            part: Some(part),
            path,
        })
    }

    /// Removes an object; whether it was there.
    pub fn remove(&self, bucket: &str, name: &str) -> io::Result<bool> {
        let Some(object) = self.object(bucket, name)? else {
            return Ok(false);
        };
        fs::remove_file(&object.path)?;
        // What was a directory only for this object is none of a bucket's.
        let root = self.directory.join(bucket);
        for parent in object.path.ancestors().skip(1) {
            if parent == root || fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(true)
    }
}

/// What a directory holds; nothing where there is none.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// An object that is being written; dropped before [`Arriving::finish`] it leaves nothing.
#[derive(Debug)]
pub(crate) struct Arriving {
    file: File,
    part: Option<PathBuf>,
    path: PathBuf,
}

impl Write for Arriving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Arriving {
    /// The object is there from now on, in place of one that was.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        if let Some(part) = &self.part {
            fs::rename(part, &self.path)?;
        }
        self.part = None;
        Ok(())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            // What cannot be removed is no object either.
            let _ = fs::remove_file(part);
        }
    }
}

#[cfg(test)]
mod tests;
