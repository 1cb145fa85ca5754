//! The front over the wire: real requests, really signed, against the real emulator, with doubles of the machines.
//!
//! The tables in the crate say what is decided; this says that it is what a caller gets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod cloud;
mod doubles;
mod ec2;
mod emulator;
mod faults;
mod identity;
mod rds;
