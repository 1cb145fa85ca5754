//! The reader that is not Haulier, run over files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use sha2::{Digest, Sha256};

use crate::support::{Bucket, PREFIX, passphrase};

/// A repository as files, and a place for what the reader writes.
pub(crate) struct Files {
    pub(crate) repository: PathBuf,
    scratch: tempfile::TempDir,
}

/// The option for a key, and the file that it names.
pub(crate) const PASSPHRASE: [&str; 2] = ["--passphrase-file", "passphrase"];

/// Streams by the names of their files.
pub(crate) type Restored = BTreeMap<String, String>;

pub(crate) fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

impl Files {
    /// Those that are there already.
    pub(crate) fn at(repository: PathBuf) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("passphrase"), format!("{}\n", passphrase().expose())).unwrap();
        Self { repository, scratch }
    }

    /// The objects of a bucket.
    pub(crate) fn of(bucket: &Bucket) -> Self {
        let files = Self::at(PathBuf::new());
        let repository = files.path("repository");
        for key in bucket.keys(PREFIX) {
            let path = repository.join(key[PREFIX.len()..].trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bucket.object(&key)).unwrap();
        }
        Self { repository, ..files }
    }

    /// A path of that name beside the repository.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The path of an object.
    pub(crate) fn object(&self, name: &str) -> PathBuf {
        self.repository.join(name)
    }

    /// The objects whose names start so.
    pub(crate) fn objects(&self, start: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.repository, &mut found);
        let names = found.iter().map(|path| path.strip_prefix(&self.repository).unwrap().to_str().unwrap().to_owned());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
        names.sort();
        names
    }

    /// Runs the reader with a key and these arguments.
    pub(crate) fn run(&self, key: [&str; 2], arguments: &[&str]) -> Output {
        let [option, file] = key;
        let mut command = e2e::reader::command().unwrap();
        command.arg(option).arg(self.path(file)).args(arguments);
        command.output().unwrap()
    }

    /// The lines that a command prints.
    pub(crate) fn lines(&self, command: &str) -> Vec<String> {
        let output = self.run(PASSPHRASE, &[command, self.repository.to_str().unwrap()]);
        printed(&output).lines().map(str::to_owned).collect()
    }

    /// Restores a point and gives the digests of what has been written, once they are those that the reader prints.
    pub(crate) fn restore(&self, point: &str) -> Restored {
        self.restore_with(PASSPHRASE, point)
    }

    /// The same with another key.
    pub(crate) fn restore_with(&self, key: [&str; 2], point: &str) -> Restored {
        let target = self.path(point);
        let arguments = ["restore", self.repository.to_str().unwrap(), point, target.to_str().unwrap()];
        let output = self.run(key, &arguments);
        let mut found = Vec::new();
        walk(&target, &mut found);
        let written: Restored = found
            .iter()
            .map(|path| {
                let name = path.strip_prefix(&target).unwrap().to_str().unwrap().to_owned();
                (name, sha256(&fs::read(path).unwrap()))
            })
            .collect();
        let lines = printed(&output);
        let told: Restored = lines
            .lines()
            .map(|line| {
                let (digest, name) = line.split_once("  ").unwrap();
                (name.to_owned(), digest.to_owned())
            })
            .collect();
        assert_eq!(told, written);
        fs::remove_dir_all(target).unwrap();
        told
    }

    /// What a check says when it refuses, which it has to.
    pub(crate) fn check_refusal(&self) -> String {
        refusal(&self.run(PASSPHRASE, &["check", self.repository.to_str().unwrap()]))
    }

    /// What is said where a point cannot be restored, `None` where it can; nothing half-written is left.
    pub(crate) fn restore_refusal(&self, point: &str) -> Option<String> {
        let target = self.path(point);
        let arguments = ["restore", self.repository.to_str().unwrap(), point, target.to_str().unwrap()];
        let output = self.run(PASSPHRASE, &arguments);
        let mut found = Vec::new();
        walk(&target, &mut found);
        assert!(found.iter().all(|path| path.extension().is_none_or(|end| end != "partial")), "{found:?}");
        let _ = fs::remove_dir_all(target);
        (!output.status.success()).then(|| refusal(&output))
    }
}

/// What the reader has said when it refused in an orderly way.
pub(crate) fn refusal(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let orderly = output.status.code() == Some(1) && said.starts_with("refused: ") && !said.contains("Traceback");
    assert!(orderly, "{}\n{said}", output.status);
    said
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}
