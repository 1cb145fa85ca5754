//! A prune: deletes what no restore point of a domain needs.

use haulier_repository::prune::{PruneOptions, PrunePhase, PruneReport};
use jiff::Timestamp;

use super::backup::unwritable;
use super::work::Prune;
use super::{Bench, failures};
use crate::desk::Severity;
use crate::postgres::Stopped;
use crate::session::Report;

impl Bench<'_> {
    /// Prunes the domain. It may be cut off anywhere; the next prune goes on.
    pub(super) async fn prune(&self, work: Prune) -> Result<Report, Stopped> {
        let what = format!("pruning domain {}", work.place.domain_id);
        let desk = self.task.desk.clone();
        desk.phase("prune");
        let domain = self.domain(&work.place, None).await?;
        let Prune { grace, oldest_session, dry_run, .. } = work;
        let options = PruneOptions { now: Timestamp::now(), grace, oldest_session, dry_run };
        let progress = desk.clone();
        let pruned = domain.prune(&options, move |phase, done, total| progress.current(told(phase, done, total))).await;
        let report = pruned.map_err(|error| failures::repository(&what, &error))?;
        desk.log(Severity::Info, &summary(&report));
        let document = serde_json::to_vec(&report).map_err(|error| unwritable(&what, &error))?;
        let missing = (report.chunks_missing > 0).then(|| {
            let chunks = report.chunks_missing;
            format!("restore points need {chunks} chunks that are not stored: check the points of this domain")
        });
        Ok(Report { document, warnings: missing.into_iter().collect(), ..Report::default() })
    }
}

fn told(phase: PrunePhase, done: u64, total: u64) -> String {
    let phase = match phase {
        PrunePhase::Index => "index object",
        PrunePhase::Points => "restore point",
        PrunePhase::Repack => "pack to copy from",
        PrunePhase::Delete => "object to delete",
    };
    format!("{phase} {done} of {total}")
}

fn summary(report: &PruneReport) -> String {
    let figures = &report.figures;
    let (now, later) = (figures.freed_now, figures.freed_later);
    let (freed, marked) = if report.dry_run { ("would free", "would be freed") } else { ("freed", "will be freed") };
    let mut text = format!(
        "{freed} {} bytes in {} objects; {} bytes in {} objects {marked} later; {} bytes copied out of {} packs",
        now.bytes, now.objects, later.bytes, later.objects, figures.repacked_bytes, figures.repacked.objects
    );
    if let Some(until) = figures.locked_until {
        let locked = figures.locked;
        text += &format!("; {} bytes of what is freed later are locked, the last of them until {until}", locked.bytes);
    }
    text
}
