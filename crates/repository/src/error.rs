//! What can go wrong in a repository. Every variant names the object it speaks of, because the operator's next question
//! is always "which one, and what hangs on it".

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use haulier_cloud::CloudError;
use haulier_domain::id::{DomainId, PointId};

use crate::check::Finding;
use crate::ids::ChunkId;

/// The result of a repository operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of objects a repository consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    /// `format`: version, repository id, features.
    Format,
    /// `keys/<id>`: the master key, wrapped.
    Key,
    /// `domains/<d>/key`: a domain's key, wrapped by the master key.
    DomainKey,
    /// `packs/<aa>/<id>`: sealed chunks and the table of them.
    Pack,
    /// `index/<id>`: where chunks lie.
    Index,
    /// `lists/<id>`: a page of a stream's chunk ids.
    List,
    /// `points/<id>`: the root of a restore point.
    Point,
    /// `prune/<number>`: what is marked and what is to be deleted.
    Prune,
    /// `proofs/<point>/<session>`: what a restore test of a point has shown.
    Proof,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "format object",
            Self::Key => "key object",
            Self::DomainKey => "domain key",
            Self::Pack => "pack",
            Self::Index => "index object",
            Self::List => "list page",
            Self::Point => "restore point",
            Self::Prune => "prune record",
            Self::Proof => "proof",
        })
    }
}

