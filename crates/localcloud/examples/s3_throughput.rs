//! How fast the local cloud's S3 takes and gives objects, driven by the AWS SDK with its default checksums from within
//! the same process: `cargo run --release -p haulier-localcloud --example s3_throughput [MiB per object] [objects]`.
//!
//! Client and server share the cores, so the figures are what a benchmark of the product can reach at most, client
//! included. The disk takes part as far as the page cache lets it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use haulier_localcloud::credentials::CredentialStore;
use haulier_localcloud::s3::LocalS3;

const CONCURRENCY: usize = 8;
const BUCKET: &str = "throughput";

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are the program's output")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let sizes = match arguments.next() {
        Some(size) => vec![size.parse().context("the size of an object in MiB")?],
        None => vec![8_usize, 16, 32],
    };
    let objects: usize = arguments.next().as_deref().unwrap_or("64").parse().context("the number of objects")?;
    let folder = tempfile::tempdir()?;
    let client = serve(&folder)?;
    let place = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::EuCentral1).build();
    client.create_bucket().bucket(BUCKET).create_bucket_configuration(place).send().await?;
    for size in sizes {
        let (put, get) = measure(&client, size, objects).await?;
        println!("{objects} objects of {size} MiB, {CONCURRENCY} at once: put {put:.0} MB/s, get {get:.0} MB/s");
    }
    println!("peak memory of client and server together: {}", peak_memory()?);
    Ok(())
}

fn serve(folder: &tempfile::TempDir) -> Result<Client> {
    let credentials = Arc::new(CredentialStore::new("111122223333"));
    let root = credentials.issue_root();
    let s3 = LocalS3::new(folder.path(), credentials)?;
    let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    listener.set_nonblocking(true)?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = axum::Router::new().fallback(async move |request: axum::extract::Request| s3.handle(request).await);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(Credentials::new(root.access_key_id, root.secret_access_key, None, None, "throughput"))
        .build();
    Ok(Client::from_conf(config))
}

/// Megabytes per second of writing and of reading.
async fn measure(client: &Client, size: usize, objects: usize) -> Result<(f64, f64)> {
    let length = size << 20;
    let content: Bytes = (0..length as u64).map(|place| (place.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let megabytes = (length * objects) as f64 / 1e6;

    let begun = Instant::now();
    let put = async |number: usize| -> Result<()> {
        let body = ByteStream::from(content.clone());
        client.put_object().bucket(BUCKET).key(format!("{number}")).if_none_match("*").body(body).send().await?;
        Ok(())
    };
    stream::iter(0..objects).map(put).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    let put_rate = megabytes / begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    let get = async |number: usize| -> Result<()> {
        let mut body = client.get_object().bucket(BUCKET).key(format!("{number}")).send().await?.body;
        let mut read = 0;
        while let Some(bytes) = body.try_next().await? {
            read += bytes.len();
        }
        anyhow::ensure!(read == length, "object {number} has {read} bytes");
        Ok(())
    };
    stream::iter(0..objects).map(get).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    let get_rate = megabytes / begun.elapsed().as_secs_f64();

    for number in 0..objects {
        client.delete_object().bucket(BUCKET).key(format!("{number}")).send().await?;
    }
    Ok((put_rate, get_rate))
}

fn peak_memory() -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(peak.unwrap_or("unknown").trim().to_owned())
}
