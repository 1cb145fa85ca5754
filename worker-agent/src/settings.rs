//! Where things are on this machine. The image's places are the defaults.

use std::path::{Path, PathBuf};

use clap::Parser;

/// The agent that moves data on a Haulier worker.
#[derive(Debug, Clone, Parser)]
#[command(name = "haulier-worker", version)]
pub struct Settings {
    /// The document this instance was launched with. It is removed once read: there is a token in it.
    #[arg(long, value_name = "FILE")]
    pub user_data: PathBuf,
    /// Authorities that sign the certificates of RDS servers, PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "HAULIER_WORKER_CA_BUNDLE",
        default_value = "/usr/share/haulier/rds-ca.pem"
    )]
    pub ca_bundle: PathBuf,
    /// Folder with one `<major>/bin` of PostgreSQL clients each.
    #[arg(long, value_name = "DIR", env = "HAULIER_WORKER_POSTGRESQL_ROOT", default_value = "/usr/lib/postgresql")]
    pub postgresql_root: PathBuf,
    /// Folder for the repository's index.
    #[arg(long, value_name = "DIR", env = "HAULIER_WORKER_CACHE_DIR", default_value = "/var/cache/haulier")]
    pub cache_dir: PathBuf,
    /// Folder in memory for small files that a child process reads: password files, lists of entries.
    #[arg(long, value_name = "DIR", env = "HAULIER_WORKER_PRIVATE_DIR", default_value = "/run/haulier")]
    pub private_dir: PathBuf,
    /// Command that powers the machine off, run without arguments.
    #[arg(long, value_name = "FILE", env = "HAULIER_WORKER_POWER_OFF", default_value = "/usr/lib/haulier/power-off")]
    pub power_off: PathBuf,
}

impl Settings {
    /// Majors of the PostgreSQL clients on board, oldest first.
    pub fn postgresql_majors(&self) -> Vec<u32> {
        majors_under(&self.postgresql_root)
    }
}

fn majors_under(root: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut majors: Vec<u32> = entries
        .filter(|entry| entry.path().join("bin/pg_dump").exists())
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable();
    majors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_with_a_pg_dump_are_majors() {
        let root = tempfile::tempdir().unwrap();
        for (folder, has_client) in [("16", true), ("9", true), ("17", false), ("latest", true)] {
            let bin = root.path().join(folder).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            if has_client {
                std::fs::write(bin.join("pg_dump"), "").unwrap();
            }
        }
        assert_eq!(majors_under(root.path()), [9, 16]);
        assert!(majors_under(&root.path().join("nowhere")).is_empty());
    }
}
