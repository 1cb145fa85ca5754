//! Who takes part, and how each is told to create a repository, to store a stream and to read it back.
//!
//! All run with what they do by themselves, at zstd level 3 or what the tool calls its usual level, with encryption, on a
//! folder of the same disk. A contestant has a seat: a folder with its repository and with a home of its own, where caches
//! and settings go, so that a seat can be copied and taken up again as it was.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e::bin;
use serde::Serialize;

use crate::bench::child::{AGENT_ENVIRONMENT, BENCH, Child, stored};

/// Every password; there is nothing to protect.
const PASSWORD: &str = "what is stored here is made up";

/// The tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tool {
    Haulier,
    Restic,
    Rustic,
    Borg,
    Bupstash,
}

impl Tool {
    /// Those that Haulier is compared with.
    pub(super) const PEERS: [Self; 4] = [Self::Restic, Self::Rustic, Self::Borg, Self::Bupstash];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Haulier => "haulier",
            Self::Restic => "restic",
            Self::Rustic => "rustic",
            Self::Borg => "borg",
            Self::Bupstash => "bupstash",
        }
    }
}

/// What a stream carries; only Haulier asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rows,
    Pages,
}

/// One that takes part.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Contestant {
    pub(super) tool: Tool,
    /// As it prints itself.
    pub(super) version: String,
    /// Where it was had.
    pub(super) source: String,
    #[serde(skip)]
    pub(super) program: PathBuf,
}

impl Contestant {
    /// Haulier's repository by itself.
    pub(super) fn haulier() -> Result<Self> {
        Ok(Self {
            tool: Tool::Haulier,
            version: format!("haulier {}", env!("CARGO_PKG_VERSION")),
            source: "this source tree, release profile".to_owned(),
            program: bin::path(BENCH)?,
        })
    }

    /// Gives it a seat in a folder.
    pub(super) fn seat(&self, folder: &Path) -> Result<Seat<'_>> {
        let seat = Seat { contestant: self, folder: folder.join(self.tool.name()) };
        seat.clear()?;
        Ok(seat)
    }
}

/// A contestant's repository and home.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    pub(super) contestant: &'a Contestant,
    folder: PathBuf,
}

