//! Sessions.

use haulier_domain::failure::Failure;
use haulier_proto::common::v1 as common;
use haulier_proto::control::v1::{EngineTask, Session, SessionKind, SessionState};
use jiff::Timestamp;
use serde::Serialize;

use super::{TargetView, filled, time};
use crate::exit::Exit;
use crate::output::{Row, bytes, clock, moment};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SessionView {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) state: &'static str,
    pub(crate) policy: Option<String>,
    pub(crate) resource: String,
    pub(crate) step: Option<String>,
    pub(crate) epoch: u64,
    pub(crate) progress: Option<ProgressView>,
    pub(crate) failure: Option<Failure>,
    pub(crate) warnings: Vec<String>,
    pub(crate) point_id: Option<String>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) cancel_requested: bool,
    pub(crate) report: Option<serde_json::Value>,
    pub(crate) databases: Vec<TargetView>,
    pub(crate) temporary_place: Option<String>,
    pub(crate) tasks: Vec<TaskView>,
}

/// A task of RDS's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TaskView {
    pub(crate) task_id: String,
    pub(crate) kind: String,
    pub(crate) database: String,
    pub(crate) object_arn: String,
    pub(crate) lifecycle: Option<String>,
    pub(crate) task_info: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ProgressView {
    pub(crate) phase: String,
    pub(crate) current: Option<String>,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_new: u64,
    pub(crate) bytes_stored: u64,
    pub(crate) bytes_total: Option<u64>,
    pub(crate) rate: u64,
    pub(crate) eta_seconds: Option<u64>,
    pub(crate) at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LogView {
    pub(crate) at: Option<Timestamp>,
    pub(crate) severity: &'static str,
    pub(crate) text: String,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self {
            kind: kind(session.kind()),
            state: state(session.state()),
            created_at: time(session.created_at.as_ref()),
            started_at: time(session.started_at.as_ref()),
            ended_at: time(session.ended_at.as_ref()),
            id: session.id,
            policy: filled(session.policy),
            resource: session.resource,
            step: filled(session.step),
            epoch: session.epoch,
            progress: session.progress.map(ProgressView::from),
            failure: session.failure.map(Failure::from),
            warnings: session.warnings,
            point_id: filled(session.point_id),
            cancel_requested: session.cancel_requested,
            report: serde_json::from_slice(&session.report).ok(),
            databases: session.databases.into_iter().map(TargetView::from).collect(),
            temporary_place: filled(session.temporary_place),
            tasks: session.tasks.into_iter().map(TaskView::from).collect(),
        }
    }
}

impl From<EngineTask> for TaskView {
    fn from(task: EngineTask) -> Self {
        Self {
            task_id: task.task_id,
            kind: task.kind,
            database: task.database,
            object_arn: task.object_arn,
            lifecycle: filled(task.lifecycle),
            task_info: filled(task.task_info),
        }
    }
}

impl TaskView {
    /// The task in one line, and behind it what RDS has said of it.
    fn record(&self) -> Vec<(&'static str, String)> {
        let lifecycle = self.lifecycle.as_deref().unwrap_or("submitted");
        let line = format!("{} {} of {}: {lifecycle}, {}", self.task_id, self.kind, self.database, self.object_arn);
        let info = self.task_info.iter().map(|info| ("task info", info.clone()));
        [("task", line)].into_iter().chain(info).collect()
    }
}

impl From<common::Progress> for ProgressView {
    fn from(progress: common::Progress) -> Self {
        Self {
            at: time(progress.at.as_ref()),
            phase: progress.phase,
            current: filled(progress.current),
            bytes_read: progress.bytes_read,
            bytes_new: progress.bytes_new,
            bytes_stored: progress.bytes_stored,
            bytes_total: (progress.bytes_total > 0).then_some(progress.bytes_total),
            rate: progress.rate,
            eta_seconds: progress.eta_seconds,
        }
    }
}

impl From<common::LogLine> for LogView {
    fn from(line: common::LogLine) -> Self {
        let severity = match line.severity() {
            common::Severity::Unspecified | common::Severity::Info => "info",
            common::Severity::Warning => "warning",
            common::Severity::Error => "error",
        };
        Self { at: time(line.at.as_ref()), severity, text: line.text }
    }
}

fn kind(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Unspecified => "unknown",
        SessionKind::Backup => "backup",
        SessionKind::DatabaseRestore => "database-restore",
        SessionKind::Verify => "verify",
        SessionKind::Maintenance => "maintenance",
        SessionKind::Replicate => "replicate",
    }
}

fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::Unspecified => "unknown",
        SessionState::Queued => "queued",
        SessionState::Running => "running",
        SessionState::TearingDown => "tearing-down",
        SessionState::Succeeded => "succeeded",
        SessionState::Warning => "warning",
        SessionState::Failed => "failed",
        SessionState::Cancelled => "cancelled",
    }
}

impl SessionView {
    /// Exit code of a command that waited for the session; `None` while it has not ended.
    pub(crate) fn exit(&self) -> Option<Exit> {
        match self.state {
            "succeeded" | "warning" => Some(Exit::Success),
            "failed" => Some(Exit::SessionFailed),
            "cancelled" => Some(Exit::SessionCancelled),
            _ => None,
        }
    }

    /// Where it stands, in few words.
    pub(crate) fn standing(&self) -> String {
        let cancel = if self.cancel_requested && self.exit().is_none() { ", to be cancelled" } else { "" };
        match &self.step {
            Some(step) => format!("{}: {step}{cancel}", self.state),
            None => format!("{}{cancel}", self.state),
        }
    }

