//! Measures what the repository makes of streams like those of database backups: bytes and processor time of the first
//! day and the second, per way of cutting and level. `docs/adr/0006-similarity-deltas.md` has the results.
//!
//! ```text
//! cargo run --release -p haulier-repository --example measure -- [--size MB] [--days N] [--level N] [--average KIB] [--case NAME]
//! cargo run --release -p haulier-repository --example measure -- [..] --files DAY1 DAY2 [DAY3..]
//! ```

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod bucket;
mod data;

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use haulier_domain::id::{DomainId, Epoch};
use haulier_domain::point::PointSummary;
use haulier_domain::secret::SecretString;
use haulier_repository::{
    Chunking, Domain, DomainConfig, NewKey, PassphraseCost, PointRoot, Repository, StreamKind, StreamRoot,
    UnlockedRepository, WriteStats,
};

use bucket::Bucket;
use data::{Change, Table};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A stream and its later days.
struct Case {
    name: String,
    kind: StreamKind,
    days: Vec<Vec<u8>>,
    /// What `zstd -3` makes of the rows that are new on the second day.
    changed: Option<usize>,
}

struct Options {
    size: usize,
    days: u64,
    levels: Vec<i32>,
    averages: Vec<u32>,
    case: Option<String>,
    files: Vec<String>,
}

fn options() -> Result<Options, Failed> {
    let mut options =
        Options { size: 500_000_000, days: 2, levels: Vec::new(), averages: Vec::new(), case: None, files: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--size" => options.size = value()?.parse::<usize>()? * 1_000_000,
            "--days" => options.days = value()?.parse()?,
            "--level" => options.levels.push(value()?.parse()?),
            "--average" => options.averages.push(value()?.parse::<u32>()? << 10),
            "--case" => options.case = Some(value()?),
            "--files" => options.files.extend(arguments.by_ref()),
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    Ok(options)
}

const MIXED: Change = Change { updated: 100, deleted: 50, appended: 200 };
const APPENDED: Change = Change { updated: 0, deleted: 0, appended: 200 };

fn cases(options: &Options) -> Result<Vec<Case>, Failed> {
    if !options.files.is_empty() {
        let days = options.files.iter().map(std::fs::read).collect::<Result<_, _>>()?;
        return Ok(vec![Case { name: "files".to_owned(), kind: StreamKind::TableRows, days, changed: None }]);
    }
    let wanted = |name: &str| options.case.as_deref().is_none_or(|case| case == name);
    let mut cases = Vec::new();
    let one = [Table::Orders];
    for (name, tables, change) in
        [("mixed", &Table::ALL[..], MIXED), ("one-table", &one, MIXED), ("appended", &Table::ALL, APPENDED)]
    {
        if wanted(name) {
            let dumps: Vec<_> = (1..=options.days).map(|day| data::dump(tables, options.size, day, change)).collect();
            let changed = dumps.get(1).map(|dump| zstd::bulk::compress(&dump.changed, 3).map(|bytes| bytes.len()));
            let days = dumps.into_iter().map(|dump| dump.bytes).collect();
            cases.push(Case {
                name: name.to_owned(),
                kind: StreamKind::TableRows,
                days,
                changed: changed.transpose()?,
            });
        }
    }
    for (name, shift) in [("pages", 0), ("pages-shifted", 1_536)] {
        if wanted(name) {
            let first = data::pages(options.size);
            let mut second = vec![7; shift];
            second.extend(data::pages_changed(&first));
            cases.push(Case {
                name: name.to_owned(),
                kind: StreamKind::Pages,
                days: vec![first, second],
                changed: None,
            });
        }
    }
    Ok(cases)
}

/// Seconds of processor time that this process has used.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// Peak resident memory of this process since it was last asked, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() / 1024
}

