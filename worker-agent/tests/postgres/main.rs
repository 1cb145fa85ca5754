//! The mover against real PostgreSQL servers: what goes in comes out equal, and what goes wrong is said.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod attempts;
mod bench;
mod equality;
mod export;
mod failures;
mod lanes;
mod large;
mod names;
mod oracle;
mod parts;
mod progress;
mod server;
mod store;
mod targets;
mod verify;
mod wire;
