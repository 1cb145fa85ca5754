//! Each stage of the data path by itself, on one thread, over real data cut into chunks as the repository cuts them: the
//! limits that the whole is compared with.

use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use clap::Args;
use fastcdc::v2020::FastCDC;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};
use zstd::bulk::{Compressor, Decompressor};

/// Chunks of table rows: a quarter, the average, four times the average.
const CHUNK: (usize, usize, usize) = (64 << 10, 256 << 10, 1 << 20);

/// Seconds of processor that a stage is measured for at least.
const ENOUGH: f64 = 0.2;

/// Measures each stage of the data path by itself.
#[derive(Debug, Args)]
pub(crate) struct Stages {
    /// The data.
    input: PathBuf,
    /// Megabytes of it to use at most.
    #[arg(long, default_value_t = 256)]
    megabytes: u64,
    /// How often each stage goes over the data; the fastest time counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Measures and prints megabytes for each second of processor, and what compression makes of them.
pub(crate) fn measure(stages: &Stages) -> Result<()> {
    let mut data = Vec::new();
    File::open(&stages.input)
        .with_context(|| format!("opening {}", stages.input.display()))?
        .take(stages.megabytes * 1_000_000)
        .read_to_end(&mut data)
        .context("reading the data")?;
    ensure!(!data.is_empty(), "{} is empty", stages.input.display());
    let bench = Bench::new(&data, stages.rounds.max(1));
    let value = json!({ "bytes": data.len(), "chunks": bench.chunks.len(), "megabytes_per_second": bench.all()? });
    print(&value.to_string());
    Ok(())
}

struct Bench<'a> {
    data: &'a [u8],
    chunks: Vec<&'a [u8]>,
    rounds: usize,
}

impl<'a> Bench<'a> {
    fn new(data: &'a [u8], rounds: usize) -> Self {
        let (min, average, max) = CHUNK;
        let cut = FastCDC::new(data, min, average, max);
        let chunks = cut.map(|chunk| &data[chunk.offset..chunk.offset + chunk.length]).collect();
        Self { data, chunks, rounds }
    }

    fn all(&self) -> Result<Map<String, Value>> {
        let mut rows = Map::new();
        let mut add = |name: &str, speed: f64| rows.insert(name.to_owned(), json!(speed.round()));
        let mut buffer = vec![0; CHUNK.2 * 2];
        let copy = |chunk: &[u8]| {
            black_box(&mut buffer)[..chunk.len()].copy_from_slice(chunk);
            Ok(())
        };
        add("memcpy", self.each(copy)?);
        let (min, average, max) = CHUNK;
        let cut = || {
            black_box(FastCDC::new(self.data, min, average, max).count());
            Ok(())
        };
        add("fastcdc", self.timed(cut)?);
        let key = [7; 32];
        let hash = |chunk: &[u8]| {
            black_box(blake3::keyed_hash(&key, chunk));
            Ok(())
        };
        add("blake3", self.each(hash)?);
        for (name, level) in [("zstd_1", 1), ("zstd_3", 3)] {
            let mut zstd = Compressor::new(level).context("a zstd context")?;
            let encode =
                |chunk: &[u8]| zstd.compress_to_buffer(chunk, &mut buffer[..]).map(drop).context("compressing");
            add(name, self.each(encode)?);
        }
        add("zstd_decompress", self.decompress(&mut buffer)?);
        let seal = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).map_err(|_| anyhow!("a key of 32 bytes"))?);
        let sealed = |chunk: &[u8]| {
            let room = &mut buffer[..chunk.len()];
            let nonce = Nonce::assume_unique_for_key([0; 12]);
            // The benchmark's own key: nothing is kept, so the nonce may repeat.
            seal.seal_in_place_separate_tag(nonce, Aad::empty(), room).map(drop).map_err(|_| anyhow!("sealing"))
        };
        add("aes_256_gcm", self.each(sealed)?);
        Ok(rows)
    }

    fn decompress(&self, buffer: &mut [u8]) -> Result<f64> {
        let mut zstd = Compressor::new(3).context("a zstd context")?;
        let small: Vec<Vec<u8>> = self
            .chunks
            .iter()
            .map(|chunk| zstd.compress(chunk))
            .collect::<std::io::Result<_>>()
            .context("compressing")?;
        let mut back = Decompressor::new().context("a zstd context")?;
        self.timed(|| {
            for chunk in &small {
                black_box(back.decompress_to_buffer(chunk, buffer).context("decompressing")?);
            }
            Ok(())
        })
    }

    /// Megabytes for each second of processor of work that takes the chunks one by one.
    fn each(&self, mut work: impl FnMut(&[u8]) -> Result<()>) -> Result<f64> {
        self.timed(|| self.chunks.iter().try_for_each(|chunk| work(chunk)))
    }

    fn timed(&self, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
        let mut fastest = f64::INFINITY;
        for _ in 0..self.rounds {
            let (before, mut passes) = (processor()?, 0.0);
            // Little data is gone over until the time means something.
            let taken = loop {
                work()?;
                passes += 1.0;
                let taken = processor()? - before;
                if taken >= ENOUGH {
                    break taken;
                }
            };
            fastest = fastest.min(taken / passes);
        }
        Ok(self.data.len() as f64 / 1e6 / fastest)
    }
}

/// Seconds of processor that this thread has taken.
fn processor() -> Result<f64> {
    let taken = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("asking what this thread took")?;
    Ok(taken.tv_sec() as f64 + taken.tv_nsec() as f64 / 1e9)
}

#[expect(clippy::print_stdout, reason = "this is the command's result")]
fn print(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_speed_and_chunks_are_the_data() {
        let data: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8 ^ (n >> 12) as u8).collect();
        let bench = Bench::new(&data, 1);
        assert_eq!(bench.chunks.concat(), data);
        let rows = bench.all().unwrap();
        assert_eq!(rows.len(), 7);
        assert!(rows.values().all(|speed| speed.as_f64().unwrap() > 1.0), "{rows:?}");
    }
}