async fn backup(
    domain: &Domain,
    case: &Case,
    chunking: Chunking,
    day: usize,
    base: Option<&PointRoot>,
) -> Result<(PointRoot, StreamRoot, WriteStats), Failed> {
    let base = match base {
        Some(base) => Some(domain.base_point(&base.point).await?),
        None => None,
    };
    let writer = domain.writer_on(base).await?;
    let mut stream = writer.stream_cut("dump", case.kind, chunking)?;
    for part in case.days[day].chunks(256 << 10) {
        stream.write(Bytes::copy_from_slice(part)).await?;
    }
    let stream = stream.finish().await?;
    let mut manifest = writer.stream("manifest", StreamKind::Document)?;
    manifest.write(Bytes::from(serde_json::to_vec(&stream)?)).await?;
    let manifest = manifest.finish().await?;
    let summary = writer.finish().await?;
    let root = PointRoot {
        version: PointRoot::VERSION,
        point: format!("pnt-day{day}").parse()?,
        session: format!("ses-day{day}").parse()?,
        epoch: Epoch(1),
        created: jiff::Timestamp::UNIX_EPOCH,
        engine: "postgres".to_owned(),
        manifest,
        catalogue: summary.catalogue,
        required_features: summary.required_features,
        locked_until: summary.locked_until,
        stands_on: None,
        totals: summary.totals,
        summary: PointSummary::default(),
        labels: std::collections::BTreeMap::new(),
    };
    domain.publish_point(&root).await?;
    Ok((root, stream, summary.totals))
}

async fn restore(domain: &Domain, stream: &StreamRoot, expected: &[u8]) -> Result<(), Failed> {
    let mut at = 0;
    let mut parts = std::pin::pin!(domain.read(stream));
    while let Some(part) = parts.try_next().await? {
        if expected.get(at..at + part.len()) != Some(&*part) {
            return Err(format!("what came back differs near byte {at}").into());
        }
        at += part.len();
    }
    if at == expected.len() { Ok(()) } else { Err("what came back is too short".into()) }
}

async fn measure(case: &Case, level: i32, average: u32) -> Result<(), Failed> {
    let bucket = Arc::new(Bucket::default());
    let cost = PassphraseCost { memory_kib: 64, iterations: 1, lanes: 1 };
    let key = NewKey::Passphrase(SecretString::new("measuring"), cost);
    let repository = Repository::create(bucket.clone(), "", &key, jiff::Timestamp::UNIX_EPOCH).await?;
    let id: DomainId = "dom-measure".parse()?;
    repository.domain_key(&id, true).await?;
    let folder = tempfile::tempdir()?;
    let mut last = None;
    for day in 0..case.days.len() {
        let bytes = case.days[day].len();
        let (before, started) = (bucket.size(), processor_time());
        let domain = open(&repository, &id, level, folder.path()).await?;
        let (root, stream, totals) = backup(&domain, case, Chunking::around(average), day, last.as_ref()).await?;
        let (stored, used) = (bucket.size() - before, processor_time() - started);
        let started = processor_time();
        let domain = open(&repository, &id, level, folder.path()).await?;
        restore(&domain, &stream, &case.days[day]).await?;
        let restored = processor_time() - started;
        let gigabytes = bytes as f64 / 1e9;
        let changed = case.changed.filter(|_| day == 1);
        let ratio = changed.map(|changed| format!("{:.2}", stored as f64 / changed as f64)).unwrap_or_default();
        println!(
            "| {} | {level} | {} | {} | {:.1} | {:.2} | {ratio} | {:.2} | {:.2} | {} / {} | {} | {} |",
            case.name,
            average >> 10,
            day + 1,
            bytes as f64 / 1e6,
            stored as f64 / 1e6,
            used / gigabytes,
            restored / gigabytes,
            totals.chunks_delta,
            totals.chunks_new,
            totals.bases_unusable,
            peak(),
        );
        last = Some(root);
    }
    Ok(())
}

async fn open(
    repository: &UnlockedRepository,
    id: &DomainId,
    level: i32,
    folder: &std::path::Path,
) -> Result<Domain, Failed> {
    let config = DomainConfig { threads: 2, level, ..DomainConfig::new(folder) };
    Ok(repository.domain(id, config).await?)
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let options = options()?;
    println!(
        "| stream | level | average KiB | day | MB | stored MB | times the changed rows at zstd -3 | s/GB | restore s/GB | deltas / new chunks | bases unusable | peak MiB, data included |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for case in cases(&options)? {
        let or = |given: &Vec<u32>, otherwise| if given.is_empty() { vec![otherwise] } else { given.clone() };
        let levels = if options.levels.is_empty() { vec![3] } else { options.levels.clone() };
        for average in or(&options.averages, Chunking::of(case.kind).avg) {
            for level in &levels {
                measure(&case, *level, average).await?;
            }
        }
    }
    Ok(())
}
