//! `haulier-worker`: reads what the instance was launched with, lives, and powers the machine off.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use haulier_worker_agent::agent::{Agent, End};
use haulier_worker_agent::power::PowerOff;
use haulier_worker_agent::redact::{CleanStderr, Redactor};
use haulier_worker_agent::runner::{AwsPorts, Movers};
use haulier_worker_agent::settings::Settings;
use haulier_worker_agent::signer::InstanceSigner;
use haulier_worker_agent::user_data::UserData;
use haulier_worker_agent::watchdog::{Pulse, Watchdog};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Instrument as _;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Two providers are linked (the other one by a dependency); without this, rustls would not choose.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    let settings = Settings::parse();
    let redactor = Redactor::new();
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(CleanStderr(redactor.clone()))
        .init();
    // A panic is a line of the log like any other, and cleaned like any other.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panic")));
    let power_off = PowerOff::new(&settings.power_off);
    let end = live(settings, redactor, power_off.clone());
    let (code, reason) = match &end {
        Ok(End::Shutdown) => (ExitCode::SUCCESS, "nothing is left to do".to_owned()),
        Ok(End::Otherwise(reason)) => (ExitCode::FAILURE, reason.clone()),
        Err(error) => (ExitCode::FAILURE, format!("{error:#}")),
    };
    power_off.run(&reason);
    code
}

fn live(settings: Settings, redactor: Redactor, power_off: PowerOff) -> anyhow::Result<End> {
    let path = &settings.user_data;
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let data = UserData::parse(&text).with_context(|| format!("reading {}", path.display()))?;
    redactor.learn(&data.token);
    // The token in it has one use, which is this process's: nobody else on the machine needs to read it.
    std::fs::remove_file(path).with_context(|| format!("removing {} once read", path.display()))?;
    for folder in [&settings.cache_dir, &settings.private_dir] {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("making {}", folder.display()))?;
    }

    let pulse = Arc::new(Pulse::default());
    let _watchdog = Watchdog::start(pulse.clone(), data.deadline, power_off).context("starting the watchdog")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let span = tracing::info_span!(
        "worker",
        session_id = %data.session_id,
        worker_id = %data.worker_id,
        epoch = data.epoch.0
    );
    let agent = Agent {
        signer: Box::new(InstanceSigner::new(&data.region)),
        postgresql_majors: settings.postgresql_majors(),
        runner: Arc::new(Movers::new(settings, Arc::new(AwsPorts))),
        data,
        redactor,
        pulse,
    };
    let end = runtime.block_on(async { agent.live(interrupted()).instrument(span).await });
    // Whatever still runs must not keep the machine up.
    runtime.shutdown_background();
    Ok(end)
}

/// Completes when the system asks us to end.
async fn interrupted() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(error) => {
            tracing::error!(%error, "signals cannot be heard");
            std::future::pending::<()>().await;
        }
    }
}
