//! Log backups of the instance. Moments are seconds after two o'clock, counted with the numbers of backups. An image is a line of
//! JSON: which records it has, and what was in the database when.

use bytes::Bytes;
use haulier_cloud::object_store::{ObjectStore as _, UserMetadata};
use haulier_domain::sqlserver::log_chain::LogBackup;
use haulier_worker_agent::sqlserver::{CallError, TaskRequest};
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::carrying::BUCKET;
use super::{Fault, Instance, World, sealing};

/// Seconds since the epoch at which numbers begin: 02:00 UTC, 03:00 on the server's clock.
const BEGIN: i64 = 1_795_140_000;
/// Seconds that the server's clock is ahead.
const AHEAD: i64 = 3600;

/// What a log backup says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Image {
    first: u32,
    last: u32,
    /// What was in the database from the moment of that number on.
    changes: Vec<(u32, String)>,
}

/// Log backups of all databases.
#[derive(Debug, Default)]
pub(super) struct Logs {
    pub(super) target: Option<String>,
    taken: Vec<(String, u32, Image)>,
    /// What has come since the last one.
    changes: Vec<(String, u32, String)>,
    broken: bool,
}

fn moment(number: u32) -> Timestamp {
    Timestamp::from_second(BEGIN + i64::from(number)).unwrap()
}

impl Logs {
    pub(super) fn of(&self, database: &str) -> Vec<LogBackup> {
        let listed = |(_, number, image): &(String, u32, Image)| LogBackup {
            family: format!("5.{database}"),
            sequence: u64::from(*number),
            at: moment(*number),
            first_lsn: image.first.to_string().parse().unwrap(),
            last_lsn: image.last.to_string().parse().unwrap(),
            is_chain_broken: false,
            bytes: 1,
        };
        self.taken.iter().filter(|(name, ..)| name == database).map(listed).collect()
    }
}

impl World {
    pub(super) fn set_log_target(&mut self, arn: &str) -> Result<(), CallError> {
        let refused = |text: &str| Err(CallError::Refused { number: 50_000, text: text.to_owned() });
        let is_kept = match self.faults.first().cloned() {
            Some(Fault::Pending(times)) => {
                self.again(times, Fault::Pending);
                true
            }
            Some(Fault::StumbleMoving(number)) => {
                self.faults.remove(0);
                return Err(CallError::Refused { number, text: "not now".into() });
            }
            fault => fault == Some(Fault::KeepTarget) && !arn.starts_with(BUCKET),
        };
        if is_kept || self.runs.iter().any(|run| !run.task.lifecycle.has_ended()) {
            return refused(
                "You cannot run the rds_tlog_copy_setup stored procedure while there are pending tasks. Wait for the pending tasks \
                 to complete and try again.",
            );
        }
        if self.logs.target.as_deref() == Some(arn) {
            return refused("The target S3 ARN is already set to the provided value.");
        }
        self.calls.push(format!("log target {arn}"));
        self.logs.target = Some(arn.to_owned());
        if self.faults.first() == Some(&Fault::LoseAnswer) {
            self.faults.remove(0);
            return Err(CallError::Lost("reset by peer".into()));
        }
        Ok(())
    }
}

impl Instance {
    /// Somebody has it copy log backups there.
    pub(crate) fn copies_logs_to(&self, arn: &str) {
        self.world.lock().unwrap().logs.target = Some(arn.to_owned());
    }

    pub(crate) fn log_target(&self) -> Option<String> {
        self.world.lock().unwrap().logs.target.clone()
    }

    /// What is in a database changes. Gives the moment from which on it is so.
    pub(crate) fn change(&self, name: &str, content: &str) -> Timestamp {
        let mut world = self.world.lock().unwrap();
        world.backups += 1;
        let number = world.backups;
        world.databases.get_mut(name).unwrap().content = content.to_owned();
        world.logs.changes.push((name.to_owned(), number, content.to_owned()));
        moment(number)
    }

    /// Takes a log backup of every database. Gives its moment.
    pub(crate) fn back_up_logs(&self) -> Timestamp {
        let mut world = self.world.lock().unwrap();
        world.backups += 1;
        let number = world.backups;
        let names: Vec<_> = world.databases.keys().cloned().collect();
        for name in names {
            let before = world.logs.taken.iter().rfind(|(of, ..)| *of == name).map(|(.., image)| image.last);
            let gap = u32::from(std::mem::take(&mut world.logs.broken));
            let (own, others) = std::mem::take(&mut world.logs.changes).into_iter().partition(|(of, ..)| *of == name);
            world.logs.changes = others;
            let own: Vec<(String, u32, String)> = own;
            let changes = own.into_iter().map(|(_, at, content)| (at, content)).collect();
            let image = Image { first: before.map_or(0, |before| before + gap), last: number * 100 + 50, changes };
            world.logs.taken.push((name, number, image));
        }
        moment(number)
    }

