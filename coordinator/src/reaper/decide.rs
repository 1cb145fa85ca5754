//! What to do about something that carries our tags. Pure.

use std::collections::BTreeSet;

use haulier_domain::id::{Epoch, SessionId};

use crate::ledger::{Intent, Resource};
use crate::sessions::Place;

/// Something in the cloud that carries this installation's tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Session it is tagged with.
    pub session: SessionId,
    /// Epoch it is tagged with.
    pub epoch: Epoch,
    /// Name of the ledger row it should have.
    pub name: String,
    /// Its id.
    pub resource_id: String,
    /// What it is.
    pub resource: Resource,
    /// It outlives its session: its tag says so, a restore point names it, or another session uses it.
    pub kept: bool,
}

impl Finding {
    /// The ledger row it should have.
    pub fn intent(&self, place: &Place) -> Intent {
        Intent {
            session: self.session.clone(),
            epoch: self.epoch,
            account: place.account.id.clone(),
            region: place.region.clone(),
            name: self.name.clone(),
            resource: self.resource.clone(),
        }
    }
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has an owner.
    Leave,
    /// It may be somebody's backup: tell, and leave it.
    Report,
    /// It has no owner.
    Remove,
}

/// Decides about one thing. A live session owns what it made. A snapshot of a session that this state does not know may
/// be part of a restore point from before the state was lost: it is never removed here.
pub fn judge(finding: &Finding, live: &BTreeSet<SessionId>, known: &BTreeSet<SessionId>) -> Verdict {
    let is_snapshot = matches!(finding.resource, Resource::DbSnapshot);
    if finding.kept || live.contains(&finding.session) {
        Verdict::Leave
    } else if is_snapshot && !known.contains(&finding.session) {
        Verdict::Report
    } else {
        Verdict::Remove
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(resource: Resource, kept: bool) -> Finding {
        Finding {
            session: "ses-1".parse().unwrap(),
            epoch: Epoch(1),
            name: "haulier-1-1-worker".into(),
            resource_id: "i-1".into(),
            resource,
            kept,
        }
    }

    #[test]
    fn only_what_nobody_owns_is_removed() {
        let nobody = BTreeSet::new();
        let session = BTreeSet::from(["ses-1".parse().unwrap()]);
        let group = || Resource::SecurityGroup { vpc_id: "vpc-1".into() };
        let bucket =
            || Resource::TemporaryBucket { bucket: "b".into(), prefix: String::new(), prepared: false, logs_of: None };
        let cases = [
            (Resource::Ec2Instance, false, &session, &session, Verdict::Leave),
            (Resource::Ec2Instance, false, &nobody, &session, Verdict::Remove),
            (Resource::Ec2Instance, false, &nobody, &nobody, Verdict::Remove),
            (group(), true, &nobody, &session, Verdict::Leave),
            (group(), false, &nobody, &nobody, Verdict::Remove),
            (bucket(), false, &nobody, &nobody, Verdict::Remove),
            (bucket(), true, &nobody, &session, Verdict::Leave),
            (bucket(), false, &session, &session, Verdict::Leave),
            (Resource::DbSnapshot, false, &nobody, &session, Verdict::Remove),
            (Resource::DbSnapshot, false, &nobody, &nobody, Verdict::Report),
        ];
        for (resource, kept, live, known, verdict) in cases {
            let finding = finding(resource, kept);
            assert_eq!(judge(&finding, live, known), verdict, "{finding:?}");
        }
    }
}
