//! A small torture: the same as the large one, in seconds.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking and may speak")]

use std::process::Command;

#[test]
fn every_point_is_what_it_should_be_though_writers_and_prunes_are_killed() {
    let seed = std::env::var("HAULIER_TORTURE_SEED").unwrap_or_else(|_| std::process::id().to_string());
    eprintln!("HAULIER_TORTURE_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_haulier-bench"));
    command.args(["torture", "--json", "--streams", "24", "--largest", "4", "--volume", "30", "--seed", &seed]);
    let output = command.arg("--folder").arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    eprintln!("{said}");
    let last = output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
    let report: serde_json::Value = serde_json::from_slice(last).unwrap();
    assert_eq!(report["points_verified"], 24);
    assert!(report["prunes"].as_u64().unwrap() > 4 && report["writes_killed"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it leaves nothing");
}
