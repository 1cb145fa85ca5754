//! What RDS does for a task.
//!
//! A native backup is one line of JSON, padded to the length of an image: which database, of which moment, on which base.

use bytes::Bytes;
use haulier_cloud::object_store::{ObjectStore as _, UserMetadata};
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::options::Volume;
use haulier_domain::sqlserver::task::{Lifecycle, TaskId};
use haulier_worker_agent::sqlserver::TaskRequest;
use serde::{Deserialize, Serialize};

use super::{Database, Fault, Instance, sealing};

/// Looks that a task takes.
const STEPS: u32 = 3;
/// The bucket that ARNs name.
pub(super) const BUCKET: &str = "arn:aws:s3:::temp/";

/// What a native backup says.
#[derive(Debug, Serialize, Deserialize)]
struct Image {
    content: String,
    number: u32,
    base: Option<u32>,
    /// Bytes of the whole image.
    length: usize,
    files: usize,
}

impl Image {
    /// The line, and blocks that tell places apart, so that a file out of its order would be seen.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap();
        bytes.push(b'\n');
        for block in (0..251_u8).cycle() {
            let end = (bytes.len() + 4_096).min(self.length);
            if end <= bytes.len() {
                break;
            }
            bytes.resize(end, block);
        }
        bytes
    }
}

impl Instance {
    /// Brings tasks one step further.
    pub(super) async fn advance(&self) {
        let mut due = Vec::new();
        {
            let mut world = self.world.lock().unwrap();
            let running = world.runs.iter_mut().filter(|run| !run.task.lifecycle.has_ended()).take(2);
            for run in running {
                if run.task.lifecycle == Lifecycle::CancelRequested {
                    run.task.lifecycle = Lifecycle::Cancelled;
                    continue;
                }
                if run.fault == Some(Fault::Hang) && run.steps > 0 {
                    continue;
                }
                run.steps += 1;
                run.task.lifecycle = Lifecycle::InProgress;
                let done = run.steps * 100 / STEPS;
                run.task.percent = Some(done);
                run.task.info.push_str(&format!("[2026-11-20 03:00:0{}.000] {done} percent processed. ", run.steps));
                if run.steps == STEPS {
                    due.push(run.task.id);
                }
            }
        }
        for id in due {
            self.carry_out(id).await;
        }
    }

    async fn carry_out(&self, id: TaskId) {
        let (request, fault) = {
            let world = self.world.lock().unwrap();
            let run = world.runs.iter().find(|run| run.task.id == id).unwrap();
            (run.request.clone(), run.fault.clone())
        };
        if fault == Some(Fault::Snapshot) {
            self.snapshot();
        }
        let outcome = match &fault {
            Some(Fault::Fail(text)) => {
                self.half_do(&request);
                Err(text.clone())
            }
            Some(Fault::Vanish) => {
                self.half_do(&request);
                self.world.lock().unwrap().vanished = true;
                Err("Access Denied".to_owned())
            }
            fault => match &request {
                TaskRequest::Backup { .. } => self.back_up(&request, fault.as_ref()).await,
                TaskRequest::CopyLogs { .. } => self.copy_logs(&request, fault.as_ref()).await,
                TaskRequest::Restore { backup_type: BackupType::Log, .. } => self.restore_log(&request).await,
                TaskRequest::Restore { .. } => self.restore(&request).await,
                TaskRequest::Finish { database } => self.finish(database),
            },
        };
        let mut world = self.world.lock().unwrap();
        let run = world.runs.iter_mut().find(|run| run.task.id == id).unwrap();
        match outcome {
            Ok(()) => run.task.lifecycle = Lifecycle::Success,
            Err(text) => {
                run.task.lifecycle = Lifecycle::Error;
                run.task.info.push_str(&format!("[2026-11-20 03:00:09.000] {text}"));
            }
        }
    }

    /// What a restore that fails leaves.
    pub(super) fn half_do(&self, request: &TaskRequest) {
        if let TaskRequest::Restore { database, .. } = request {
            let half = Database { restoring: true, ..Database::new("half") };
            self.world.lock().unwrap().databases.entry(database.clone()).or_insert(half);
        }
    }

