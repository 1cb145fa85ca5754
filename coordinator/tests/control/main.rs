//! The control service of a running coordinator over doubles, asked through its real listener.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod copies;
mod immutability;
mod import;
mod keys;
mod native;
mod operators;
mod points;
mod policies;
mod proofs;
mod refusals;
mod repeats;
mod scene;
mod schedule;
mod sessions;
