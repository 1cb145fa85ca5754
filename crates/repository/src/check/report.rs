//! What a check tells.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use haulier_domain::id::PointId;
use serde::Serialize;

use crate::error::{Error, ObjectKind, Result};

/// Findings that are kept; more of them tell nothing new.
const MOST: usize = 1_000;

/// What is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckScope {
    /// Everything: all index objects, all packs they name, all points.
    Domain,
    /// These points, and the packs they need.
    Points(Vec<PointId>),
}

/// How thoroughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckDepth {
    /// Everything named exists and has the right length.
    Reachable,
    /// And the table of every pack opens and agrees with the index.
    Structure,
    /// And of so many packs in a hundred, chosen at random, but of one at least, all that is said of a full check.
    Sampled {
        /// How many in a hundred.
        percent: u32,
    },
    /// And every chunk is read, opened, decompressed and compared with its id.
    Full,
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckProgress {
    /// Objects looked at.
    pub objects: u64,
    /// Bytes read of packs.
    pub bytes: u64,
    /// Packs that are to be checked, once that is known.
    pub packs_total: u64,
    /// Of them, those done.
    pub packs: u64,
    /// Findings so far.
    pub findings: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind of object.
    pub kind: ObjectKind,
    /// Its key.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// What cannot be done because of it.
    pub consequence: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.consequence)
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CheckReport {
    /// What is wrong, in the order it was found.
    pub findings: Vec<Finding>,
    /// Whether there were more findings than are listed.
    pub more: bool,
    /// Objects looked at.
    pub objects: u64,
    /// Bytes read of packs.
    pub bytes: u64,
    /// Packs checked.
    pub packs: u64,
    /// Of them, those of which every byte was read.
    pub packs_read: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Whether the repository is at fault, and not the store or the disk.
fn is_found(error: &Error) -> bool {
    match error {
        Error::BaseUnreadable { cause, .. } => is_found(cause),
        error => matches!(
            error,
            Error::Missing { .. }
                | Error::Hidden { .. }
                | Error::Damaged { .. }
                | Error::Unsupported { .. }
                | Error::ChunkMissing { .. }
                | Error::Invalid(_)
        ),
    }
}

/// Collects findings and counts.
pub(super) struct Reporter {
    progress: Box<dyn Fn(CheckProgress) + Send + Sync>,
    findings: Mutex<Vec<Finding>>,
    found: AtomicU64,
    objects: AtomicU64,
    bytes: AtomicU64,
    packs: AtomicU64,
    packs_read: AtomicU64,
    packs_total: AtomicU64,
}

impl Reporter {
    pub(super) fn new(progress: Box<dyn Fn(CheckProgress) + Send + Sync>) -> Self {
        Self {
            progress,
            findings: Mutex::default(),
            found: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            packs: AtomicU64::new(0),
            packs_read: AtomicU64::new(0),
            packs_total: AtomicU64::new(0),
        }
    }

    fn findings(&self) -> std::sync::MutexGuard<'_, Vec<Finding>> {
        self.findings.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes what an error says of an object.
    pub(super) fn add(&self, error: &Error, consequence: impl Into<String>) {
        let cause = match error {
            Error::BaseUnreadable { cause, .. } => &**cause,
            error => error,
        };
        let kind = match cause {
            Error::Missing { kind, .. }
            | Error::Hidden { kind, .. }
            | Error::Damaged { kind, .. }
            | Error::Unsupported { kind, .. } => *kind,
            _ => ObjectKind::Index,
        };
        let object = error.object().unwrap_or_default().to_owned();
        let what = match error {
            Error::BaseUnreadable { cause, .. } => format!("{error}: {cause}"),
            error => error.to_string(),
        };
        self.put(Finding { kind, object, what, consequence: consequence.into() });
    }

    pub(super) fn put(&self, finding: Finding) {
        self.found.fetch_add(1, Ordering::Relaxed);
        let mut findings = self.findings();
        if findings.len() < MOST && !findings.contains(&finding) {
            findings.push(finding);
        }
    }

    /// The value, or a finding if the repository is at fault; an error if the store or the disk is.
    pub(super) fn take<T>(&self, result: Result<T>, consequence: impl Into<String>) -> Result<Option<T>> {
        self.objects.fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(value) => {
                self.tell();
                Ok(Some(value))
            }
            Err(error) if is_found(&error) => {
                self.add(&error, consequence);
                self.tell();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn expect_packs(&self, packs: u64) {
        self.packs_total.store(packs, Ordering::Relaxed);
        self.tell();
    }

    pub(super) fn pack_done(&self, bytes: u64) {
        self.packs.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tell();
    }

    /// Every byte of a pack has been read.
    pub(super) fn pack_read(&self) {
        self.packs_read.fetch_add(1, Ordering::Relaxed);
    }

    fn tell(&self) {
        (self.progress)(CheckProgress {
            objects: self.objects.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            packs_total: self.packs_total.load(Ordering::Relaxed),
            packs: self.packs.load(Ordering::Relaxed),
            findings: self.found.load(Ordering::Relaxed),
        });
    }

    /// Whether there is any finding.
    pub(super) fn has_findings(&self) -> bool {
        !self.findings().is_empty()
    }

    /// Has a look at each finding, and may tell it in other words.
    pub(super) fn reword(&self, mut reword: impl FnMut(&mut Finding)) {
        self.findings().iter_mut().for_each(&mut reword);
    }

    /// Drops the findings so far.
    pub(super) fn forget(&self) {
        self.findings().clear();
    }

    pub(super) fn finish(&self) -> CheckReport {
        let findings = std::mem::take(&mut *self.findings());
        CheckReport {
            more: findings.len() == MOST,
            findings,
            objects: self.objects.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            packs: self.packs.load(Ordering::Relaxed),
            packs_read: self.packs_read.load(Ordering::Relaxed),
        }
    }
}
