//! The deduplicating, compressing, encrypting repository. Its format is written down in `docs/repository-format.md`.
//!
//! - The coordinator creates, opens and unlocks a [`Repository`], hands one [`DomainKey`] to a worker, and publishes
//!   restore points with [`Domain::publish_point`].
//! - A worker opens its [`Domain`] with that key and writes streams through a [`Writer`] or reads them with
//!   [`Domain::read`].
//!
//! The order is law: packs, then index objects that name them, then the restore point. Everything is append-only and
//! named by its content, so any number of writers work on one domain without locks, and one that dies leaves nothing but
//! objects that nobody names.

mod base;
mod catalogue;
pub mod check;
mod chunker;
mod codec;
mod copy;
mod crypto;
mod domain;
mod error;
mod fetch;
mod ids;
mod index;
mod json;
mod keys;
mod layout;
mod list;
mod lock;
mod memory;
mod pack;
mod point;
mod pool;
mod proof;
pub mod prune;
mod reader;
mod repository;
mod similarity;
mod store;
mod stream;
mod wire;
mod writer;

pub use self::base::BasePoint;
pub use self::chunker::{Algorithm, Chunking};
pub use self::copy::CopyProgress;
pub use self::crypto::DomainKey;
pub use self::domain::{Domain, DomainConfig};
pub use self::error::{Error, ObjectKind, Result};
pub use self::ids::{ChunkId, IndexId, ListId, PackId};
pub use self::keys::manage::{KeyInfo, KeyInfoKind, Removal};
pub use self::keys::{KeyWrapper, KmsKey, NewKey, PassphraseCost, Unlock};
pub use self::layout::{DomainLayout, Layout};
pub use self::lock::Clock;
pub use self::lock::hidden::{Undelete, undelete};
pub use self::point::{FoundPoints, PointRoot};
pub use self::repository::{FORMAT_VERSION, Format, Repository, UnlockedRepository};
pub use self::stream::{ChunkRef, StreamContent, StreamKind, StreamRoot};
pub use self::writer::{StreamWriter, WriteStats, WriteSummary, Writer};
