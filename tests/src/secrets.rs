//! Looking for secrets where none may be, in every form in which a program may have written them down.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::aws::percent_encoded;
use crate::stage::Stage;

/// A secret, and the forms of it that give it away.
#[derive(Debug, Clone)]
pub struct Secret {
    /// What it is, for whoever reads of a find.
    pub name: String,
    forms: Vec<Vec<u8>>,
}

impl Secret {
    /// A secret text: as it is, percent-encoded, escaped as in JSON, in base64 at any alignment, in hex.
    pub fn text(name: &str, text: &str) -> Self {
        let json = serde_json::Value::from(text).to_string();
        let escaped = json.trim_start_matches('"').strip_suffix('"').unwrap_or(&json).to_owned();
        let mut secret = Self::bytes(name, text.as_bytes());
        let spoken = [text.to_owned(), percent_encoded(text), escaped, format!("{text:?}").replace('"', "")];
        secret.forms.extend(spoken.map(String::into_bytes));
        secret.settled()
    }

    /// Secret bytes: as they are, in base64 at any alignment, in hex.
    pub fn bytes(name: &str, bytes: &[u8]) -> Self {
        let lower: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![searchable(bytes), lower.to_uppercase().into_bytes(), lower.into_bytes()];
        forms.extend((0..3).flat_map(|before| encoded(bytes, before)));
        Self { name: name.to_owned(), forms }.settled()
    }

    /// Each form once; what is so short that it is found anywhere gives nothing away.
    fn settled(mut self) -> Self {
        self.forms.retain(|form| form.len() >= 6);
        self.forms.sort();
        self.forms.dedup();
        self
    }

    /// Whether it stands in these bytes.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form))
    }
}

/// The longest stretch that one line of a list of patterns can hold.
fn searchable(bytes: &[u8]) -> Vec<u8> {
    let stretches = bytes.split(|byte| matches!(byte, b'\n' | b'\0'));
    stretches.max_by_key(|stretch| stretch.len()).unwrap_or_default().to_vec()
}

/// What base64 makes of these bytes behind so many others, without the characters that hang on their neighbours.
fn encoded(bytes: &[u8], before: usize) -> [Vec<u8>; 2] {
    let padded = [&vec![0; before], bytes].concat();
    let first = (before * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)].map(|text| text.as_bytes()[first..last].to_vec())
}

/// Every secret that stands in the text, a line each.
pub fn found_in(place: &str, text: &str, secrets: &[Secret]) -> Vec<String> {
    let found = secrets.iter().filter(|secret| secret.is_in(text.as_bytes()));
    found.map(|secret| format!("{place} holds {}", secret.name)).collect()
}

/// Every file below a folder that holds one of the secrets, a line each, but for those whose path `excused` names.
///
/// # Errors
/// Where the folder cannot be read.
pub fn found_below(folder: &Path, secrets: &[Secret], excused: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
    let mut patterns = tempfile::NamedTempFile::new().context("a file of patterns")?;
    for form in secrets.iter().flat_map(|secret| &secret.forms) {
        patterns.write_all(form).and_then(|()| patterns.write_all(b"\n")).context("writing a pattern")?;
    }
    // grep reads gigabytes in a second; which secret it was is asked of the few files that it names.
    let mut command = Command::new("grep");
    command.env("LC_ALL", "C").args(["--recursive", "--text", "--fixed-strings", "--files-with-matches", "--null"]);
    command.args(["--no-messages", "--devices=skip", "--file"]).arg(patterns.path()).arg(folder);
    let output = command.output().context("starting grep")?;
    // 2 is what it ends with where a file has gone while it read.
    if !matches!(output.status.code(), Some(0..=2)) {
        bail!("grep ended with {}", output.status);
    }
    let mut found = Vec::new();
    for name in output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        if excused(Path::new(&name)) {
            continue;
        }
        let content = fs::read(&name).unwrap_or_default();
        let held: Vec<&str> =
            secrets.iter().filter(|secret| secret.is_in(&content)).map(|secret| secret.name.as_str()).collect();
        found.push(format!("{name} holds {held:?}"));
    }
    Ok(found)
}

