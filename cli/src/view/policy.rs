//! Policies, and what is wrong with them.

use haulier_proto::control::v1::{Fault, Policy};
use jiff::Timestamp;
use serde::Serialize;

use super::time;
use crate::output::{Row, moment};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PolicyView {
    pub(crate) name: String,
    pub(crate) repository: String,
    pub(crate) schedule: String,
    pub(crate) next_run: Option<Timestamp>,
    pub(crate) applied_at: Option<Timestamp>,
    pub(crate) document: String,
}

impl From<Policy> for PolicyView {
    fn from(policy: Policy) -> Self {
        Self {
            next_run: time(policy.next_run.as_ref()),
            applied_at: time(policy.applied_at.as_ref()),
            name: policy.name,
            repository: policy.repository,
            schedule: policy.schedule,
            document: policy.document,
        }
    }
}

impl Row for PolicyView {
    const HEAD: &'static [&'static str] = &["NAME", "REPOSITORY", "SCHEDULE", "NEXT RUN", "APPLIED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.repository.clone(),
            self.schedule.clone(),
            moment(self.next_run),
            moment(self.applied_at),
        ]
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct FaultView {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) field: String,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl From<Fault> for FaultView {
    fn from(fault: Fault) -> Self {
        let Fault { line, column, field, message, remedy } = fault;
        Self { line, column, field, message, remedy }
    }
}

impl FaultView {
    /// The fault as compilers write theirs, with the remedy below.
    pub(crate) fn lines(&self, file: &str) -> String {
        let place = if self.line > 0 { format!(":{}:{}", self.line, self.column) } else { String::new() };
        let field = if self.field.is_empty() { String::new() } else { format!("{}: ", self.field) };
        format!("{file}{place}: {field}{}\n  remedy: {}", self.message, self.remedy)
    }
}
