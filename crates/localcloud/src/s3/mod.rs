//! S3: our own storage on disk behind the `s3s` protocol crate.
//!
//! The protocol crate does XML, routing, SigV4 and the chunked uploads of the SDKs. Ours is what correctness and speed
//! depend on:
//!
//! - [`store`]: objects as immutable data files and small records; an index in memory; one commit lock per bucket, so
//!   that of any number of conditional writers exactly one wins; a multipart object is the list of its parts; versions,
//!   delete markers, retention and legal holds, by a clock that can be moved ahead.
//! - [`checksum`] and [`transfer`]: every upload is verified against what its client declared while it streams to disk;
//!   nothing holds a whole object.
//! - `access`: session tokens, bucket policies, identity and session policies.
//!
//! Faults are the front's business: they surround a request and need nothing from here.
//!
//! Differences from AWS, all deliberate: entity tags are random unless the client sent `Content-MD5`; nothing is forced
//! to the disk; a bucket's ownership and default encryption are kept and change nothing in its objects; requests are answered
//! in whatever Region they are signed for; `aws:SecureTransport` is true on the plain loopback port; a public access block is kept, but has nothing to block, as nobody gets in unsigned; governance becomes
//! compliance by a bypass alone, which AWS does not say; archive classes, ACLs, MFA delete and customer keys answer
//! `NotImplemented`.

mod access;
mod body;
pub mod checksum;
mod lifecycle;
mod operations;
mod service;
pub mod store;
pub mod transfer;

pub use service::LocalS3;
