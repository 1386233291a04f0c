//! Finding the files an address names: local paths, globs and directories, and object store URLs.
//!
//! Owns listing and the order of files (by path, so that units are the same in every run). Must not know file formats beyond their names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use globset::{GlobBuilder, GlobMatcher};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::{Error, ErrorKind, Result};

/// What a file holds, judged by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileFormat {
    /// Apache Parquet (`.parquet`, `.pq`).
    Parquet,
    /// Delimited text (`.csv`, `.tsv`).
    Csv,
}

/// Where one file is.
#[derive(Debug, Clone)]
pub(crate) enum FileLocation {
    /// A file of this machine.
    Local(PathBuf),
    /// An object of a store.
    Object(ObjectPath),
}

/// One file of a source.
#[derive(Debug, Clone)]
pub(crate) struct DataFile {
    /// Its name for people and for ordering.
    pub name: String,
    /// Where to read it.
    pub location: FileLocation,
    /// Its length.
    pub size_bytes: u64,
}

/// The files of a source in path order; never empty.
#[derive(Debug, Clone)]
pub(crate) struct FileSet {
    /// The address as the user wrote it.
    pub address: String,
    /// The store of remote files.
    pub store: Option<Arc<dyn ObjectStore>>,
    /// The files.
    pub files: Vec<DataFile>,
    /// Their common format.
    pub format: FileFormat,
}

impl FileSet {
    /// Lists what `address` names.
    ///
    /// # Errors
    /// NotFound when nothing matches, Config for an address that cannot be understood or mixed formats, Auth when listing is forbidden.
    pub async fn resolve(address: &str) -> Result<Self> {
        let (store, mut files) = match address.split_once("://") {
            None => (None, local_files(Path::new(address), address)?),
            Some(("file", path)) => (None, local_files(Path::new(path), address)?),
            Some(("gs" | "s3" | "s3a" | "gcs", _)) => {
                let (store, files) = remote_files(address).await?;
                (Some(store), files)
            }
            Some((scheme, _)) => {
                return Err(Error::config(format!(
                    "source \"{address}\": scheme \"{scheme}\" is not known; use bigquery://, gs://, s3://, file:// or a local path"
                )));
            }
        };
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut formats = files.iter().map(|f| format_of(&f.name));
        let Some(first) = formats.next() else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("no Parquet or CSV file matches \"{address}\""),
            ));
        };
        let format = first.ok_or_else(|| unknown_format(&files))?;
        if formats.any(|f| f != Some(format)) {
            return Err(Error::config(format!(
                "\"{address}\" matches files of different formats; name one, for example \"{address}/*.parquet\""
            )));
        }
        Ok(Self {
            address: address.to_owned(),
            store,
            files,
            format,
        })
    }
}

/// What tells that files are still the same: name, length and, for files of this machine, when each was changed last.
pub(crate) fn state_of<'a>(files: impl IntoIterator<Item = &'a DataFile>) -> serde_json::Value {
    files
        .into_iter()
        .map(|file| {
            let changed = match &file.location {
                FileLocation::Local(path) => std::fs::metadata(path)
                    .and_then(|found| found.modified())
                    .ok()
                    .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
                    .map(|since| since.as_secs_f64()),
                FileLocation::Object(_) => None,
            };
            serde_json::json!({"name": file.name, "bytes": file.size_bytes, "changed": changed})
        })
        .collect()
}

fn unknown_format(files: &[DataFile]) -> Error {
    let name = files.first().map_or("", |f| f.name.as_str());
    Error::config(format!(
        "file \"{name}\" is neither .parquet nor .csv, so its format is not known"
    ))
}

fn format_of(name: &str) -> Option<FileFormat> {
    match Path::new(name)
        .extension()?
        .to_str()?
        .to_ascii_lowercase()
        .as_str()
    {
        "parquet" | "pq" => Some(FileFormat::Parquet),
        "csv" | "tsv" => Some(FileFormat::Csv),
        _ => None,
    }
}

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn glob(pattern: &str) -> Result<GlobMatcher> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map(|g| g.compile_matcher())
        .map_err(|e| Error::with_source(ErrorKind::Config, format!("source glob \"{pattern}\""), e))
}

/// Hidden files and markers such as `_SUCCESS` are not data.
fn is_data_name(name: &str) -> bool {
    !name.starts_with(['.', '_']) && format_of(name).is_some()
}

fn local_files(path: &Path, address: &str) -> Result<Vec<DataFile>> {
    let text = path.to_string_lossy();
    let mut found = Vec::new();
    if is_glob(&text) {
        let matcher = glob(&text)?;
        let root: PathBuf = path
            .components()
            .take_while(|c| !is_glob(&c.as_os_str().to_string_lossy()))
            .collect();
        let start = if root.as_os_str().is_empty() {
            Path::new(".")
        } else {
            root.as_path()
        };
        walk(start, &mut |file| {
            let shown = file.strip_prefix("./").unwrap_or(file);
            if matcher.is_match(file) || matcher.is_match(shown) {
                found.push(file.to_path_buf());
            }
        })
        .map_err(|e| io_error(&e, start))?;
    } else {
        let metadata = std::fs::metadata(path).map_err(|e| io_error(&e, path))?;
        if metadata.is_dir() {
            walk(path, &mut |file| {
                if file
                    .file_name()
                    .is_some_and(|n| is_data_name(&n.to_string_lossy()))
                {
                    found.push(file.to_path_buf());
                }
            })
            .map_err(|e| io_error(&e, path))?;
        } else {
            found.push(path.to_path_buf());
        }
    }
    if found.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("no Parquet or CSV file matches \"{address}\""),
        ));
    }
    found
        .into_iter()
        .map(|file| {
            let size_bytes = std::fs::metadata(&file)
                .map_err(|e| io_error(&e, &file))?
                .len();
            Ok(DataFile {
                name: file.to_string_lossy().into_owned(),
                location: FileLocation::Local(file),
                size_bytes,
            })
        })
        .collect()
}

