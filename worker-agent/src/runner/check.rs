//! A check: reads a point and tells everything that is wrong with it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use haulier_domain::failure::Failure;
use haulier_repository::ObjectKind;
use haulier_repository::check::{CheckProgress, CheckReport, CheckScope};

use super::backup::unwritable;
use super::work::Check;
use super::{Bench, failures};
use crate::desk::{Desk, Severity};
use crate::postgres::Stopped;
use crate::session::Report;

/// Findings that are written into the session's log one by one.
const MOST_LINES: usize = 20;

impl Bench<'_> {
    /// Checks the point. Findings are a failure: whoever asked must not take the point for good.
    pub(super) async fn check(&self, work: Check) -> Result<Report, Stopped> {
        let what = format!("checking {}", work.root.point);
        self.task.desk.phase("verify");
        let domain = self.domain(&work.place, None).await?;
        let progress = progress_to(self.task.desk.clone());
        let report = domain
            .check(CheckScope::Points(vec![work.root.point.clone()]), work.depth, progress)
            .await
            .map_err(|error| failures::repository(&what, &error))?;
        let published = domain.read_point(&work.root.point).await;
        if report.is_clean() && published.is_ok_and(|published| published != work.root) {
            return Err(damaged(&what, "the stored root is another one than the coordinator knows".to_owned()).into());
        }
        if report.is_clean() {
            let document = serde_json::to_vec(&report).map_err(|error| unwritable(&what, &error))?;
            return Ok(Report { document, ..Report::default() });
        }
        for finding in report.findings.iter().take(MOST_LINES) {
            self.task.desk.log(Severity::Error, &finding.to_string());
        }
        let mut failure = damaged(&what, cause(&report));
        if report.findings.iter().all(|finding| finding.kind == ObjectKind::Prune) {
            failure.remedy = failures::PRUNE_RECORD.to_owned();
        }
        Err(failure.into())
    }
}

fn cause(report: &CheckReport) -> String {
    let first = report.findings.first().map(ToString::to_string).unwrap_or_default();
    let more = if report.more { "more than " } else { "" };
    format!("{more}{} findings, the first: {first}", report.findings.len())
}

fn damaged(what: &str, cause: String) -> Failure {
    let remedy = "restore from another point; remove the damaged packs, if any, and back up again, which stores anew what \
                  is missing";
    Failure::new("repository-damaged", what, cause, remedy)
}

/// Turns a check's counts into progress.
fn progress_to(desk: Desk) -> impl Fn(CheckProgress) + Send + Sync + 'static {
    let (told, packs) = (AtomicU64::new(0), Mutex::new((0, 0)));
    move |now: CheckProgress| {
        let before = told.fetch_max(now.bytes, Ordering::Relaxed);
        desk.moved(now.bytes.saturating_sub(before));
        let Ok(mut packs) = packs.lock() else { return };
        if *packs != (now.packs, now.packs_total) {
            *packs = (now.packs, now.packs_total);
            desk.current(format!("pack {} of {}", now.packs, now.packs_total));
        }
    }
}
