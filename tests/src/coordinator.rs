//! A coordinator as a child process, with a state folder that outlives it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cloud::Cloud;
use crate::haulier::Haulier;
use crate::process::Owned;
use crate::{bin, wait};

/// A coordinator of one local cloud. It may be killed and started again: its folder stays.
#[derive(Debug)]
pub struct Coordinator {
    folder: PathBuf,
    environment: Vec<(String, String)>,
    haulier: Haulier,
    process: Option<Owned>,
}

/// How long a coordinator may take to answer operators.
const START: Duration = Duration::from_secs(60);

impl Coordinator {
    /// Writes a configuration into the folder and starts a coordinator from it.
    ///
    /// # Errors
    /// Where it does not answer operators in time.
    pub fn start(cloud: &Cloud, folder: &Path) -> Result<Self> {
        Self::start_in(cloud, folder, cloud.environment())
    }

    /// The same in an environment of one's own.
    ///
    /// # Errors
    /// Where it does not answer operators in time.
    pub fn start_in(cloud: &Cloud, folder: &Path, environment: Vec<(String, String)>) -> Result<Self> {
        let facts = cloud.facts();
        let state = folder.join("state");
        let (workers, operators) = (free_port(&facts.gateway)?, free_port("127.0.0.1")?);
        let configuration = format!(
            "version: 1\n\
             state_dir: {state}\n\
             region: {region}\n\
             worker_service:\n  listen: {gateway}:{workers}\n  advertise: https://{gateway}:{workers}\n\
             control_service:\n  listen: 127.0.0.1:{operators}\n\
             worker:\n  role_arn: {role}\n  instance_profile: {profile}\n\
             reaper:\n  interval_seconds: 10\n\
             prune:\n  grace_seconds: 0\n",
            state = state.display(),
            region = facts.region,
            gateway = facts.gateway,
            role = facts.worker_role_arn,
            profile = facts.worker_instance_profile,
        );
        Self::start_with(&configuration, &format!("127.0.0.1:{operators}"), folder, environment)
    }

    /// Starts a coordinator from a configuration whose `state_dir` is `state` within the folder, and whose control service
    /// listens on `operators`.
    ///
    /// # Errors
    /// Where it does not answer operators in time.
    pub fn start_with(
        configuration: &str,
        operators: &str,
        folder: &Path,
        environment: Vec<(String, String)>,
    ) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        std::fs::write(folder.join("coordinator.yaml"), configuration).context("writing the configuration")?;
        let state = folder.join("state");
        let haulier = Haulier::new(vec![
            ("HAULIER_COORDINATOR".to_owned(), format!("https://{operators}")),
            ("HAULIER_CA_FILE".to_owned(), state.join("ca/ca.pem").display().to_string()),
            ("HAULIER_TOKEN_FILE".to_owned(), state.join("operator.token").display().to_string()),
        ]);
        let mut coordinator = Self { folder: folder.to_owned(), environment, haulier, process: None };
        coordinator.resume()?;
        Ok(coordinator)
    }

    /// Starts it again from its folder, with other variables in its environment.
    ///
    /// # Errors
    /// Where it does not answer operators in time.
    pub fn resume_with(&mut self, environment: Vec<(String, String)>) -> Result<()> {
        self.environment = environment;
        self.resume()
    }

    /// Starts it again from its folder.
    ///
    /// # Errors
    /// Where it does not answer operators in time.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = Command::new(bin::path("haulier-coordinator")?);
        command.arg("--config").arg(self.folder.join("coordinator.yaml")).envs(self.environment.iter().cloned());
        let log = self.log();
        let mut process = Owned::start("the coordinator", &mut command, &log)?;
        wait::until(START, "the coordinator to answer", || {
            if let Some(status) = process.ended() {
                bail!("the coordinator ended with {status}");
            }
            Ok(self.haulier.call(&["policy", "list"])?.code == 0)
        })
        .with_context(|| format!("the coordinator's log is {}", log.display()))?;
        self.process = Some(process);
        Ok(())
    }

    /// The operator's command line of this coordinator.
    pub fn haulier(&self) -> &Haulier {
        &self.haulier
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Owned::id)
    }

    /// Its folder: configuration, state, log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its log file.
    pub fn log(&self) -> PathBuf {
        self.folder.join("coordinator.log")
    }

    /// Kills it as a crash would.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("the coordinator does not run")?.kill()
    }

    /// Lets it run on when this value is dropped.
    pub fn leave_running(mut self) {
        if let Some(process) = self.process.take() {
            std::mem::forget(process);
        }
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.stop().map(drop),
            None => Ok(()),
        }
    }
}

/// A TCP port that nobody listens on at the moment.
fn free_port(address: &str) -> Result<u16> {
    let listener = TcpListener::bind((address, 0)).with_context(|| format!("binding {address}"))?;
    Ok(listener.local_addr().context("a bound socket has an address")?.port())
}
