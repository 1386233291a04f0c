//! What can go wrong while rows wait. Owns the error types of the crate; knows no policy about retries or exit codes.

use std::fmt;
use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

/// The memory budget said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// Kept bytes do not fit now. The caller spills what it wanted to keep.
    #[error(
        "memory budget of {limit_bytes} bytes has {available_bytes} bytes left to keep, {what} asked for {requested_bytes} bytes"
    )]
    Refused {
        /// Who asked.
        what: &'static str,
        /// Bytes asked for, on top of what the asker already holds.
        requested_bytes: usize,
        /// Bytes that would have been granted at that moment.
        available_bytes: usize,
        /// The limit the budget was made with.
        limit_bytes: usize,
    },
    /// The request can never be granted, however long one waits. The budget has to be larger or the batch smaller.
    #[error(
        "memory budget of {limit_bytes} bytes allows {share_bytes} bytes in flight and cannot hold {requested_bytes} bytes at once for {what}"
    )]
    TooLarge {
        /// Who asked.
        what: &'static str,
        /// Bytes asked for.
        requested_bytes: usize,
        /// The whole in-flight share: the largest request that can be granted.
        share_bytes: usize,
        /// The limit the budget was made with.
        limit_bytes: usize,
    },
}

/// Why a directory is not trusted to hold spilled rows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootFault {
    /// It is not a directory.
    NotADirectory,
    /// It is a symbolic link, which whoever may write beside it can point elsewhere.
    Link {
        /// User id of the owner of the link.
        owner: u32,
        /// Where it leads now.
        target: PathBuf,
    },
    /// The directory belongs to another user who is not root.
    ForeignOwner {
        /// User id of the owner.
        owner: u32,
    },
    /// Everybody may write in it and, without the sticky bit, also rename and remove what is ours.
    WorldWritable {
        /// Permission bits of the directory.
        mode: u32,
    },
}

impl fmt::Display for RootFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADirectory => write!(f, "it is not a directory"),
            Self::Link { owner, target } => write!(
                f,
                "it is a symbolic link owned by user {owner}, name {} itself",
                target.display()
            ),
            Self::ForeignOwner { owner } => write!(f, "it is owned by user {owner}"),
            Self::WorldWritable { mode } => {
                write!(
                    f,
                    "it is writable by everybody without the sticky bit (mode {mode:04o})"
                )
            }
        }
    }
}

/// A column that Parquet cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("column {column} cannot be written as Parquet: {source}")]
pub struct UnwritableColumn {
    /// Name of the top-level column.
    pub column: String,
    /// The answer of the library.
    #[source]
    pub source: ParquetError,
}

/// Keeping, spilling or replaying rows failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpillError {
    /// The operating system refused a file operation (full disk, no permission, too many open files).
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The answer of the operating system.
        #[source]
        source: io::Error,
    },
    /// Writing would exceed the disk quota.
    #[error(
        "{setting} of {quota_bytes} bytes reached: {live_bytes} bytes are spilled and {requested_bytes} more are needed for {}",
        path.display()
    )]
    QuotaExceeded {
        /// The name of the setting to raise.
        setting: &'static str,
        /// Its value in bytes.
        quota_bytes: u64,
        /// Bytes on disk now.
        live_bytes: u64,
        /// Bytes that were to be added.
        requested_bytes: u64,
        /// The file being written.
        path: PathBuf,
    },
    /// The file no longer holds what was written to it.
    #[error("spill file {} is corrupt at byte {offset}: {detail}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Offset of the first byte of the block that failed, or the length found.
        offset: u64,
        /// Which check failed.
        detail: &'static str,
    },
    /// The file is gone.
    #[error("spill file {} was deleted by somebody else", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// An earlier write failed, so the file cannot be continued.
    #[error("spill file {} was abandoned after an earlier failure", path.display())]
    Abandoned {
        /// The file.
        path: PathBuf,
    },
    /// The directory the user chose for spilling is not safe.
    #[error("refused to spill under {}: {fault}", path.display())]
    InsecureRoot {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        fault: RootFault,
    },
    /// A column has a type that Parquet cannot carry without loss.
    #[error("column {column} has type {data_type}, which cannot be spilled")]
    UnsupportedType {
        /// Name of the top-level column.
        column: String,
        /// The offending (possibly nested) type.
        data_type: String,
    },
    /// A batch does not have the columns the reservoir was made for.
    #[error("batch has columns [{found}] but the reservoir holds [{expected}]")]
    SchemaMismatch {
        /// Names and types of the reservoir.
        expected: String,
        /// Names and types of the batch.
        found: String,
    },
    /// A projection names a column that does not exist.
    #[error("projection asks for column {index} of {columns}")]
    ProjectionOutOfRange {
        /// The index asked for.
        index: usize,
        /// How many columns there are.
        columns: usize,
    },
    /// Batches of zero rows were asked for.
    #[error("replay needs at least 1 row per batch")]
    ZeroBatchRows,
    /// The Parquet encoder or decoder failed on data that passed its checksum.
    #[error("parquet failed on spill file {}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The answer of the library.
        #[source]
        source: ParquetError,
    },
    /// An Arrow kernel failed while copying or converting rows.
    #[error("arrow failed to {operation}: {source}")]
    Arrow {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The answer of the library.
        #[source]
        source: ArrowError,
    },
}

impl SpillError {
    /// Attaches path and operation to an I/O error.
    pub(crate) fn io(
        path: impl Into<PathBuf>,
        operation: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            path,
            operation,
            source,
        }
    }

    /// Attaches the operation to an Arrow error.
    pub(crate) fn arrow(operation: &'static str) -> impl FnOnce(ArrowError) -> Self {
        move |source| Self::Arrow { operation, source }
    }
}
