//! A state directory has one coordinator.

use std::process::Command;

use anyhow::{Result, ensure};
use e2e::bin;
use e2e::stage::Stage;

#[test]
fn a_second_coordinator_on_the_same_state_is_refused() -> Result<()> {
    let stage = Stage::set()?;
    let mut command = Command::new(bin::path("haulier-coordinator")?);
    command.arg("--config").arg(stage.coordinator.folder().join("coordinator.yaml"));
    // Other ports: what refuses it is the directory.
    command.args(["--worker-listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"]);
    let second = command.envs(stage.cloud.environment()).output()?;
    let said = String::from_utf8_lossy(&second.stderr);
    ensure!(!second.status.success() && said.contains("another coordinator"), "{}: {said}", second.status);
    stage.back_up()?;
    stage.assert_nothing_left()
}
