//! A package of Debian's newest suite on a machine that runs an older one, unpacked into a folder. The mirror is the one
//! that this machine uses already; apt works on lists of its own, so that nothing of the machine's changes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use e2e::process;

use crate::say;

/// The suite that always has the newest.
const SUITE: &str = "sid";

/// What signs Debian's archives.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetches a package and unpacks it, without what it depends on: for programs that need the C library at most.
pub(super) fn newest(package: &str, folder: &Path) -> Result<()> {
    let targets = process::output(Command::new("apt-get").args(["indextargets", "Created-By: Packages"]))?;
    let mirror = mirror(&targets).context("apt has no source of Debian's packages on this machine")?;
    let apt = folder.join("apt");
    for part in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(apt.join(part)).context("folders for apt")?;
    }
    let sources = apt.join("sources.list");
    std::fs::write(&sources, format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n"))
        .context("sources for apt")?;
    let options = [
        format!("Dir::Etc::sourcelist={}", sources.display()),
        "Dir::Etc::sourceparts=-".to_owned(),
        format!("Dir::State::lists={}", apt.join("lists").display()),
        format!("Dir::Cache={}", apt.join("cache").display()),
        "Acquire::Languages=none".to_owned(),
        // The folder is its caller's alone, and apt's own user could not write there.
        "APT::Sandbox::User=root".to_owned(),
    ];
    let run = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(&apt).args(options.iter().flat_map(|option| ["-o", option])).args(arguments);
        process::output(&mut command)
    };
    say(&format!("fetching {package} of Debian {SUITE} from this machine's mirror (its list of packages first)"));
    run(&["update", "-qq"])?;
    run(&["download", "-qq", package])?;
    let archive = std::fs::read_dir(&apt)
        .context("looking for the package")?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let Some(archive) = archive else { bail!("apt-get download left no package") };
    process::output(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(folder))?;
    std::fs::remove_dir_all(&apt).context("removing apt's folder")
}

/// The first archive of Debian proper that apt knows, from its list of index targets.
fn mirror(targets: &str) -> Option<String> {
    let field = |stanza: &str, name: &str| {
        stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let is_debian = |stanza: &&str| field(stanza, "Label").as_deref() == Some("Debian");
    targets.split("\n\n").find(is_debian).and_then(|stanza| field(stanza, "Repo-URI"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_debian_s_and_not_a_stranger_s() {
        let stanza = |label: &str, uri: &str| format!("MetaKey: main\nLabel: {label}\nRepo-URI: {uri}\n");
        let strangers = stanza("Stranger", "http://stranger.example/");
        let security = stanza("Debian-Security", "http://mirror.example/security/");
        let debian = stanza("Debian", "http://mirror.example/debian/");
        let all = [strangers.as_str(), &security, &debian].join("\n");
        assert_eq!(mirror(&all).as_deref(), Some("http://mirror.example/debian/"));
        assert_eq!(mirror(&strangers), None);
    }
}