    fn duration(&self) -> String {
        match (self.started_at, self.ended_at) {
            (Some(start), Some(end)) => clock(u64::try_from(end.duration_since(start).as_secs()).unwrap_or_default()),
            _ => String::new(),
        }
    }

    /// The session as names and values.
    pub(crate) fn record(&self) -> Vec<(&'static str, String)> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut fields = vec![
            ("session", self.id.clone()),
            ("kind", self.kind.to_owned()),
            ("state", self.standing()),
            ("policy", text(&self.policy)),
            ("resource", self.resource.clone()),
            ("point", text(&self.point_id)),
            ("created", moment(self.created_at)),
            ("started", moment(self.started_at)),
            ("ended", moment(self.ended_at)),
            ("took", self.duration()),
            ("epoch", self.epoch.to_string()),
        ];
        fields.extend(self.databases.iter().map(|database| ("database", database.line())));
        fields.extend(self.temporary_place.iter().map(|place| ("temporary", format!("s3://{place}"))));
        fields.extend(self.tasks.iter().flat_map(TaskView::record));
        if let Some(progress) = &self.progress {
            fields.push(("progress", progress.line()));
        }
        if self.kind == "maintenance"
            && let Some(report) = &self.report
        {
            fields.extend(super::prune::figures(report));
        }
        if let Some(failure) = &self.failure {
            // What was cancelled did not fail, and may have left something.
            let what = if self.exit() == Some(Exit::SessionCancelled) { "left" } else { "failed" };
            fields.push((what, failure.what.clone()));
            fields.push(("cause", failure.cause.clone()));
            fields.push(("remedy", failure.remedy.clone()));
            fields.push(("code", failure.code.clone()));
        }
        fields.extend(self.warnings.iter().map(|warning| ("warning", warning.clone())));
        fields
    }
}

impl ProgressView {
    /// Share that is done, 0 to 100, where the whole is known.
    pub(crate) fn percent(&self) -> Option<u64> {
        let total = self.bytes_total?;
        Some((u128::from(self.bytes_read.min(total)) * 100 / u128::from(total)) as u64)
    }

    /// Whether there is anything to count: making indexes reads nothing.
    fn has_figures(&self) -> bool {
        self.bytes_read > 0 || self.bytes_total.is_some()
    }

    /// The figures beside a bar, the most telling first: a terminal cuts what is too long.
    pub(crate) fn brief(&self) -> String {
        let mut line = self.phase.clone();
        if let Some(percent) = self.percent() {
            line += &format!(" {percent}%");
        }
        if self.has_figures() {
            line += &format!(" {}", bytes(self.bytes_read));
        }
        if self.rate > 0 {
            line += &format!(", {}/s", bytes(self.rate));
        }
        if let Some(eta) = self.eta_seconds {
            line += &format!(", {} to go", clock(eta));
        }
        if let Some(current) = &self.current {
            line += &format!(": {current}");
        }
        line
    }

    /// The figures on one line.
    pub(crate) fn line(&self) -> String {
        let mut line = self.phase.clone();
        if let Some(percent) = self.percent() {
            line += &format!(" {percent}%");
        }
        if self.has_figures() {
            line += &format!(" {} read", bytes(self.bytes_read));
        }
        // A restore and a check store nothing.
        if self.bytes_new > 0 || self.bytes_stored > 0 {
            line += &format!(", {} new, {} stored", bytes(self.bytes_new), bytes(self.bytes_stored));
        }
        if self.rate > 0 {
            line += &format!(", {}/s", bytes(self.rate));
        }
        if let Some(eta) = self.eta_seconds {
            line += &format!(", {} to go", clock(eta));
        }
        if let Some(current) = &self.current {
            line += &format!(" ({current})");
        }
        line
    }
}

/// A session that was waited for: what came of it.
#[derive(Debug)]
pub(crate) struct EndView<'s>(pub(crate) &'s SessionView);

impl Row for EndView<'_> {
    const HEAD: &'static [&'static str] = &["SESSION", "RESOURCE", "STATE", "RESTORE POINT", ">TOOK"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.0.id.clone(),
            self.0.resource.clone(),
            self.0.standing(),
            self.0.point_id.clone().unwrap_or_default(),
            self.0.duration(),
        ]
    }
}

impl Row for SessionView {
    const HEAD: &'static [&'static str] = &["ID", "KIND", "RESOURCE", "POLICY", "STATE", "CREATED", ">TOOK"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.kind.to_owned(),
            self.resource.clone(),
            self.policy.clone().unwrap_or_default(),
            self.standing(),
            moment(self.created_at),
            self.duration(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_a_bar_the_most_telling_comes_first() {
        let progress = ProgressView::from(common::Progress {
            phase: "data".to_owned(),
            current: "shop: public.orders, and 2 more".to_owned(),
            bytes_read: 100 << 20,
            bytes_new: 1 << 20,
            bytes_stored: 1 << 19,
            bytes_total: 400 << 20,
            rate: 10 << 20,
            eta_seconds: Some(30),
            at: None,
        });
        let want = "data 25% 100.0 MiB, 10.0 MiB/s, 0:30 to go: shop: public.orders, and 2 more";
        assert_eq!(progress.brief(), want);
    }

    #[test]
    fn a_phase_without_figures_shows_none() {
        let indexes =
            common::Progress { phase: "indexes".to_owned(), current: "copy".to_owned(), ..Default::default() };
        let indexes = ProgressView::from(indexes);
        assert_eq!((indexes.line().as_str(), indexes.brief().as_str()), ("indexes (copy)", "indexes: copy"));
    }
}