    /// The server loses the history of a database's backups.
    pub(crate) fn forget(&self, name: &str) {
        self.world.lock().unwrap().history.retain(|(of, _)| of != name);
    }

    /// Records are missing before the next log backup of the first database.
    pub(crate) fn break_log(&self) {
        self.world.lock().unwrap().logs.broken = true;
    }

    /// Encrypted storage has its log copied with a key, and other storage without.
    pub(super) fn check_key(&self, request: &TaskRequest) -> Result<(), CallError> {
        let TaskRequest::CopyLogs { kms_key_arn, .. } = request else { return Ok(()) };
        let text = match (self.encrypted, kms_key_arn) {
            (true, None) => {
                "You must provide a KMS Key ARN as input parameter to the stored procedure for storage encrypted instances."
            }
            (false, Some(_)) => {
                "You cannot provide a KMS Key ARN as input parameter to the stored procedure for instances that are not \
                 storage-encrypted."
            }
            _ => return Ok(()),
        };
        Err(CallError::Refused { number: 50_000, text: text.to_owned() })
    }

    pub(super) async fn copy_logs(&self, request: &TaskRequest, fault: Option<&Fault>) -> Result<(), String> {
        let TaskRequest::CopyLogs { database, first, last, kms_key_arn, .. } = request else {
            unreachable!("{request:?}")
        };
        let (target, copied) = {
            let world = self.world.lock().unwrap();
            let within = |(of, number, _): &&(String, u32, Image)| {
                of == database && (*first..=*last).contains(&u64::from(*number))
            };
            let copied: Vec<_> = world.logs.taken.iter().filter(within).cloned().collect();
            (world.logs.target.clone().ok_or("there is no target")?, copied)
        };
        let folder = target.strip_prefix(BUCKET).ok_or("Access Denied")?;
        for (place, (_, number, image)) in copied.into_iter().enumerate() {
            let at = BEGIN + i64::from(number);
            let key = format!("{folder}/5.{database}/5.{database}.{number}.{at}");
            let line = serde_json::to_vec(&image).unwrap();
            let (body, mut metadata) = match kms_key_arn.as_deref().filter(|_| fault != Some(&Fault::CopyPlain)) {
                Some(arn) => sealing::seal(&line, arn, number, 1),
                None => (line, UserMetadata::new()),
            };
            if fault == Some(&Fault::LoseDataKeyOfLog) && place == 0 {
                metadata.clear();
            }
            let _ = self.store.delete(&key).await;
            self.store.put_new_with(&key, Bytes::from(body), &metadata).await.unwrap();
        }
        Ok(())
    }

    pub(super) async fn restore_log(&self, request: &TaskRequest) -> Result<(), String> {
        let TaskRequest::Restore { database, object_arn, more_follows, kms_key_arn, stop_at, options, .. } = request
        else {
            unreachable!("{request:?}")
        };
        let key = object_arn.strip_prefix(BUCKET).unwrap();
        let mut bytes = self.store.get(key).await.unwrap().to_vec();
        if let Some(arn) = kms_key_arn {
            bytes = sealing::open(&bytes, arn, &self.store.metadata(key).await.unwrap().unwrap())?;
        }
        let image: Image =
            serde_json::from_slice(&bytes).map_err(|_| "The media family on device 'x' is incorrectly formed.")?;
        let mut world = self.world.lock().unwrap();
        let there = world.databases.get_mut(database).filter(|it| it.restoring).ok_or("it is not restoring")?;
        if image.first > there.end {
            return Err(
                "The log in this backup set begins at LSN 1, which is too recent to apply to the database.".into()
            );
        }
        if image.last <= there.end {
            return Err(
                "The log in this backup set terminates at LSN 1, which is too early to apply to the database.".into()
            );
        }
        let stop = |at: &DateTime| at.in_tz("UTC").unwrap().timestamp().as_second() - AHEAD - BEGIN;
        let stop_at = stop_at.as_ref().map(stop);
        let applied = image.changes.iter().rfind(|(at, _)| stop_at.is_none_or(|stop_at| i64::from(*at) <= stop_at));
        if let Some((_, content)) = applied {
            there.content.clone_from(content);
        }
        there.end = image.last;
        there.restoring = *more_follows;
        there.keeps_cdc = options.keep_cdc;
        Ok(())
    }
}
