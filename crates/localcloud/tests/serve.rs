//! The whole cloud as the one process that demo and tests start: ready when it says so, and gone without a trace however
//! it ends.
//!
//! Needs root and, at the first run, PyPI for the emulator.

#![expect(clippy::expect_used, reason = "these are tests, helpers included")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

/// Killed when the test fails.
struct Cloud {
    process: Child,
    description: Value,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haulier-localcloud"));
    let ami =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package's folder")).join("../../ami");
    command.arg("serve").arg("--dir").arg(dir).arg("--ami").arg(ami);
    command
}

fn start(dir: &Path) -> Cloud {
    let mut process = serve(dir).stdout(Stdio::piped()).spawn().expect("starting the cloud");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("its standard output");
    // Blocks until the cloud is ready or has ended: the end of its output is the end of waiting.
    BufReader::new(stdout).read_line(&mut line).expect("reading what it prints");
    let description = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: it printed {line:?}"));
    Cloud { process, description }
}

impl Cloud {
    fn text(&self, field: &str) -> &str {
        self.description[field].as_str().unwrap_or_else(|| panic!("{field} is missing in {}", self.description))
    }

    /// One call to the control port: status and body.
    fn control(&self, method: &str, path: &str, body: &Value) -> (String, String) {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "60",
                "--write-out",
                "\n%{http_code}",
                "--request",
                method,
            ])
            .args(["--header", "content-type: application/json", "--data-binary", &body.to_string()])
            .arg(format!("{}/_cloud{path}", self.text("endpoint")))
            .output()
            .expect("curl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').expect("a status");
        (status.to_owned(), body.to_owned())
    }

    /// What all interfaces and namespaces of this cloud are called at their beginning.
    fn prefix(&self) -> String {
        let slot: u8 = self.text("gateway").split('.').nth(2).expect("an address").parse().expect("a number");
        format!("hcl{slot:02}")
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }
}

fn network(prefix: &str) -> Vec<String> {
    let entries = ["/run/netns", "/sys/class/net"].into_iter().flat_map(|folder| std::fs::read_dir(folder).into_iter());
    let names = entries.flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// Processes that have the cloud's folder among their arguments, their working folder or their mounts.
fn processes(dir: &Path) -> Vec<String> {
    let dir = dir.to_string_lossy();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("the list of processes").flatten() {
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        if arguments.contains(&*dir) || String::from_utf8_lossy(&read("mountinfo")).contains(&*dir) {
            found.push(format!("{} {arguments}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_cloud_says_when_it_is_ready_and_leaves_nothing_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("cloud");
    let cloud = start(&dir);
    let kept: Value = serde_json::from_slice(&std::fs::read(dir.join("cloud.json")).unwrap()).unwrap();
    assert_eq!(kept, cloud.description);
    for field in ["region", "ca_file", "ami_id", "vpc_id", "worker_role_arn", "worker_instance_profile"] {
        assert!(!cloud.text(field).is_empty());
    }

    let (status, body) = cloud.control("POST", "/instances", &json!({ "id": "orders" }));
    assert_eq!(status, "200", "{body}");
    let dsn: Value = serde_json::from_str(&body).unwrap();
    let dsn = dsn["administrator_dsn"].as_str().unwrap();
    let psql = Command::new("psql").args(["-X", "-At", "-d", dsn, "-c", "SELECT 40 + 2"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&psql.stdout).trim(), "42");
    assert_eq!(cloud.control("PUT", "/machines/orders/cut", &json!({ "cut": true })).0, "200");
    let (status, body) = cloud.control("PUT", "/machines/nobody/cut", &json!({ "cut": true }));
    assert!(status == "400" && body.contains("nobody"), "{status} {body}");
    let (status, body) = cloud.control("PUT", "/computers/image", &json!({ "worker_binary": "/nonexistent" }));
    assert!(status == "400" && body.contains("/nonexistent"), "{status} {body}");

    let second = serve(&dir).output().unwrap();
    assert!(!second.status.success(), "one folder has one cloud");
    assert!(String::from_utf8_lossy(&second.stderr).contains("is running in"), "{second:?}");

    // Killed: its processes die with it, its network is swept by whoever comes next.
    let prefix = cloud.prefix();
    assert!(!processes(&dir).is_empty() && !network(&prefix).is_empty(), "the checks must see something");
    cloud.signal("KILL");
    eventually("processes outlive the cloud", || processes(&dir).is_empty());
    drop(cloud);
    let next = start(&dir);
    let (status, body) = next.control("GET", "/listing", &json!({}));
    assert!(status == "200" && !body.contains("orders"), "a cloud starts empty: {status} {body}");
    let leftovers: Vec<String> = network(&format!("{prefix}m"));
    assert!(leftovers.is_empty(), "{leftovers:?}");

    assert_eq!(next.control("POST", "/instances", &json!({ "id": "orders" })).0, "200");
    let prefix = next.prefix();
    next.signal("TERM");
    eventually("the cloud does not end", || processes(&dir).is_empty());
    assert_eq!(network(&prefix), Vec::<String>::new());
    assert!(!dir.join("cloud.json").exists());
}
