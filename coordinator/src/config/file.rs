//! The layer of the file.

use crate::yaml::{Faults, Node, Reader};

/// Keys at the top of the file, with the keys of each section; a key without a section is a setting itself.
const TOP: &[&str] = &[
    "version",
    "state_dir",
    "region",
    "worker_service",
    "control_service",
    "installation_key",
    "log",
    "worker",
    "reaper",
    "sessions",
    "prune",
    "pace",
];
const SECTIONS: &[(&str, &[&str])] = &[
    ("worker_service", &["listen", "advertise"]),
    ("control_service", &["listen", "names"]),
    ("installation_key", &["kms_key_arn"]),
    ("log", &["format", "filter"]),
    (
        "worker",
        &[
            "role_arn",
            "instance_profile",
            "instance_type",
            "image_tag",
            "patience_seconds",
            "deadline_hours",
            "attempts",
            "launch_rounds",
        ],
    ),
    ("reaper", &["interval_seconds"]),
    ("sessions", &["max_running"]),
    ("prune", &["grace_seconds"]),
    (
        "pace",
        &[
            "poll_milliseconds",
            "heartbeat_milliseconds",
            "settle_seconds",
            "boot_seconds",
            "cancel_seconds",
            "outage_seconds",
            "available_seconds",
            "capacity_seconds",
            "schedule_seconds",
        ],
    ),
];

/// Settings that the file gives, by key.
pub(super) fn read(document: &Node, faults: &Faults) -> Vec<(String, String)> {
    let mut given = Vec::new();
    let Some(top) = Reader::new(document, faults).fields(TOP) else { return given };
    if let Some(version) = top.required("version")
        && version.text().is_some_and(|text| text != "1")
    {
        version.fault("is not a version that this coordinator reads", "write version: 1");
    }
    for key in ["state_dir", "region"] {
        given.extend(top.optional(key).and_then(|value| value.text()).map(|text| (key.to_owned(), text)));
    }
    for (section, keys) in SECTIONS {
        let Some(fields) = top.optional(section).and_then(|value| value.fields(keys)) else { continue };
        for key in *keys {
            // A list stands for what a variable or a flag separates by commas.
            let text = fields.optional(key).and_then(|value| value.text_or_texts()).map(|texts| texts.join(","));
            given.extend(text.map(|text| (format!("{section}.{key}"), text)));
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::SETTINGS;

    #[test]
    fn every_setting_can_stand_in_the_file_and_nothing_else_can() {
        let sections: BTreeSet<_> = SECTIONS.iter().map(|(section, _)| *section).collect();
        let plain =
            TOP.iter().filter(|key| **key != "version" && !sections.contains(*key)).map(|key| (*key).to_owned());
        let nested = SECTIONS.iter().flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}.{key}")));
        let readable: BTreeSet<_> = plain.chain(nested).collect();
        assert_eq!(readable, SETTINGS.iter().map(|setting| setting.key.to_owned()).collect());
    }
}
