//! The instance metadata service, version 2 only: without a session token nothing is told.
//!
//! One server on the gateway answers for all instances; each is led there from 169.254.169.254 by its own namespace and
//! recognised by its address.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, put};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::InstanceSpec;

const TTL_HEADER: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const LONGEST_TTL: u64 = 21_600;

/// What is told to whom.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    entries: Mutex<HashMap<Ipv4Addr, Entry>>,
}

#[derive(Debug)]
struct Entry {
    instance: String,
    user_data: Vec<u8>,
    tree: BTreeMap<String, String>,
    /// Session tokens and when they end.
    tokens: HashMap<String, Instant>,
}

impl Metadata {
    /// Starts the server on the gateway; returns its port. It ends with `shutdown`.
    pub(crate) async fn serve(self: Arc<Self>, gateway: Ipv4Addr, shutdown: CancellationToken) -> anyhow::Result<u16> {
        let listener = TcpListener::bind((gateway, 0)).await.context("binding the metadata service")?;
        let port = listener.local_addr().context("binding the metadata service")?.port();
        let routes = axum::Router::new()
            .route("/latest/api/token", put(issue_token))
            .route("/latest/{*path}", get(read))
            .with_state(self)
            .into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move {
            let served = axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "the metadata service has ended");
            }
        });
        Ok(port)
    }

    pub(crate) fn add(&self, address: Ipv4Addr, spec: &InstanceSpec) {
        let mut tree = spec.metadata.clone();
        tree.entry("meta-data/instance-id".into()).or_insert_with(|| spec.id.clone());
        tree.entry("meta-data/local-ipv4".into()).or_insert_with(|| address.to_string());
        let entry =
            Entry { instance: spec.id.clone(), user_data: spec.user_data.clone(), tree, tokens: HashMap::new() };
        self.lock().insert(address, entry);
    }

    pub(crate) fn remove(&self, address: Ipv4Addr) {
        self.lock().remove(&address);
    }

    pub(crate) fn set(&self, instance: &str, path: &str, body: String) -> anyhow::Result<()> {
        let mut entries = self.lock();
        let entry = entries.values_mut().find(|entry| entry.instance == instance);
        ensure!(entry.is_some(), "there is no instance {instance}");
        if let Some(entry) = entry {
            entry.tree.insert(path.trim_start_matches('/').to_owned(), body);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Ipv4Addr, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn admits(&self, headers: &HeaderMap, now: Instant) -> bool {
        let token = headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok());
        token.and_then(|token| self.tokens.get(token)).is_some_and(|end| *end > now)
    }

    /// A leaf's text, or the names below a folder, folders with a slash at the end.
    fn answer(&self, path: &str) -> Option<Vec<u8>> {
        if path == "user-data" {
            return (!self.user_data.is_empty()).then(|| self.user_data.clone());
        }
        if let Some(body) = self.tree.get(path) {
            return Some(body.clone().into_bytes());
        }
        let folder = format!("{}/", path.trim_end_matches('/'));
        let children: BTreeSet<String> = self
            .tree
            .keys()
            .filter_map(|key| key.strip_prefix(&folder))
            .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(name, _)| format!("{name}/")))
            .collect();
        (!children.is_empty()).then(|| children.into_iter().collect::<Vec<_>>().join("\n").into_bytes())
    }
}

async fn issue_token(
    State(metadata): State<Arc<Metadata>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    // AWS refuses tokens to what a proxy forwards.
    if headers.contains_key("x-forwarded-for") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let ttl = headers.get(&TTL_HEADER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
    let Some(ttl) = ttl.filter(|ttl| (1..=LONGEST_TTL).contains(ttl)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut entries = metadata.lock();
    let Some(entry) = address_of(peer).and_then(|address| entries.get_mut(&address)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let now = Instant::now();
    entry.tokens.retain(|_, end| *end > now);
    let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    entry.tokens.insert(token.clone(), now + Duration::from_secs(ttl));
    ([(TTL_HEADER, ttl.to_string())], token).into_response()
}

async fn read(
    State(metadata): State<Arc<Metadata>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    let entries = metadata.lock();
    let Some(entry) = address_of(peer).and_then(|address| entries.get(&address)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if !entry.admits(&headers, Instant::now()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match entry.answer(path.trim_matches('/')) {
        Some(body) => ([(header::CONTENT_TYPE, "text/plain")], body).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn address_of(peer: SocketAddr) -> Option<Ipv4Addr> {
    match peer.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let leaf = |path: &str| (path.to_owned(), format!("body of {path}"));
        let tree = [
            leaf("meta-data/instance-id"),
            leaf("meta-data/placement/region"),
            leaf("meta-data/iam/security-credentials/haulier-worker"),
        ];
        Entry { instance: "i-1".into(), user_data: b"data".to_vec(), tree: tree.into(), tokens: HashMap::new() }
    }

    fn text(path: &str) -> Option<String> {
        entry().answer(path).map(|body| String::from_utf8(body).unwrap())
    }

    #[test]
    fn leaves_are_told_and_folders_are_listed() {
        assert_eq!(text("user-data").as_deref(), Some("data"));
        assert_eq!(text("meta-data/placement/region").as_deref(), Some("body of meta-data/placement/region"));
        assert_eq!(text("meta-data").as_deref(), Some("iam/\ninstance-id\nplacement/"));
        assert_eq!(text("meta-data/iam/security-credentials").as_deref(), Some("haulier-worker"));
        assert_eq!(text("meta-data/nothing"), None);
    }

    #[test]
    fn a_token_opens_until_it_ends() {
        let (mut entry, now) = (entry(), Instant::now());
        entry.tokens.insert("token".into(), now + Duration::from_secs(5));
        let mut headers = HeaderMap::new();
        assert!(!entry.admits(&headers, now));
        headers.insert(TOKEN_HEADER, "other".parse().unwrap());
        assert!(!entry.admits(&headers, now));
        headers.insert(TOKEN_HEADER, "token".parse().unwrap());
        assert!(entry.admits(&headers, now));
        assert!(!entry.admits(&headers, now + Duration::from_secs(6)));
    }
}
