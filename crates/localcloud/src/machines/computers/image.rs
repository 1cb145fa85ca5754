//! The machine image: a layer of files over the host's root that makes it look like an instance of our AMI.
//!
//! `boot` is the AMI's own. What differs from a real instance is small and all here: an `init` in the place of systemd, a
//! `power-off` that ends the namespace, and masks over every command that could reach a host's power switch.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// Account of the agent; `launch.sh` gives it its folders by number.
const ACCOUNT: &str = "haulier:x:60731:60731::/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "haulier:x:60731:\n";
const MASKED: &[&str] = &["poweroff", "reboot", "shutdown", "halt", "telinit", "init", "systemctl", "loginctl"];

/// What an image is made of.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Folder with the AMI's `boot`.
    pub(crate) ami: PathBuf,
    /// Becomes `/usr/bin/haulier-worker`.
    pub(crate) worker_binary: PathBuf,
    /// CA that stands for Amazon's.
    pub(crate) authority: PathBuf,
    /// `/etc/haulier/environment`.
    pub(crate) environment: BTreeMap<String, String>,
}

impl Image {
    /// Writes the layer into `layer`, which must not be there yet.
    pub(crate) fn build(&self, layer: &Path) -> anyhow::Result<()> {
        let boot = self.ami.join("boot");
        ensure!(boot.is_file(), "the image's boot script is missing: {}", boot.display());
        ensure!(self.worker_binary.is_file(), "the worker binary is missing: {}", self.worker_binary.display());
        let make = || self.write(layer, &boot);
        make().with_context(|| format!("writing the machine image {}", layer.display()))
    }

    fn write(&self, layer: &Path, boot: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(layer)?;
        std::fs::set_permissions(layer, Permissions::from_mode(0o755))?;
        for folder in ["etc/haulier", "usr/bin", "usr/sbin", "usr/lib/haulier", "usr/share/haulier"] {
            std::fs::create_dir_all(layer.join(folder))?;
        }
        copy(&self.worker_binary, &layer.join("usr/bin/haulier-worker"), 0o755)?;
        copy(boot, &layer.join("usr/lib/haulier/boot"), 0o755)?;
        copy(&self.authority, &layer.join("usr/share/haulier/rds-ca.pem"), 0o644)?;
        put(&layer.join("usr/lib/haulier/init"), include_str!("init.sh"), 0o755)?;
        put(&layer.join("usr/lib/haulier/power-off"), include_str!("power-off.sh"), 0o755)?;
        for command in MASKED {
            for folder in command_folders() {
                std::fs::create_dir_all(layer.join(folder))?;
                put(&layer.join(folder).join(command), include_str!("masked.sh"), 0o755)?;
            }
        }
        put(&layer.join("etc/haulier/environment"), &environment(&self.environment), 0o644)?;
        put(&layer.join("etc/passwd"), &(std::fs::read_to_string("/etc/passwd")? + ACCOUNT), 0o644)?;
        put(&layer.join("etc/group"), &(std::fs::read_to_string("/etc/group")? + GROUP), 0o644)?;
        // Names come from the hosts file alone: there is no resolver to wait for.
        put(&layer.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n", 0o644)?;
        put(&layer.join("etc/resolv.conf"), "", 0o644)?;
        symlink("/run/hosts/hosts", layer.join("etc/hosts"))
    }
}

/// The folders that really hold commands on this host: where `/bin` is a link to `/usr/bin`, a folder of that name in the
/// layer would hide the link.
fn command_folders() -> impl Iterator<Item = &'static str> {
    ["usr/bin", "usr/sbin", "bin", "sbin"]
        .into_iter()
        .filter(|folder| Path::new("/").join(folder).symlink_metadata().is_ok_and(|found| found.is_dir()))
}

/// Lines that both systemd's `EnvironmentFile=` and a shell read the same way.
fn environment(entries: &BTreeMap<String, String>) -> String {
    entries.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name}='{}'", value.replace('\'', ""));
        text
    })
}

fn put(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

fn copy(from: &Path, to: &Path, mode: u32) -> std::io::Result<()> {
    std::fs::copy(from, to)?;
    std::fs::set_permissions(to, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_masks_every_way_to_the_hosts_power_switch() {
        let folder = tempfile::tempdir().unwrap();
        let given = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, name).unwrap();
            path
        };
        given("boot");
        let image = Image {
            ami: folder.path().to_owned(),
            worker_binary: given("worker"),
            authority: given("ca"),
            environment: [("AWS_REGION".to_owned(), "eu-central-1".to_owned())].into(),
        };
        let layer = folder.path().join("layer");
        image.build(&layer).unwrap();
        for command in ["poweroff", "reboot", "shutdown", "halt", "systemctl"] {
            for folder in command_folders() {
                let text = std::fs::read_to_string(layer.join(folder).join(command)).unwrap();
                assert_eq!(text, include_str!("masked.sh"));
            }
        }
        let text = std::fs::read_to_string(layer.join("etc/haulier/environment")).unwrap();
        assert_eq!(text, "AWS_REGION='eu-central-1'\n");
        assert!(!layer.join("bin").is_dir() || !Path::new("/bin").is_symlink());
    }

    #[test]
    fn a_missing_binary_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("boot"), "").unwrap();
        let image = Image {
            ami: folder.path().to_owned(),
            worker_binary: "/nonexistent/worker".into(),
            authority: folder.path().join("boot"),
            environment: BTreeMap::new(),
        };
        let error = image.build(&folder.path().join("layer")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/worker"));
    }
}
