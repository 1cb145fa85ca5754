//! A laptop-sized AWS for the demo, tests and benchmarks.
//!
//! One front on one port takes every AWS request, verifies its signature, decides what third-party emulators get wrong
//! and our correctness depends on, and passes the rest on. Behind it stand real machines: PostgreSQL servers and a
//! stand-in for SQL Server as DB instances, and EC2 instances that run their user-data in namespaces of their own. Nothing here is linked into a
//! release binary.

pub mod cloud;
pub mod credentials;
pub mod front;
pub mod iam;
pub mod installer;
pub mod machines;
pub mod moto;
pub mod packages;
pub mod s3;
pub mod sqlserver;
