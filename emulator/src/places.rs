//! Where addresses of files lead: local files, paths below the data directory, and objects in buckets.
//!
//! Only what a client names is looked at. Must not know about formats or requests.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::buckets::{self, Buckets};
use crate::external::ExternalError;

/// Where the buckets are below the data directory, unless they are put elsewhere.
const BUCKETS: &str = ".buckets";

/// A file and the address it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileAt {
    pub uri: String,
    pub path: PathBuf,
}

impl FileAt {
    /// All bytes of it.
    pub fn read(&self) -> Result<bytes::Bytes, ExternalError> {
        let read = fs::read(&self.path);
        read.map(Into::into).map_err(|source| ExternalError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

/// The directories that addresses lead into.
#[derive(Debug)]
pub(crate) struct Places {
    root: PathBuf,
    buckets: Buckets,
}

impl Places {
    /// Relative paths begin at `root`; buckets are below `buckets`, or in a directory of their own below `root`.
    pub fn new(root: PathBuf, buckets: Option<PathBuf>) -> Self {
        let buckets = Buckets::new(buckets.unwrap_or_else(|| root.join(BUCKETS)));
        Self { root, buckets }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// The files of one address, whose name may hold one star, in the order of their names.
    ///
    /// # Errors
    /// [`ExternalError`] for an address that leads nowhere, or behind which there is nothing.
    pub fn files(&self, uri: &str) -> Result<Vec<FileAt>, ExternalError> {
        let found = if uri.starts_with(buckets::SCHEME) {
            self.objects(uri)?
        } else {
            self.local_files(uri)?
        };
        if found.is_empty() {
            let uri = uri.to_owned();
            return Err(ExternalError::NotFound { uri });
        }
        Ok(found)
    }

    fn objects(&self, uri: &str) -> Result<Vec<FileAt>, ExternalError> {
        let bucket = buckets::parts(uri).map(|(bucket, _)| bucket);
        if !bucket.is_some_and(|bucket| self.buckets.has(bucket)) {
            let uri = uri.to_owned();
            return Err(ExternalError::NoBucket { uri });
        }
        let objects = self.buckets.matching(uri);
        let objects = objects.map_err(|source| ExternalError::Io {
            path: PathBuf::from(uri),
            source,
        })?;
        let files = objects.into_iter().map(|object| FileAt {
            uri: object.uri(),
            path: object.path,
        });
        Ok(files.collect())
    }

    fn local_files(&self, uri: &str) -> Result<Vec<FileAt>, ExternalError> {
        let path = self.local(uri).ok_or_else(|| ExternalError::NotLocal {
            uri: uri.to_owned(),
        })?;
        let name = path.file_name().and_then(|n| n.to_str());
        let Some((before, after)) = name.and_then(|n| n.split_once('*')) else {
            let uri = uri.to_owned();
            return Ok(path
                .is_file()
                .then_some(FileAt { uri, path })
                .into_iter()
                .collect());
        };
        let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
        let failed = |source| ExternalError::Io {
            path: directory.clone(),
            source,
        };
        let begins = uri.rsplit_once('/').map_or("", |(begins, _)| begins);
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| {
                name.len() >= before.len() + after.len()
                    && name.starts_with(before)
                    && name.ends_with(after)
            }) else {
                continue;
            };
            let path = entry.path();
            if path.is_file() {
                let uri = format!("{begins}/{name}");
                found.push(FileAt { uri, path });
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn local(&self, uri: &str) -> Option<PathBuf> {
        if let Some(path) = uri.strip_prefix("file://") {
            return path.starts_with('/').then(|| PathBuf::from(path));
        }
        let relative = Path::new(uri);
        let inside = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        (inside && !uri.contains("://")).then(|| self.root.join(relative))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(places: &Places, uri: &str) -> Result<Vec<String>, String> {
        let files = places.files(uri).map_err(|e| e.to_string())?;
        let name = |file: FileAt| file.path.file_name().unwrap().to_str().unwrap().to_owned();
        Ok(files.into_iter().map(name).collect())
    }

    #[test]
    fn only_local_files_below_the_root_or_named_in_full_and_objects_are_read() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::new(root.path().to_owned(), None);
        for directory in ["in", ".buckets/b/in"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
            for name in ["b.csv", "a.csv", "a.json", "c.csv.part"] {
                fs::write(root.path().join(directory).join(name), "1\n").unwrap();
            }
        }
        assert_eq!(names(&places, "in/*.csv").unwrap(), ["a.csv", "b.csv"]);
        let full = format!("file://{}/in/a*", root.path().display());
        assert_eq!(names(&places, &full).unwrap(), ["a.csv", "a.json"]);
        assert_eq!(
            names(&places, "gs://b/in/*.csv").unwrap(),
            ["a.csv", "b.csv"]
        );
        let starred = places.files("gs://b/*.json").unwrap();
        assert_eq!(starred.first().unwrap().uri, "gs://b/in/a.json");
        for elsewhere in [
            "s3://b/a",
            "../a.csv",
            "in/../../a",
            "/etc/passwd",
            "file://host/a",
        ] {
            let refused = names(&places, elsewhere).unwrap_err();
            assert!(
                refused.contains(elsewhere) && refused.contains("local files"),
                "{refused}"
            );
        }
        for nothing in [
            "in/d.csv",
            "in/*.parquet",
            "in",
            "gs://b/a.csv",
            "gs://b/*.orc",
            "gs://b",
        ] {
            let refused = names(&places, nothing).unwrap_err();
            assert_eq!(refused, format!("Not found: Files {nothing}"));
        }
        let other = places.files("gs://other/in/a.csv").unwrap_err();
        assert!(matches!(other, ExternalError::NoBucket { .. }));
    }
}