impl Seat<'_> {
    /// Removes whatever it has, and makes the home anew.
    fn clear(&self) -> Result<()> {
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).with_context(|| format!("emptying {}", self.folder.display()))?;
        }
        std::fs::create_dir_all(self.home()).with_context(|| format!("creating {}", self.home().display()))
    }

    fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// The folder of everything it has.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes in its repository.
    pub(super) fn stored(&self) -> Result<u64> {
        stored(&self.repository())
    }

    /// An empty repository.
    pub(super) fn create(&self) -> Result<()> {
        for child in self.creation() {
            child.fed(None, &self.home())?;
        }
        Ok(())
    }

    fn creation(&self) -> Vec<Child> {
        let repository = self.repository().into_os_string();
        let with = |words: &[&str]| self.child(words, vec![repository.clone()]);
        match self.contestant.tool {
            Tool::Haulier => vec![with(&["create"])],
            Tool::Restic => vec![self.child(&["init"], vec![])],
            Tool::Rustic => vec![self.child(&["init", "--set-compression", "3"], vec![])],
            Tool::Borg => vec![with(&["init", "--encryption", "repokey-blake2"])],
            Tool::Bupstash => {
                let key = vec!["--output".into(), self.key()];
                vec![with(&["init", "--repository"]), self.child(&["new-key"], key)]
            }
        }
    }

    /// The command that stores its standard input under a name. What an earlier one is called is told to Haulier alone, as
    /// its coordinator tells its workers; the peers look at all they have, or find the last one themselves.
    pub(super) fn store(&self, name: &str, kind: Kind, base: Option<&str>) -> Child {
        let repository = self.repository().into_os_string();
        match self.contestant.tool {
            Tool::Haulier => {
                let kind = match kind {
                    Kind::Rows => "rows",
                    Kind::Pages => "pages",
                };
                let base = base.iter().flat_map(|base| ["--base", base]);
                let words: Vec<&str> = ["store", "--kind", kind, "--name", name].into_iter().chain(base).collect();
                self.child(&words, vec![repository])
            }
            Tool::Restic => {
                self.child(&["backup", "--quiet", "--stdin", "--stdin-filename", "data", "--tag", name], vec![])
            }
            // Without --force it takes a stream for the last one of that name, and does not read it.
            Tool::Rustic => self.child(&["backup", "--force", "--stdin-filename", "data", "--tag", name, "-"], vec![]),
            Tool::Borg => self.child(
                &["create", "--compression", "zstd,3", "--stdin-name", "data"],
                vec![joined(&repository, name), "-".into()],
            ),
            Tool::Bupstash => self.child(
                &["put", "--quiet", "--compression", "zstd:3"],
                vec![
                    "--repository".into(),
                    repository,
                    "--key".into(),
                    self.key(),
                    "--send-log".into(),
                    self.home().join("send-log").into_os_string(),
                    format!("name={name}").into(),
                    "-".into(),
                ],
            ),
        }
    }

    /// The command that writes what is stored under a name to its standard output.
    pub(super) fn read(&self, name: &str) -> Child {
        let repository = self.repository().into_os_string();
        match self.contestant.tool {
            Tool::Haulier => self.child(&["read", "--name", name], vec![repository]),
            Tool::Restic => self.child(&["dump", "--quiet", "--tag", name, "latest", "/data"], vec![]),
            Tool::Rustic => self.child(&["dump", "--filter-tags", name, "latest:data"], vec![]),
            Tool::Borg => self.child(&["extract", "--stdout"], vec![joined(&repository, name), "data".into()]),
            Tool::Bupstash => self.child(
                &["get", "--quiet"],
                vec!["--repository".into(), repository, "--key".into(), self.key(), format!("name={name}").into()],
            ),
        }
    }

    fn child(&self, words: &[&str], more: Vec<OsString>) -> Child {
        let arguments = words.iter().map(OsString::from).chain(more).collect();
        Child { program: self.contestant.program.clone(), arguments, environment: self.environment() }
    }

    fn environment(&self) -> Vec<(String, OsString)> {
        let (home, repository) = (self.home().into_os_string(), self.repository().into_os_string());
        let cache = self.home().join("cache").into_os_string();
        let mut environment = vec![("HOME", home.clone()), ("XDG_CACHE_HOME", cache), ("TMPDIR", home.clone())];
        let password = || OsString::from(PASSWORD);
        environment.extend(match self.contestant.tool {
            Tool::Haulier => AGENT_ENVIRONMENT.map(|(name, value)| (name, value.into())).to_vec(),
            Tool::Bupstash => vec![],
            Tool::Restic => vec![("RESTIC_REPOSITORY", repository), ("RESTIC_PASSWORD", password())],
            Tool::Rustic => vec![("RUSTIC_REPOSITORY", repository), ("RUSTIC_PASSWORD", password())],
            Tool::Borg => vec![("BORG_BASE_DIR", home), ("BORG_PASSPHRASE", password())],
        });
        environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn key(&self) -> OsString {
        self.home().join("key").into_os_string()
    }
}

/// How Borg names an archive.
fn joined(repository: &OsString, name: &str) -> OsString {
    let mut archive = repository.clone();
    archive.push(format!("::{name}"));
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contestant(tool: Tool) -> Contestant {
        Contestant { tool, version: String::new(), source: String::new(), program: "/program".into() }
    }

    #[test]
    fn no_contestant_reads_less_than_everything() {
        let folder = tempfile();
        let rustic = contestant(Tool::Rustic);
        let seat = rustic.seat(&folder).unwrap();
        assert!(seat.store("day-2", Kind::Rows, None).arguments.contains(&"--force".into()));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn passwords_are_not_arguments_and_homes_are_apart() {
        let folder = tempfile();
        for tool in Tool::PEERS.into_iter().chain([Tool::Haulier]) {
            let contestant = contestant(tool);
            let seat = contestant.seat(&folder).unwrap();
            let children = [seat.store("a", Kind::Pages, Some("b")), seat.read("a")];
            for child in seat.creation().iter().chain(&children) {
                assert!(!child.arguments.iter().any(|argument| argument == PASSWORD), "{child:?}");
                let home = child.environment.iter().find(|(name, _)| *name == "HOME").unwrap();
                assert!(home.1.to_string_lossy().contains(tool.name()));
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    fn tempfile() -> PathBuf {
        let number = std::thread::current().id();
        std::env::temp_dir().join(format!("haulier-seats-{}-{number:?}", std::process::id()))
    }
}
