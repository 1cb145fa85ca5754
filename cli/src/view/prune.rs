//! The figures of a prune, out of its session's report.

use serde_json::Value;

use crate::output::bytes;

/// What was done, or would be, as names and values.
pub(super) fn figures(report: &Value) -> Vec<(&'static str, String)> {
    let figures = &report["figures"];
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let amount = |value: &Value| format!("{} in {} objects", bytes(number(&value["bytes"])), number(&value["objects"]));
    let mut lines = vec![
        ("dry run", if report["dry_run"] == true { "yes: nothing was changed" } else { "no" }.to_owned()),
        ("restore points", number(&report["points"]).to_string()),
        ("stored", amount(&figures["stored"])),
        ("needed", bytes(number(&figures["live_bytes"]))),
        ("freed now", amount(&figures["freed_now"])),
        ("freed later", amount(&figures["freed_later"])),
        (
            "copied",
            format!(
                "{} out of {} packs",
                bytes(number(&figures["repacked_bytes"])),
                number(&figures["repacked"]["objects"])
            ),
        ),
    ];
    if let Some(until) = figures["locked_until"].as_str() {
        lines.push(("locked", format!("{} of that, until {until} at the latest", amount(&figures["locked"]))));
    }
    if let Some(due) = figures["next_due"].as_str() {
        lines.push(("next due", due.to_owned()));
    }
    lines
}
