//! The table of settings.

/// One setting: how each layer names it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Path in the file: `worker_service.listen`.
    pub key: &'static str,
    /// Environment variable.
    pub variable: &'static str,
    /// Flag, without dashes.
    pub flag: &'static str,
    /// Default; `None` where there is none.
    pub default: Option<&'static str>,
    /// Whether the coordinator cannot do without it.
    pub needed: bool,
    /// What it is, for the help text.
    pub help: &'static str,
}

const fn setting(
    key: &'static str,
    variable: &'static str,
    flag: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { key, variable, flag, default, needed: false, help }
}

const fn needed(key: &'static str, variable: &'static str, flag: &'static str, help: &'static str) -> Setting {
    Setting { key, variable, flag, default: None, needed: true, help }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    setting(
        "state_dir",
        "HAULIER_STATE_DIR",
        "state-dir",
        Some("/var/lib/haulier"),
        "Directory of the state database, the certificate authority and the operators' token",
    ),
    needed("region", "HAULIER_REGION", "region", "Region of the coordinator's own AWS calls"),
    setting(
        "worker_service.listen",
        "HAULIER_WORKER_LISTEN",
        "worker-listen",
        Some("0.0.0.0:7443"),
        "Address and port on which workers attach",
    ),
    needed(
        "worker_service.advertise",
        "HAULIER_WORKER_ADVERTISE",
        "worker-advertise",
        "URL that workers dial: https://host:port",
    ),
    setting(
        "control_service.listen",
        "HAULIER_CONTROL_LISTEN",
        "control-listen",
        Some("127.0.0.1:7444"),
        "Address and port on which operators connect",
    ),
    setting(
        "control_service.names",
        "HAULIER_CONTROL_NAMES",
        "control-names",
        Some(""),
        "Further names and addresses at which operators reach it, for its certificate; separated by commas",
    ),
    setting(
        "installation_key.kms_key_arn",
        "HAULIER_INSTALLATION_KMS_KEY",
        "installation-kms-key",
        None,
        "KMS key that wraps the installation key; without one it lies in a file of mode 0600",
    ),
    setting("log.format", "HAULIER_LOG_FORMAT", "log-format", Some("text"), "Shape of log lines: text or json"),
    setting(
        "log.filter",
        "HAULIER_LOG",
        "log",
        Some("info"),
        "What is logged: info, or haulier_coordinator=debug,info",
    ),
    setting(
        "worker.role_arn",
        "HAULIER_WORKER_ROLE_ARN",
        "worker-role-arn",
        None,
        "Role whose session-scoped credentials a worker gets, where the policy names none",
    ),
    setting(
        "worker.instance_profile",
        "HAULIER_WORKER_INSTANCE_PROFILE",
        "worker-instance-profile",
        None,
        "Instance profile of workers by name, where the policy names none; it needs no permissions",
    ),
    setting(
        "worker.instance_type",
        "HAULIER_WORKER_INSTANCE_TYPE",
        "worker-instance-type",
        Some("m7i.large,m6i.large"),
        "EC2 instance types of workers in order of preference, where the policy names none; separated by commas",
    ),
    setting(
        "worker.image_tag",
        "HAULIER_WORKER_IMAGE_TAG",
        "worker-image-tag",
        Some("haulier:component=worker"),
        "Tag of the worker's image as key=value; the newest image with it is taken",
    ),
    setting(
        "worker.patience_seconds",
        "HAULIER_WORKER_PATIENCE_SECONDS",
        "worker-patience-seconds",
        Some("300"),
        "Seconds a worker goes on without its coordinator before it powers off",
    ),
    setting(
        "worker.deadline_hours",
        "HAULIER_WORKER_DEADLINE_HOURS",
        "worker-deadline-hours",
        Some("24"),
        "Hours after which a worker powers off, whatever happens",
    ),
    setting(
        "worker.attempts",
        "HAULIER_WORKER_ATTEMPTS",
        "worker-attempts",
        Some("3"),
        "Workers that one session may use up before it fails",
    ),
    setting(
        "worker.launch_rounds",
        "HAULIER_WORKER_LAUNCH_ROUNDS",
        "worker-launch-rounds",
        Some("5"),
        "Rounds through all instance types and subnets, where EC2 has no room for a worker, before the session fails",
    ),
    setting(
        "reaper.interval_seconds",
        "HAULIER_REAPER_INTERVAL_SECONDS",
        "reaper-interval-seconds",
        Some("300"),
        "Seconds between two looks for cloud resources that no live session owns",
    ),
    setting(
        "sessions.max_running",
        "HAULIER_MAX_SESSIONS",
        "max-sessions",
        Some("50"),
        "Sessions that run at once in the whole installation",
    ),
    setting(
        "prune.grace_seconds",
        "HAULIER_PRUNE_GRACE_SECONDS",
        "prune-grace-seconds",
        Some("604800"),
        "Seconds that something in a repository is marked before a prune deletes it",
    ),
    setting(
        "pace.poll_milliseconds",
        "HAULIER_PACE_POLL_MILLISECONDS",
        "pace-poll-milliseconds",
        Some("5000"),
        "Milliseconds between two looks at AWS in one account and Region, while somebody waits",
    ),
    setting(
        "pace.heartbeat_milliseconds",
        "HAULIER_PACE_HEARTBEAT_MILLISECONDS",
        "pace-heartbeat-milliseconds",
        Some("5000"),
        "Milliseconds between heartbeats of a worker",
    ),
    setting(
        "pace.settle_seconds",
        "HAULIER_PACE_SETTLE_SECONDS",
        "pace-settle-seconds",
        Some("60"),
        "Seconds that AWS's listings may lag behind: nothing is taken for absent sooner",
    ),
    setting(
        "pace.boot_seconds",
        "HAULIER_PACE_BOOT_SECONDS",
        "pace-boot-seconds",
        Some("600"),
        "Seconds a launched worker may take to attach",
    ),
    setting(
        "pace.cancel_seconds",
        "HAULIER_PACE_CANCEL_SECONDS",
        "pace-cancel-seconds",
        Some("20"),
        "Seconds a worker may take to stop after a cancel",
    ),
    setting(
        "pace.outage_seconds",
        "HAULIER_PACE_OUTAGE_SECONDS",
        "pace-outage-seconds",
        Some("3600"),
        "Seconds a step goes on through an outage of AWS before its session fails",
    ),
    setting(
        "pace.available_seconds",
        "HAULIER_PACE_AVAILABLE_SECONDS",
        "pace-available-seconds",
        Some("3600"),
        "Seconds an instance may take to become available",
    ),
    setting(
        "pace.capacity_seconds",
        "HAULIER_PACE_CAPACITY_SECONDS",
        "pace-capacity-seconds",
        Some("60"),
        "Seconds before the second round of launches where EC2 has no room for a worker; each later pause is twice as long",
    ),
    setting(
        "pace.schedule_seconds",
        "HAULIER_PACE_SCHEDULE_SECONDS",
        "pace-schedule-seconds",
        Some("10"),
        "Seconds between two looks at the schedules",
    ),
];