    async fn back_up(&self, request: &TaskRequest, fault: Option<&Fault>) -> Result<(), String> {
        let TaskRequest::Backup { database: name, object_arn: arn, backup_type, files, kms_key_arn } = request else {
            unreachable!("{request:?}")
        };
        let (backup_type, files, lose) = (*backup_type, *files, u32::from(fault == Some(&Fault::LoseFile)));
        let image = {
            let mut world = self.world.lock().unwrap();
            let content =
                world.databases.get(name).map(|database| database.content.clone()).ok_or("no such database")?;
            let base = world.newest_full(name);
            if backup_type == BackupType::Differential && base.is_none() {
                return Err("there is no full backup".into());
            }
            let base = base.filter(|_| backup_type == BackupType::Differential);
            let number = world.remember(name, backup_type, base, false);
            Image { content, number, base, length: self.length, files: files as usize }
        };
        let bytes = image.bytes();
        let key = arn.strip_prefix(BUCKET).unwrap();
        let part = bytes.len().div_ceil(files as usize);
        for (number, body) in (1..=files).zip(bytes.chunks(part)).filter(|(number, _)| *number + lose <= files) {
            let key = match files {
                1 => key.to_owned(),
                _ => key.replace('*', &format!("{number}-of-{files}")),
            };
            let (body, metadata) = match kms_key_arn {
                Some(arn) if fault == Some(&Fault::LoseDataKey) => {
                    (sealing::seal(body, arn, image.number, number).0, UserMetadata::new())
                }
                Some(arn) => sealing::seal(body, arn, image.number, number),
                None => (body.to_vec(), UserMetadata::new()),
            };
            let put = self.store.put_new_with(&key, Bytes::from(body), &metadata).await;
            put.map_err(|_| "Please reissue task with correct type and overwrite property".to_owned())?;
        }
        Ok(())
    }

    async fn restore(&self, request: &TaskRequest) -> Result<(), String> {
        let TaskRequest::Restore {
            database: name,
            object_arn: arn,
            backup_type,
            more_follows,
            kms_key_arn,
            options,
            ..
        } = request
        else {
            unreachable!("{request:?}")
        };
        let pattern = arn.strip_prefix(BUCKET).unwrap();
        let prefix = pattern.trim_end_matches('*');
        let found = self.store.list(prefix, None).await.unwrap().objects;
        let mut bytes = Vec::new();
        for object in &found {
            let body = self.store.get(&object.key).await.unwrap();
            let metadata = self.store.metadata(&object.key).await.unwrap().unwrap();
            bytes.extend_from_slice(&match kms_key_arn {
                Some(arn) => sealing::open(&body, arn, &metadata)?,
                None => body.to_vec(),
            });
        }
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
        let image: Image =
            serde_json::from_slice(line).map_err(|_| "The media family on device 'x' is incorrectly formed.")?;
        if options.keep_cdc && *more_follows {
            return Err("@keep_cdc cannot be used with @with_norecovery = 1.".into());
        }
        if found.len() != image.files || bytes != image.bytes() {
            return Err(format!("{} of {} files, {} bytes: damaged", found.len(), image.files, bytes.len()));
        }
        let mut world = self.world.lock().unwrap();
        match (*backup_type, world.databases.get(name)) {
            (BackupType::Full, Some(_)) => {
                return Err(format!(
                    "Database '{name}' already exists. Two databases that differ only by case or accent are not allowed. Choose a different database name."
                ));
            }
            (BackupType::Differential, there)
                if !there.is_some_and(|it| it.restoring && Some(it.base) == image.base) =>
            {
                return Err("This differential backup cannot be restored because the database has not been restored to the correct earlier state.".into());
            }
            _ => {}
        }
        let files = |volume: Option<Volume>| volume.unwrap_or(Volume::D);
        let volumes = match world.databases.get(name) {
            Some(there) => there.volumes,
            None => (files(options.data_file_volume), files(options.log_file_volume)),
        };
        let database = Database {
            content: image.content,
            restoring: *more_follows,
            base: image.base.unwrap_or(image.number),
            end: image.number * 100 + 9,
            volumes,
            keeps_cdc: options.keep_cdc,
        };
        world.databases.insert(name.to_owned(), database);
        Ok(())
    }

    fn finish(&self, name: &str) -> Result<(), String> {
        let mut world = self.world.lock().unwrap();
        let database = world.databases.get_mut(name).filter(|it| it.restoring).ok_or("it is not restoring")?;
        database.restoring = false;
        Ok(())
    }
}
