//! How fast the local S3 is by itself: it must not be what the benchmark measures.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::process;
use e2e::stage::Stage;

use super::measure::settle;

const OBJECTS: usize = 64;
const MEBIBYTES: usize = 16;
const AT_ONCE: usize = 8;

/// The digest that a request without a body carries.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Megabytes per second.
pub(super) struct Throughput {
    pub(super) put: f64,
    pub(super) get: f64,
}

/// Puts and gets objects of random bytes with signed, digested requests, several at once.
pub(super) fn measure(stage: &Stage) -> Result<Throughput> {
    let file = stage.folder().join("object");
    process::output(
        Command::new("dd")
            .args(["if=/dev/urandom", "bs=1M", "status=none", &format!("count={MEBIBYTES}")])
            .arg(format!("of={}", file.display())),
    )?;
    let digest = process::output(Command::new("sha256sum").arg(&file))?;
    let digest = digest.split_whitespace().next().context("sha256sum printed nothing")?.to_owned();
    let put = transfers(stage, &digest, &format!("upload-file = \"{}\"", file.display()))?;
    let get = transfers(stage, EMPTY, "output = \"/dev/null\"")?;
    transfers(stage, EMPTY, "request = \"DELETE\"\noutput = \"/dev/null\"")?;
    remove(&file)?;
    Ok(Throughput { put, get })
}

fn remove(file: &Path) -> Result<()> {
    std::fs::remove_file(file).with_context(|| format!("removing {}", file.display()))
}

/// One call for each object; megabytes per second.
fn transfers(stage: &Stage, digest: &str, options: &str) -> Result<f64> {
    let facts = stage.cloud.facts();
    let one = |number: usize| {
        format!(
            "url = \"{}/backups/throughput/{number}\"\nuser = \"{}:{}\"\naws-sigv4 = \"aws:amz:{}:s3\"\n\
             header = \"x-amz-content-sha256: {digest}\"\nsilent\nshow-error\nwrite-out = \"%{{http_code}}\\n\"\n{options}\n",
            facts.endpoint, facts.access_key_id, facts.secret_access_key, facts.region
        )
    };
    let configuration = (0..OBJECTS).map(one).collect::<Vec<_>>().join("next\n");
    settle()?;
    let started = Instant::now();
    let mut curl = Command::new("curl")
        .args(["--parallel", "--parallel-max", &AT_ONCE.to_string(), "--no-progress-meter", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting curl")?;
    // Keys go through standard input, not through arguments.
    curl.stdin.take().context("curl's standard input")?.write_all(configuration.as_bytes()).context("feeding curl")?;
    let output = curl.wait_with_output().context("waiting for curl")?;
    let seconds = started.elapsed().as_secs_f64();
    let answers = String::from_utf8_lossy(&output.stdout);
    let good = answers.lines().filter(|code| code.starts_with('2')).count();
    ensure!(output.status.success() && good == OBJECTS, "{good} of {OBJECTS} calls to S3 succeeded: {answers}");
    Ok((OBJECTS * MEBIBYTES) as f64 * 1.048_576 / seconds)
}
