//! Turns the winning texts into typed settings, and names every one that does not fit.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use haulier_domain::policy::{Arn, Fault, is_instance_type, is_region};
use tracing_subscriber::EnvFilter;

use super::settings::SETTINGS;
use super::{Config, Log, LogFormat, Pace, WorkerSettings};

/// The winning texts by key, and the faults found in them.
#[derive(Debug)]
pub(super) struct Values {
    texts: BTreeMap<&'static str, String>,
    faults: Vec<Fault>,
}

impl Values {
    pub(super) fn new(texts: BTreeMap<&'static str, String>) -> Self {
        Self { texts, faults: Vec::new() }
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// The settings; `None` where a value is missing or does not fit. Every value is looked at in any case.
    pub(super) fn config(&mut self) -> Option<Config> {
        for setting in SETTINGS.iter().filter(|setting| setting.needed) {
            if !self.texts.contains_key(setting.key) {
                let remedy = format!("set {} in the file, {}, or --{}", setting.key, setting.variable, setting.flag);
                self.faults.push(Fault::new(setting.key, "is missing", remedy));
            }
        }
        let state_dir = self.read("state_dir", "write a path", |text| (!text.is_empty()).then(|| PathBuf::from(text)));
        let region =
            self.read("region", "write it as in eu-central-1", |text| is_region(text).then(|| text.to_owned()));
        let worker_listen = self.read("worker_service.listen", ADDRESS, |text| text.parse::<SocketAddr>().ok());
        let worker_advertise = self.read(
            "worker_service.advertise",
            "write https://host:port; port 0 stands for the one it listens on",
            advertised,
        );
        let control_listen = self.read("control_service.listen", ADDRESS, |text| text.parse::<SocketAddr>().ok());
        let control_names = self.read("control_service.names", "list host names and IP addresses", host_names);
        let installation_kms_key =
            self.optional("installation_key.kms_key_arn", "write arn:aws:kms:<region>:<account>:key/<id>", |text| {
                text.parse::<Arn>().is_ok_and(|arn| arn.service == "kms" && !arn.region.is_empty())
            });
        let log = self.log();
        let worker = self.worker();
        let reaper_interval = self.seconds("reaper.interval_seconds", 10, 86_400);
        let max_sessions = self.number("sessions.max_running", 1, 10_000);
        let prune_grace = self.seconds("prune.grace_seconds", 0, 31_536_000);
        let pace = self.pace();
        Some(Config {
            state_dir: state_dir?,
            region: region?,
            worker_listen: worker_listen?,
            worker_advertise: worker_advertise?,
            control_listen: control_listen?,
            control_names: control_names?,
            installation_kms_key: installation_kms_key?,
            log: log?,
            worker: worker?,
            reaper_interval: reaper_interval?,
            max_sessions: u32::try_from(max_sessions?).ok()?,
            prune_grace: prune_grace?,
            pace: pace?,
        })
    }

    fn pace(&mut self) -> Option<Pace> {
        let poll = self.milliseconds("pace.poll_milliseconds", 50, 60_000);
        let heartbeat = self.milliseconds("pace.heartbeat_milliseconds", 100, 60_000);
        let settle = self.seconds("pace.settle_seconds", 0, 3600);
        let boot = self.seconds("pace.boot_seconds", 10, 86_400);
        let cancel = self.seconds("pace.cancel_seconds", 1, 3600);
        let outage = self.seconds("pace.outage_seconds", 0, 604_800);
        let available = self.seconds("pace.available_seconds", 1, 604_800);
        let capacity = self.seconds("pace.capacity_seconds", 1, 3600);
        let schedule = self.seconds("pace.schedule_seconds", 1, 3600);
        Some(Pace {
            poll: poll?,
            heartbeat: heartbeat?,
            settle: settle?,
            boot: boot?,
            cancel: cancel?,
            outage: outage?,
            available: available?,
            capacity: capacity?,
            schedule: schedule?,
        })
    }

    fn log(&mut self) -> Option<Log> {
        let format = self.read("log.format", "write text or json", |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        let filter = self.read("log.filter", "write a level such as info, or target=level pairs", |text| {
            EnvFilter::try_new(text).ok().map(|_| text.to_owned())
        });
        Some(Log { format: format?, filter: filter? })
    }

    fn worker(&mut self) -> Option<WorkerSettings> {
        let role_arn = self.optional("worker.role_arn", "write arn:aws:iam::<account>:role/<name>", |text| {
            text.parse::<Arn>().is_ok_and(|arn| arn.is_role())
        });
        let instance_profile = self.optional("worker.instance_profile", "write its name, not its ARN", |text| {
            !text.is_empty() && !text.contains([':', '/', ' '])
        });
        let instance_types = self.read("worker.instance_type", "write them as in m7i.large", instance_types);
        let image_tag = self.read("worker.image_tag", "write key=value", |text| {
            let (key, value) = text.split_once('=')?;
            (!key.is_empty() && !value.is_empty()).then(|| (key.to_owned(), value.to_owned()))
        });
        let patience = self.seconds("worker.patience_seconds", 30, 86_400);
        let deadline = self.number("worker.deadline_hours", 1, 720);
        let attempts = self.number("worker.attempts", 1, 100);
        let launch_rounds = self.number("worker.launch_rounds", 1, 100);
        Some(WorkerSettings {
            role_arn: role_arn?,
            instance_profile: instance_profile?,
            instance_types: instance_types?,
            image_tag: image_tag?,
            patience: patience?,
            deadline: Duration::from_secs(deadline? * 3600),
            attempts: attempts?,
            launch_rounds: launch_rounds?,
        })
    }

    fn read<T>(&mut self, key: &'static str, remedy: &str, fits: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.texts.get(key)?;
        let value = fits(text);
        if value.is_none() {
            self.faults.push(Fault::new(key, format!("{text:?} does not fit"), remedy));
        }
        value
    }

    fn optional(&mut self, key: &'static str, remedy: &str, fits: impl Fn(&str) -> bool) -> Option<Option<String>> {
        if !self.texts.contains_key(key) {
            return Some(None);
        }
        self.read(key, remedy, |text| fits(text).then(|| Some(text.to_owned())))
    }

    fn number(&mut self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        self.read(key, &format!("write a whole number from {least} to {most}"), |text| {
            text.parse().ok().filter(|number| (least..=most).contains(number))
        })
    }

    fn seconds(&mut self, key: &'static str, least: u64, most: u64) -> Option<Duration> {
        self.number(key, least, most).map(Duration::from_secs)
    }

    fn milliseconds(&mut self, key: &'static str, least: u64, most: u64) -> Option<Duration> {
        self.number(key, least, most).map(Duration::from_millis)
    }
}

const ADDRESS: &str = "write an IP address and a port: 127.0.0.1:7444";

fn advertised(text: &str) -> Option<String> {
    let authority = text.strip_prefix("https://")?.trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':')?;
    let fits = !host.is_empty() && !host.contains(['/', '@', '?', '#']) && port.parse::<u16>().is_ok();
    fits.then(|| format!("https://{authority}"))
}

fn instance_types(text: &str) -> Option<Vec<String>> {
    let types: Vec<String> = text.split(',').map(|kind| kind.trim().to_owned()).collect();
    types.iter().all(|kind| is_instance_type(kind)).then_some(types)
}

fn host_names(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-:*".contains(&byte);
    names.iter().all(|name| name.bytes().all(fits)).then_some(names)
}