fn walk(dir: &Path, visit: &mut impl FnMut(&Path)) -> std::io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.file_type()?.is_dir() {
            if !hidden {
                walk(&path, visit)?;
            }
        } else if !hidden && path.is_file() {
            visit(&path);
        }
    }
    Ok(())
}

/// The engine error for an input file that cannot be read.
pub(crate) fn io_error(error: &std::io::Error, path: &Path) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Auth,
        _ => ErrorKind::Disk,
    };
    Error::new(kind, format!("cannot read \"{}\": {error}", path.display()))
}

/// The engine error for an object that cannot be read.
pub(crate) fn store_error(error: object_store::Error, what: &str) -> Error {
    use object_store::Error as E;
    let kind = match &error {
        E::NotFound { .. } => ErrorKind::NotFound,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => ErrorKind::Auth,
        E::InvalidPath { .. } | E::NotSupported { .. } | E::UnknownConfigurationKey { .. } => {
            ErrorKind::Config
        }
        _ => ErrorKind::Unavailable,
    };
    Error::with_source(kind, format!("cannot read \"{what}\""), error)
}

async fn remote_files(address: &str) -> Result<(Arc<dyn ObjectStore>, Vec<DataFile>)> {
    let (prefix, pattern) = match address.find(['*', '?', '[', '{']) {
        Some(at) => {
            let slash = address
                .get(..at)
                .and_then(|head| head.rfind('/'))
                .unwrap_or(at);
            (address.get(..slash).unwrap_or(address), Some(address))
        }
        None => (address, None),
    };
    let url = url::Url::parse(prefix)
        .map_err(|e| Error::with_source(ErrorKind::Config, format!("source \"{address}\""), e))?;
    // Object stores take their credentials and endpoints from the variables their own tools use.
    let options = std::env::vars().filter(|(k, _)| {
        let k = k.to_ascii_uppercase();
        k.starts_with("AWS_") || k.starts_with("GOOGLE_")
    });
    let (store, path) =
        object_store::parse_url_opts(&url, options).map_err(|e| store_error(e, address))?;
    let store: Arc<dyn ObjectStore> = Arc::from(store);
    let bucket = url.origin().ascii_serialization();
    let bucket = if bucket == "null" {
        format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default())
    } else {
        bucket
    };
    let matcher = pattern.map(glob).transpose()?;
    let mut files = Vec::new();
    if matcher.is_none()
        && let Ok(meta) = store.head(&path).await
    {
        files.push(object(&bucket, meta));
        return Ok((store, files));
    }
    let listed: Vec<_> = store
        .list(Some(&path))
        .try_collect()
        .await
        .map_err(|e| store_error(e, address))?;
    for meta in listed {
        let file = object(&bucket, meta);
        let keep = match &matcher {
            Some(m) => m.is_match(&file.name),
            None => file.name.rsplit('/').next().is_some_and(is_data_name),
        };
        if keep {
            files.push(file);
        }
    }
    Ok((store, files))
}

fn object(bucket: &str, meta: object_store::ObjectMeta) -> DataFile {
    DataFile {
        name: format!("{bucket}/{}", meta.location),
        size_bytes: meta.size,
        location: FileLocation::Object(meta.location),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn touch(dir: &Path, name: &str) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    }

    #[tokio::test]
    async fn directories_and_globs_list_data_files_in_path_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "b.parquet",
            "a.parquet",
            "_SUCCESS",
            ".hidden.parquet",
            "sub/c.parquet",
            "note.txt",
        ] {
            touch(dir.path(), name);
        }
        let names = |set: FileSet| {
            set.files
                .iter()
                .map(|f| {
                    Path::new(&f.name)
                        .strip_prefix(dir.path())
                        .unwrap()
                        .to_string_lossy()
                        .into_owned()
                })
                .collect::<Vec<_>>()
        };
        let all = FileSet::resolve(dir.path().to_str().unwrap())
            .await
            .unwrap();
        assert_eq!(names(all), ["a.parquet", "b.parquet", "sub/c.parquet"]);
        let top = FileSet::resolve(&format!("{}/*.parquet", dir.path().display()))
            .await
            .unwrap();
        assert_eq!(names(top), ["a.parquet", "b.parquet"]);
        let deep = FileSet::resolve(&format!("file://{}/**/*.parquet", dir.path().display()))
            .await
            .unwrap();
        assert_eq!(deep.files.len(), 3);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named() {
        let e = FileSet::resolve("/nowhere/at/all.parquet")
            .await
            .unwrap_err();
        assert_eq!(e.kind(), ErrorKind::NotFound);
        assert!(e.to_string().contains("/nowhere/at/all.parquet"));
        let e = FileSet::resolve("/nowhere/*.parquet").await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::NotFound);
        let e = FileSet::resolve("ftp://host/x.parquet").await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Config);
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), "a.parquet");
        touch(dir.path(), "b.csv");
        let e = FileSet::resolve(dir.path().to_str().unwrap())
            .await
            .unwrap_err();
        assert!(e.to_string().contains("different formats"), "{e}");
    }
}
