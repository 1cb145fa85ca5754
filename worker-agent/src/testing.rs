//! What several tests need.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::power::PowerOff;

/// A power-off command that only writes down that it was run.
pub(crate) struct ScratchPowerOff {
    dir: tempfile::TempDir,
}

impl ScratchPowerOff {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("power-off");
        std::fs::write(&script, format!("#!/bin/sh\necho off >> '{}'\n", dir.path().join("ran").display())).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("power-off")
    }

    pub(crate) fn command(&self) -> PowerOff {
        PowerOff::new(self.path())
    }

    pub(crate) fn has_run(&self) -> bool {
        self.dir.path().join("ran").exists()
    }
}

/// Waits for something that another thread or process does.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
    }
}
