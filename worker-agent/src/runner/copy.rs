//! A copy of a point in another repository: read with the keys of the one, stored with those of the other, and proposed as
//! a point there. Nothing of it touches a disk in plain.

use std::collections::BTreeMap;
use std::sync::Mutex;

use haulier_domain::failure::Failure;
use haulier_domain::id::PointId;
use haulier_repository::{CopyProgress, PointRoot, WriteStats};
use serde::Serialize;

use super::backup::{base_point, unwritable};
use super::work::Copy;
use super::{Bench, failures};
use crate::desk::Desk;
use crate::postgres::Stopped;
use crate::session::Report;

/// The report of a copy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct CopyReport<'a> {
    point: &'a PointId,
    copy: &'a PointId,
    totals: WriteStats,
}

impl Bench<'_> {
    /// Copies the point and proposes its copy.
    pub(super) async fn copy(&self, work: Copy) -> Result<Report, Stopped> {
        let what = format!("copying restore point {} to repository {}", work.point, work.target.repository_id);
        let desk = &self.task.desk;
        desk.phase("index");
        let key = self.task.target_domain_key.as_ref().ok_or_else(|| {
            let cause = "the credentials have no key of the domain that the copy goes to";
            Failure::new("assignment-invalid", &what, cause, "use a worker image of the coordinator's version")
        })?;
        let source = self.domain(&work.source, None).await?;
        let target = self.domain_under(key, &work.target, None).await?;
        let base = base_point(&target, work.base.as_ref(), desk).await;
        let root = source.read_point(&work.point).await.map_err(|error| failures::repository(&what, &error))?;
        desk.phase("data");
        desk.expect(root.totals.bytes_read);
        let meter = Stored { desk: desk.clone(), told: Mutex::default() };
        let copied =
            source.copy_point(&work.point, &target, base, work.foundation.as_ref(), |step| meter.tell(&step)).await;
        let copied = copied.map_err(|error| failures::repository(&what, &error))?;
        // Where it comes from is for the coordinator to say.
        let (session, epoch) = (self.task.session_id.clone(), self.task.epoch);
        let root = PointRoot { point: work.copy, session, epoch, labels: BTreeMap::new(), ..copied };
        let report = CopyReport { point: &work.point, copy: &root.point, totals: root.totals };
        Ok(Report {
            warnings: Vec::new(),
            document: serde_json::to_vec(&report).map_err(|error| unwritable(&what, &error))?,
            proposal: Some(serde_json::to_vec(&root).map_err(|error| unwritable(&what, &error))?),
        })
    }
}

/// Tells the desk what was copied and stored since it was told last.
struct Stored {
    desk: Desk,
    told: Mutex<WriteStats>,
}

impl Stored {
    fn tell(&self, step: &CopyProgress<'_>) {
        self.desk.current(step.stream.to_owned());
        self.desk.moved(step.bytes);
        let Ok(mut told) = self.told.lock() else { return };
        let new = step.stored.bytes_new.saturating_sub(told.bytes_new);
        let stored = step.stored.bytes_stored.saturating_sub(told.bytes_stored);
        if new > 0 || stored > 0 {
            self.desk.stored(new, stored);
            *told = step.stored;
        }
    }
}
