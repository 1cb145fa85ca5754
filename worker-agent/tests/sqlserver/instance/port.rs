//! The instance as a worker sees it.

use async_trait::async_trait;
use haulier_domain::sqlserver::chain::BackupSet;
use haulier_domain::sqlserver::log_chain::LogBackup;
use haulier_domain::sqlserver::server::{DatabaseFacts, ServerFacts, State};
use haulier_domain::sqlserver::task::{Lifecycle, Task, TaskId};
use haulier_worker_agent::sqlserver::{CallError, Server, TaskRequest};

use super::{Database, Fault, Instance};

#[async_trait]
impl Server for Instance {
    async fn facts(&self) -> Result<ServerFacts, CallError> {
        self.check()?;
        self.gate
            .pass(async {
                Ok(ServerFacts {
                    version: self.version.into(),
                    edition: self.edition.into(),
                    collation: String::new(),
                    utc_offset_minutes: 60,
                    now: "2026-11-20T04:00:00".parse().unwrap(),
                    login: "admin".into(),
                    compression: Some(false),
                })
            })
            .await
    }

    async fn databases(&self) -> Result<Vec<DatabaseFacts>, CallError> {
        self.check()?;
        let facts = |(name, database): (&String, &Database)| DatabaseFacts {
            name: name.clone(),
            id: 7,
            state: if database.restoring { State::Restoring } else { State::Online },
            recovery_model: "FULL".into(),
            encrypted: false,
            is_snapshot: false,
            collation: String::new(),
            bytes: self.length as u64,
            has_filestream: false,
            lacks_file_guid: false,
        };
        self.gate.pass(async { Ok(self.world.lock().unwrap().databases.iter().map(facts).collect()) }).await
    }

    async fn history(&self, database: &str) -> Result<Vec<BackupSet>, CallError> {
        self.check()?;
        let read = async {
            let world = self.world.lock().unwrap();
            Ok(world.history.iter().filter(|(name, _)| name == database).map(|(_, set)| set.clone()).collect())
        };
        self.gate.pass(read).await
    }

    async fn log_backups(&self, database: &str) -> Result<Vec<LogBackup>, CallError> {
        self.check()?;
        self.gate.pass(async { Ok(self.world.lock().unwrap().logs.of(database)) }).await
    }

    async fn log_target(&self) -> Result<Option<String>, CallError> {
        self.check()?;
        self.gate.pass(async { Ok(self.world.lock().unwrap().logs.target.clone()) }).await
    }

    async fn set_log_target(&self, arn: &str) -> Result<(), CallError> {
        self.check()?;
        let set = async {
            self.advance().await;
            self.world.lock().unwrap().set_log_target(arn)
        };
        self.gate.pass(set).await
    }

    async fn submit(&self, request: &TaskRequest) -> Result<TaskId, CallError> {
        self.check()?;
        let submission = async {
            self.take_time().await;
            self.begin(request)
        };
        self.gate.pass(submission).await
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, CallError> {
        self.check()?;
        let look = async {
            self.advance().await;
            self.check()?;
            let world = self.world.lock().unwrap();
            Ok(world.runs.iter().find(|run| run.task.id == id).map(|run| run.task.clone()))
        };
        self.gate.pass(look).await
    }

    async fn tasks(&self) -> Result<Vec<Task>, CallError> {
        self.check()?;
        let look = async {
            self.advance().await;
            self.check()?;
            Ok(self.world.lock().unwrap().runs.iter().map(|run| run.task.clone()).collect())
        };
        self.gate.pass(look).await
    }

    async fn cancel(&self, id: TaskId) -> Result<(), CallError> {
        self.check()?;
        let cancel = async {
            let mut world = self.world.lock().unwrap();
            let run = world.runs.iter_mut().find(|run| run.task.id == id).unwrap();
            if !run.task.lifecycle.has_ended() {
                run.task.lifecycle = Lifecycle::CancelRequested;
                let request = run.request.clone();
                drop(world);
                self.half_do(&request);
            }
            Ok(())
        };
        self.gate.pass(cancel).await
    }

    async fn drop_database(&self, name: &str) -> Result<(), CallError> {
        self.check()?;
        let dropping = async {
            let mut world = self.world.lock().unwrap();
            world.calls.push(format!("drop {name}"));
            match world.databases.remove(name) {
                Some(_) => Ok(()),
                None => Err(CallError::Refused { number: 50_000, text: format!("Database {name} does not exist.") }),
            }
        };
        self.gate.pass(dropping).await
    }

    async fn rename_database(&self, from: &str, to: &str) -> Result<(), CallError> {
        self.check()?;
        let renaming = async {
            let mut world = self.world.lock().unwrap();
            if world.faults.first() == Some(&Fault::KeepNames) {
                return Err(CallError::Refused { number: 50_000, text: "not on a Multi-AZ instance".into() });
            }
            world.calls.push(format!("rename {from} {to}"));
            if world.databases.contains_key(to) {
                return Err(CallError::Refused { number: 1801, text: format!("Database '{to}' already exists.") });
            }
            let database = world.databases.remove(from);
            let database =
                database.ok_or(CallError::Refused { number: 15_010, text: format!("no database {from}") })?;
            world.databases.insert(to.to_owned(), database);
            Ok(())
        };
        self.gate.pass(renaming).await
    }
}
