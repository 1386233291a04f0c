//! The methods of the Storage Write API by name.

/// A method that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteMethod {
    /// CreateWriteStream.
    CreateWriteStream,
    /// AppendRows. A fault comes after so many answers, when the next request has arrived.
    AppendRows,
    /// GetWriteStream.
    GetWriteStream,
    /// FinalizeWriteStream.
    FinalizeWriteStream,
    /// BatchCommitWriteStreams.
    BatchCommitWriteStreams,
    /// FlushRows.
    FlushRows,
}

impl WriteMethod {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::CreateWriteStream,
        Self::AppendRows,
        Self::GetWriteStream,
        Self::FinalizeWriteStream,
        Self::BatchCommitWriteStreams,
        Self::FlushRows,
    ];

    /// The name in the protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateWriteStream => "CreateWriteStream",
            Self::AppendRows => "AppendRows",
            Self::GetWriteStream => "GetWriteStream",
            Self::FinalizeWriteStream => "FinalizeWriteStream",
            Self::BatchCommitWriteStreams => "BatchCommitWriteStreams",
            Self::FlushRows => "FlushRows",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}
