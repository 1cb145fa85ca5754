//! What the movers of all engines are given to work with: streams in the repository, logins, and somebody to tell.

use std::net::IpAddr;

pub mod login;
pub(crate) mod side_by_side;
pub mod sinks;
pub mod streams;

/// How to reach a database instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its identifier, for texts.
    pub id: String,
    /// DNS name; the server's certificate must be for it. Or the folder of a socket of this machine.
    pub host: String,
    /// Address to connect to instead of resolving the name.
    pub address: Option<IpAddr>,
    /// TCP port.
    pub port: u16,
}