/// Fails where one of the secrets stands in anything that a stage's run has left: its folder with the logs and the state of
/// cloud and coordinator, the databases' files and the bucket; consoles and user-data of its machines; what the command line
/// has printed; the command lines that were seen.
///
/// # Errors
/// Every find, a line each.
pub fn nowhere(stage: &Stage, secrets: &[Secret], command_lines: &BTreeSet<String>) -> Result<()> {
    let mut found = found_below(&stage.folder(), secrets, |_| false)?;
    // What is in no file is put into some.
    let texts = tempfile::tempdir().context("a folder for texts")?;
    let write = |name: &str, text: &str| fs::write(texts.path().join(name), text).context("writing a text");
    write("printed by haulier", &stage.haulier().printed())?;
    write("command lines", &command_lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    let machines = stage.cloud.control("GET", "/computers", None)?;
    for machine in machines.as_array().into_iter().flatten() {
        let id = machine["id"].as_str().context("a machine has an id")?;
        let user_data = machine["user_data"].as_str().context("a machine has user-data")?;
        let console = stage.cloud.control("GET", &format!("/computers/{id}/console"), None)?;
        write(&format!("user-data of {id}"), user_data)?;
        write(&format!("console of {id}"), console.as_str().unwrap_or_default())?;
    }
    found.extend(found_below(texts.path(), secrets, |_| false)?);
    if found.is_empty() { Ok(()) } else { bail!("secrets lie about:\n{}", found.join("\n")) }
}

/// The credentials of sessions and instance profiles that the cloud has handed out so far.
///
/// # Errors
/// Where there are none: then nothing would be proven.
pub fn issued(stage: &Stage) -> Result<Vec<Secret>> {
    let issued = stage.cloud.control("GET", "/credentials", None)?;
    let temporary = issued.as_array().into_iter().flatten().filter(|one| !one["session_token"].is_null());
    let secrets: Vec<Secret> = temporary
        .flat_map(|one| {
            let of = |what: &str| format!("the {what} of {}", one["principal"].as_str().unwrap_or_default());
            ["secret_access_key", "session_token"].map(|name| Some(Secret::text(&of(name), one[name].as_str()?)))
        })
        .flatten()
        .collect();
    ensure!(secrets.len() >= 4, "no session credentials were issued, so there is nothing to look for: {issued:#}");
    Ok(secrets)
}

/// Reads the command line of every process again and again, and keeps each that was ever seen.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<BTreeSet<String>>,
}

impl Watch {
    /// Begins to look.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !stopped.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
                    if let Ok(line) = fs::read(entry.path().join("cmdline")) {
                        seen.insert(String::from_utf8_lossy(&line).replace('\0', " "));
                    }
                }
                thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        Self { stop, thread }
    }

    /// Every command line that was seen.
    ///
    /// # Errors
    /// Where looking went wrong.
    pub fn seen(self) -> Result<BTreeSet<String>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the watch panicked"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "pass \"word\" \\ %ü/+=";

    #[test]
    fn a_text_is_found_in_every_form() {
        let secret = Secret::text("it", TEXT);
        let json = serde_json::json!({ "field": TEXT }).to_string();
        let twice = serde_json::json!({ "message": TEXT }).to_string();
        let mut texts = vec![format!("a {TEXT} b"), json, twice, format!("x={}", percent_encoded(TEXT))];
        for before in ["", "a", "ab", "abc"] {
            texts.push(STANDARD_NO_PAD.encode(format!("{before}{TEXT}{before}")));
            texts.push(URL_SAFE_NO_PAD.encode(format!("{before}{TEXT}")));
        }
        texts.push(TEXT.bytes().map(|byte| format!("{byte:02X}")).collect());
        for text in &texts {
            assert_eq!(found_in("a log", text, std::slice::from_ref(&secret)), ["a log holds it"], "{text}");
        }
        for text in ["", "pass word", "another text altogether"] {
            assert!(found_in("a log", text, std::slice::from_ref(&secret)).is_empty(), "{text}");
        }
    }

    #[test]
    fn files_are_named_with_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let key = [7, 0, 200, 10, 3, 1, 255, 254, 253, 252, 251, 250, 249, 248];
        let secrets = [Secret::text("text", TEXT), Secret::bytes("key", &key)];
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("binary"), [&[0, 1, 2][..], &key, &[0]].concat()).unwrap();
        fs::write(inner.join("log"), STANDARD_NO_PAD.encode(format!("xy{TEXT}z"))).unwrap();
        fs::write(folder.path().join("clean"), "nothing").unwrap();
        let mut found = found_below(folder.path(), &secrets, |_| false).unwrap();
        found.sort();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("inner/binary holds [\"key\"]"), "{found:?}");
        assert!(found[1].ends_with("inner/log holds [\"text\"]"), "{found:?}");
        let excused = found_below(folder.path(), &secrets, |path| path.starts_with(&inner)).unwrap();
        assert!(excused.is_empty(), "{excused:?}");
    }
}
