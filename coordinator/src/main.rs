//! The coordinator's program: settings, logs, listeners, and an orderly stop.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use haulier_coordinator::accounts::AwsAccess;
use haulier_coordinator::config::{self, Config, ConfigError, LogFormat};
use haulier_coordinator::control::{Control, ControlListener, OperatorToken, serve};
use haulier_coordinator::policies::{Policies, scheduler};
use haulier_coordinator::settings::Settings;
use haulier_coordinator::start::{Coordinator, Parts};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

/// Variables by which the platform that the durable engine was made for would rename our workflows' version and owner.
const FOREIGN: [&str; 2] = ["DBOS__APPVERSION", "DBOS__VMID"];

/// Stack of each thread. A workflow's step is polled through every layer of the flow and of the SDK, and below them RDS's
/// answers are read by functions whose frames alone take hundreds of kilobytes: two megabytes, the usual, are not enough.
const STACK: usize = 16 << 20;

fn main() -> ExitCode {
    forget_foreign_settings();
    let config = match config::load(std::env::args_os(), |name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(ConfigError::Arguments(help)) => help.exit(),
        Err(error) => return complain(&error.into()),
    };
    let started = start_logs(&config).and_then(|()| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.enable_all().thread_stack_size(STACK).build().context("starting the runtime")?;
        runtime.block_on(run(&config))
    });
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

/// Takes them out of the environment: sessions are carried on by the version that began them, whatever is set there.
#[expect(unsafe_code, reason = "the first thing that the program does, while it has one thread")]
fn forget_foreign_settings() {
    for variable in FOREIGN {
        // SAFETY: no other thread runs yet that could read the environment meanwhile.
        unsafe { std::env::remove_var(variable) };
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be running")]
fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("haulier-coordinator: {error:#}");
    ExitCode::FAILURE
}

fn start_logs(config: &Config) -> anyhow::Result<()> {
    // The engine has a span of its own for everything; ours say more.
    let quieter = "durare=warn".parse().context("quieting the engine")?;
    let filter = EnvFilter::try_new(&config.log.filter).context("reading the log filter")?.add_directive(quieter);
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let logs = logs.with_ansi(std::io::stderr().is_terminal());
    match config.log.format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

async fn run(config: &Config) -> anyhow::Result<()> {
    // Two providers are compiled in; without this rustls cannot choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let settings = Settings::from_config(config);
    let (state_dir, rhythm) = (settings.state_dir.clone(), settings.pace.schedule);
    let operators = ControlListener::bind(settings.control_listen).await?;
    let cloud = Arc::new(AwsAccess::from_environment(&settings.region).await);
    let coordinator = Coordinator::start(settings, cloud, Parts::default()).await?;
    let token = OperatorToken::open(&state_dir)?;
    let stop = coordinator.stop_token().clone();
    let policies = Policies::new(coordinator.sessions().clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(scheduler::run(policies.clone(), rhythm, stop.clone()));
    tracing::info!(address = %operators.address(), "listening for operators");
    let served = serve(Control::new(policies, stop.clone()), operators, token, &config.control_names, stop.clone());
    let ended = tokio::select! {
        served = served => served.context("serving operators"),
        asked = asked_to_stop() => asked,
    };
    tracing::info!("stopping; sessions go on at the next start");
    coordinator.stop().await;
    tasks.shutdown().await;
    ended
}

async fn asked_to_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
