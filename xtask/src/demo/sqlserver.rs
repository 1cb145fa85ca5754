//! A database of SQL Server: pages that follow from a seed, in the local cloud's stand-in. It shrinks as real ones do, which is
//! measured and not taken on trust.

use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};
use e2e::cloud::Cloud;
use e2e::sqlserver::PAGE;
use e2e::{bin, documented};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::databases::{COPY, Databases, PASSWORD, PROD, SOURCE, SPARE};
use super::report::Limit;
use crate::{say, setup};

/// What the pages follow from.
const SEED: u64 = 11;
/// Pages of an extent; databases consist of whole ones.
const EXTENT: u64 = 8;
/// Pages of the twins that show whether a difference would be seen.
const TWIN: u64 = 1000;
/// What `zstd -3` is to leave of the database.
const SHRUNK: (f64, f64) = (0.3, 0.4);
/// What a second backup may store of it at most.
const STORED_AGAIN: f64 = 0.03;

/// The database.
pub(super) struct SqlServer {
    pages: u64,
    /// Its bytes after `zstd -3`.
    shrunk: u64,
}

impl SqlServer {
    /// Makes the instances, each with the documented role of native backups, and a database of so many megabytes.
    pub(super) fn set(cloud: &Cloud, megabytes: u32) -> Result<Self> {
        setup::require_package("zstd", "what the database shrinks to")?;
        for instance in [PROD, SPARE] {
            cloud.create_sqlserver(instance, PASSWORD, &documented::native_role(cloud, instance)?)?;
        }
        let pages = (u64::from(megabytes) * 1_000_000).div_ceil(PAGE * EXTENT) * EXTENT;
        say(&format!("\n# A database of {pages} pages, {} MB", pages * PAGE / 1_000_000));
        cloud.make_pages(PROD, SOURCE, SEED, pages)?;
        let (shrunk, fingerprint) = shrink(pages)?;
        ensure!(cloud.pages_of(PROD, SOURCE)? == fingerprint, "what was shrunk is not what is in the database");
        say(&format!("zstd -3 makes {} MB of it", shrunk / 1_000_000));
        Ok(Self { pages, shrunk })
    }

    fn bytes(&self) -> u64 {
        self.pages * PAGE
    }
}

impl Databases for SqlServer {
    fn change(&self, cloud: &Cloud) -> Result<&'static str> {
        cloud.change_pages(PROD, SOURCE, self.pages / 100, 1)?;
        Ok("one page in a hundred")
    }

    fn differences(&self, cloud: &Cloud) -> Result<Vec<String>> {
        let same = |one: &str, other: &str| {
            Ok::<_, anyhow::Error>(cloud.pages_of(PROD, one)? == cloud.pages_of(SPARE, other)?)
        };
        cloud.make_pages(PROD, "twin", SEED, TWIN)?;
        cloud.make_pages(SPARE, "twin", SEED, TWIN)?;
        ensure!(same("twin", "twin")?, "twins differ");
        cloud.change_pages(SPARE, "twin", 1, 1)?;
        ensure!(!same("twin", "twin")?, "a changed page was not seen");
        let equal = same(SOURCE, COPY)?;
        Ok(if equal { Vec::new() } else { vec![format!("the pages of {SOURCE:?} and of {COPY:?}")] })
    }

    fn facts(&self) -> Value {
        json!({ "pages": self.pages, "bytes": self.bytes(), "zstd_3_bytes": self.shrunk })
    }

    fn limits(&self, stored_again: u64) -> Vec<Limit> {
        let share = |bytes: u64| bytes as f64 / self.bytes() as f64;
        let (least, most) = SHRUNK;
        vec![
            Limit { what: "zstd_3_share", least, most, measured: share(self.shrunk) },
            Limit { what: "second_backup_share", least: 0.0, most: STORED_AGAIN, measured: share(stored_again) },
        ]
    }
}

/// Makes the same pages outside the cloud: how many bytes `zstd -3` makes of them, and their SHA-256.
fn shrink(pages: u64) -> Result<(u64, String)> {
    let mut maker = Command::new(bin::path("haulier-bench")?)
        .args(["pages", "--count", &pages.to_string(), "--seed", &SEED.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .context("starting haulier-bench")?;
    let mut zstd = Command::new("zstd")
        .args(["-3", "--quiet", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting zstd")?;
    let mut made = maker.stdout.take().context("the pages")?;
    let (mut into, mut from) = (zstd.stdin.take().context("zstd's input")?, zstd.stdout.take().context("its output")?);
    let counting = std::thread::spawn(move || io::copy(&mut from, &mut io::sink()));
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let length = made.read(&mut buffer).context("reading the pages")?;
        if length == 0 {
            break;
        }
        digest.update(&buffer[..length]);
        into.write_all(&buffer[..length]).context("feeding zstd")?;
    }
    drop(into);
    let shrunk =
        counting.join().map_err(|_| anyhow!("the thread that counts panicked"))?.context("reading from zstd")?;
    for (name, child) in [("haulier-bench pages", &mut maker), ("zstd", &mut zstd)] {
        let status = child.wait().with_context(|| format!("waiting for {name}"))?;
        ensure!(status.success(), "{name} ended with {status}");
    }
    Ok((shrunk, digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
