//! Starting and stopping: one coordinator to a state directory, whoever starts it; and nothing of the environment renames
//! its workflows.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use haulier_coordinator::start::{Coordinator, Parts, StartError};
use haulier_coordinator::state_lock::LockError;
use haulier_coordinator::workflows::engine::EngineError;
use haulier_domain::session::SessionState;

use crate::support::Scene;
use crate::support::observer::Observer;
use crate::support::worker::Script;

/// Variables of the platform that the durable engine was made for.
const FOREIGN: [&str; 2] = ["DBOS__APPVERSION", "DBOS__VMID"];

#[test]
fn a_second_coordinator_of_the_same_process_is_refused_until_the_first_has_stopped() {
    let scene = Scene::new(Script::Endless);
    let first = scene.start();
    let id = first.backup("orders");
    first.until(&id, "transfer", |session| session.step == "transfer");
    let mut settings = scene.settings();
    settings.worker_listen = ([127, 0, 0, 1], 0).into();
    let access = scene.access.clone();
    let refused = first.run(async move { Coordinator::start(settings, access, Parts::default()).await.unwrap_err() });
    assert!(matches!(refused, StartError::Lock(LockError::Taken { .. })), "{refused:?}");
    // Its runtime lives on, and so does the step that was running: it must not go on beside that of the second.
    let stopped = first.stop();
    let second = scene.start_with(scene.settings(), Arc::new(Observer::default()));
    let session = second.until(&id, "transfer", |session| session.step == "transfer");
    assert_eq!(session.state, SessionState::Running);
    let (sessions, of) = (second.sessions.clone(), id.clone());
    second.run(async move { sessions.cancel(&of, "enough").await.unwrap() });
    second.assert_state(&id, SessionState::Cancelled);
    assert_eq!(scene.access.memory.compute().launches().len(), 1);
    assert_eq!(scene.leftovers(&[]), [""; 0]);
    drop(stopped);
}

#[test]
fn the_program_takes_no_version_from_its_environment() {
    let scene = Scene::new(Script::Obedient);
    let mut program = Command::new(env!("CARGO_BIN_EXE_haulier-coordinator"));
    program.env_clear().envs(FOREIGN.map(|variable| (variable, "elsewhere")));
    program.envs([("AWS_ACCESS_KEY_ID", "none"), ("AWS_SECRET_ACCESS_KEY", "none")]);
    program.args(["--region", "eu-central-1", "--worker-listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"]);
    program.args(["--worker-advertise", "https://127.0.0.1:0", "--log-format", "json", "--state-dir"]);
    let mut program = program.arg(scene.settings().state_dir).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    let runs = lines.by_ref().any(|line| {
        said.push(line);
        said.last().is_some_and(|line| line.contains("listening for operators"))
    });
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(runs, "{said:#?}");
}

/// Whoever starts a coordinator as a library keeps its environment, and is told what in it is in the way.
#[test]
fn a_library_is_told_which_variable_would_rename_its_workflows() {
    for variable in FOREIGN {
        let itself = std::env::current_exe().unwrap();
        let mut child = Command::new(itself);
        child.args(["--exact", "start::in_another_environment", "--ignored", "--nocapture"]);
        let output = child.env(variable, "elsewhere").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&format!("refused because of {variable}")), "{said}");
    }
}

#[test]
#[ignore = "the test above runs it, in the environment that it is about"]
fn in_another_environment() {
    let scene = Scene::new(Script::Obedient);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let started = runtime.block_on(Coordinator::start(scene.settings(), scene.access.clone(), Parts::default()));
    runtime.shutdown_timeout(Duration::from_secs(5));
    match started {
        Err(StartError::Engine(EngineError::Renamed { variable })) => {
            std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("refused because of {variable}\n")).unwrap();
        }
        other => panic!("{other:?}"),
    }
}
