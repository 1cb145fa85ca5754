//! The mover against real PostgreSQL servers: what goes in comes out equal, and what goes wrong is said.

mod bench;
mod equality;
mod failures;
mod large;
mod oracle;
mod parts;
mod server;
mod store;
mod targets;
