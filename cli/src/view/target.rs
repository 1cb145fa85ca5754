//! A database of a restore and what becomes of it.

use haulier_proto::control::v1::DatabaseTarget;
use haulier_proto::worker::v1::OnClash;
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TargetView {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) on_clash: &'static str,
    pub(crate) restored: bool,
}

impl From<DatabaseTarget> for TargetView {
    fn from(target: DatabaseTarget) -> Self {
        let on_clash = match target.on_clash() {
            OnClash::Unspecified | OnClash::Refuse => "refuse",
            OnClash::Suffix => "suffix",
            OnClash::Replace => "replace",
        };
        Self { source: target.source, target: target.target, on_clash, restored: target.restored }
    }
}

impl TargetView {
    /// From which database to which: `shop -> shop_restored_1 (restored)`.
    pub(crate) fn line(&self) -> String {
        let what_if = match self.on_clash {
            _ if self.restored => " (restored)",
            "suffix" => " (or the next free name)",
            "replace" => " (replacing the one that is there)",
            _ => "",
        };
        format!("{} -> {}{what_if}", self.source, self.target)
    }
}
