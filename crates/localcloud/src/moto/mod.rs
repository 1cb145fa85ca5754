//! The third-party emulator behind the front: moto, installed from PyPI and run as a child process.
//!
//! It keeps VPCs, subnets, images, KMS, Secrets Manager and IAM. Nothing but the front talks to it.

mod client;
mod install;
mod process;

pub(crate) use client::{MotoClient, MotoRequest};
pub use install::ensure_installed;
pub use process::{MotoServer, StartError};