/// A failed repository operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object store failed for a reason other than a missing object.
    #[error("{doing} {object}")]
    Store {
        /// What was being done: "reading", "writing", "listing".
        doing: &'static str,
        /// The key it was done to.
        object: String,
        /// The store's failure.
        #[source]
        source: Box<CloudError>,
    },
    /// An object that something else names is not there.
    #[error("the {kind} {object} is missing")]
    Missing {
        /// What it should have been.
        kind: ObjectKind,
        /// Its key.
        object: String,
    },
    /// An object of an immutable repository is under a delete marker: somebody has deleted it, and its bytes are there.
    #[error("the {kind} {object} is hidden by a delete marker since {since}; its bytes are still there")]
    Hidden {
        /// What it is.
        kind: ObjectKind,
        /// Its key.
        object: String,
        /// When it was hidden.
        since: jiff::Timestamp,
    },
    /// An object of an immutable repository was to be removed before its lock ends.
    #[error("the {kind} {object} is locked until {until}")]
    Locked {
        /// What it is.
        kind: ObjectKind,
        /// Its key.
        object: String,
        /// When its lock ends.
        until: jiff::Timestamp,
    },
    /// A restore point was to be copied without the one that it stands on.
    #[error("restore point {point} stands on {on}, of which no copy is named")]
    FoundationMissing {
        /// The point.
        point: PointId,
        /// The one that it stands on.
        on: PointId,
    },
    /// A restore point was to be removed on which another one stands.
    #[error("restore point {by} stands on {point} and cannot be restored without it")]
    StoodOn {
        /// The point.
        point: PointId,
        /// The one that stands on it.
        by: PointId,
    },
    /// A repository was to be immutable, and its bucket has no Object Lock.
    #[error("the bucket has no Object Lock")]
    NoObjectLock,
    /// A restore point of an immutable repository does not say until when it is locked.
    #[error("what restore point {point} needs has not been locked")]
    NotLocked {
        /// The point.
        point: PointId,
    },
    /// An object is there but is not what was written: truncated, altered, or sealed with another key.
    #[error("the {kind} {object} is damaged: {what}")]
    Damaged {
        /// What it should have been.
        kind: ObjectKind,
        /// Its key.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// No index object knows where a chunk lies.
    #[error("chunk {chunk} of stream {stream:?} is in no index object of the domain")]
    ChunkMissing {
        /// The chunk.
        chunk: ChunkId,
        /// The stream that needs it.
        stream: String,
    },
    /// A chunk is a delta, and the chunk it is a delta on cannot be had.
    #[error("chunk {chunk} is a delta on chunk {base}, which cannot be read")]
    BaseUnreadable {
        /// The chunk.
        chunk: ChunkId,
        /// Its base.
        base: ChunkId,
        /// What is wrong with the base.
        #[source]
        cause: Arc<Error>,
    },
    /// What would help to store less did not come in time. Never the end of a backup.
    #[error("the earlier point, or a list of it, did not come within {seconds} seconds")]
    SlowBase {
        /// How long was waited.
        seconds: u64,
    },
    /// There is no `format` object under the prefix.
    #[error("there is no repository under the prefix {prefix:?}")]
    NoRepository {
        /// Where it was looked for.
        prefix: String,
    },
    /// The prefix is taken by another repository.
    #[error("there is a repository under the prefix {prefix:?} already")]
    RepositoryExists {
        /// The prefix.
        prefix: String,
    },
    /// An object is of a later version of the format, or needs features this program does not have.
    #[error("the {kind} {object} needs {needs}, which this version of Haulier does not know: use a later one")]
    Unsupported {
        /// What kind of object.
        kind: ObjectKind,
        /// Its key.
        object: String,
        /// Version or features, as text.
        needs: String,
    },
    /// None of the repository's keys opened with what was offered.
    #[error("{}", match tried {
        0 => "the repository has no key of this kind: one says KMS key, the other passphrase",
        1 => "the repository's one key of this kind did not open: wrong passphrase, or a key of another repository",
        _ => "none of the repository's keys of this kind opened: wrong passphrase, or keys of another repository",
    })]
    NoKeyOpens {
        /// How many keys of that kind there are.
        tried: usize,
    },
    /// The key was not removed: nothing else would open the repository with what is kept.
    #[error("key {key} stays: no other key of the repository opens with what is kept")]
    LastKey {
        /// Its id.
        key: String,
    },
    /// The service that wraps keys failed.
    #[error("the wrapping key {wrapper} could not be used")]
    Wrapping {
        /// The wrapping key's name.
        wrapper: String,
        /// Its failure.
        #[source]
        source: Box<CloudError>,
    },
    /// The domain has no key object, and none was to be made.
    #[error("the repository has no domain {domain}")]
    NoDomain {
        /// The domain.
        domain: DomainId,
    },
    /// Another prune of the domain came between: this one has stopped, and deleted nothing more.
    #[error("another prune works in domain {domain}")]
    PruneOverlap {
        /// The domain.
        domain: DomainId,
    },
    /// A restore point cannot be followed to what it needs, so that nothing of its domain may be deleted.
    #[error("restore point {point} cannot be read in full, so that it is not known what may be deleted")]
    PointUnreadable {
        /// The point.
        point: PointId,
        /// What is wrong with it.
        #[source]
        cause: Box<Error>,
    },
    /// A restore point of that id is published with another content.
    #[error("restore point {point} is published already, with another content")]
    PointTaken {
        /// The point.
        point: PointId,
    },
    /// A restore point was not published, because what it names is not all there.
    #[error("restore point {point} is not complete: {} finding(s), the first: {}", .findings.len(), first(.findings))]
    NotReachable {
        /// The point.
        point: PointId,
        /// What is missing.
        findings: Vec<Finding>,
    },
    /// A file on the local disk failed.
    #[error("{doing} the local index under {}", .path.display())]
    Local {
        /// What was being done.
        doing: &'static str,
        /// The folder.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The writer failed earlier, in this stream or another; nothing more can be written with it.
    #[error("the repository writer has failed")]
    WriterFailed(#[source] Arc<Error>),
    /// The writer was dropped while a stream was still writing.
    #[error("the repository writer was closed before its stream")]
    WriterClosed,
    /// A task died: a defect, or the runtime is shutting down.
    #[error("a repository task stopped: {0}")]
    TaskStopped(String),
}

fn first(findings: &[Finding]) -> String {
    findings.first().map_or_else(|| "none".to_owned(), ToString::to_string)
}

impl Error {
    pub(crate) fn damaged(kind: ObjectKind, object: &str, what: impl Into<String>) -> Self {
        Self::Damaged { kind, object: object.to_owned(), what: what.into() }
    }

    /// Whether the object is not in sight.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Hidden { .. })
    }

    /// The failure of the object store or the wrapping service, where that is the cause: for its kind and whether it may
    /// pass.
    pub fn cloud(&self) -> Option<&CloudError> {
        match self {
            Self::Store { source, .. } | Self::Wrapping { source, .. } => Some(source),
            Self::WriterFailed(cause) | Self::BaseUnreadable { cause, .. } => cause.cloud(),
            Self::PointUnreadable { cause, .. } => cause.cloud(),
            _ => None,
        }
    }

    /// The object the failure speaks of, if it speaks of one.
    pub fn object(&self) -> Option<&str> {
        match self {
            Self::Store { object, .. }
            | Self::Missing { object, .. }
            | Self::Hidden { object, .. }
            | Self::Locked { object, .. }
            | Self::Damaged { object, .. }
            | Self::Unsupported { object, .. } => Some(object),
            Self::WriterFailed(cause) | Self::BaseUnreadable { cause, .. } => cause.object(),
            Self::PointUnreadable { cause, .. } => cause.object(),
            _ => None,
        }
    }
}
