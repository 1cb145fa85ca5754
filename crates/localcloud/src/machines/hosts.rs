//! The names of DB instances as EC2 instances resolve them: one hosts file, replaced in one step at every change.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

/// The file and what is in it. EC2 instances see its folder read-only, so that a replaced file is seen at once.
#[derive(Debug)]
pub(crate) struct Hosts {
    folder: PathBuf,
    names: Mutex<BTreeMap<String, Ipv4Addr>>,
}

impl Hosts {
    /// Starts an empty file in `folder`.
    pub(crate) fn create(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let hosts = Self { folder: folder.to_owned(), names: Mutex::default() };
        hosts.change(|_| {})?;
        Ok(hosts)
    }

    pub(crate) fn add(&self, name: &str, address: Ipv4Addr) -> anyhow::Result<()> {
        self.change(|names| {
            names.insert(name.to_owned(), address);
        })
    }

    pub(crate) fn remove(&self, name: &str) -> anyhow::Result<()> {
        self.change(|names| {
            names.remove(name);
        })
    }

    fn change(&self, edit: impl FnOnce(&mut BTreeMap<String, Ipv4Addr>)) -> anyhow::Result<()> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        edit(&mut names);
        let mut text = String::from("127.0.0.1 localhost\n");
        for (name, address) in names.iter() {
            let _ = writeln!(text, "{address} {name}");
        }
        let (draft, file) = (self.folder.join("hosts.draft"), self.folder.join("hosts"));
        std::fs::write(&draft, text).with_context(|| format!("writing {}", draft.display()))?;
        std::fs::rename(&draft, &file).with_context(|| format!("replacing {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = Hosts::create(folder.path()).unwrap();
        hosts.add("b.example", Ipv4Addr::new(10, 0, 0, 2)).unwrap();
        hosts.add("a.example", Ipv4Addr::new(10, 0, 0, 1)).unwrap();
        hosts.remove("b.example").unwrap();
        let text = std::fs::read_to_string(folder.path().join("hosts")).unwrap();
        assert_eq!(text, "127.0.0.1 localhost\n10.0.0.1 a.example\n");
    }
}
