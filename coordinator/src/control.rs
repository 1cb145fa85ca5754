//! The control service: what operators ask of the coordinator, over TLS and with a token.
//!
//! It decides nothing itself: it reads a request, asks [`crate::sessions`] and [`crate::policies`], and says the answer
//! in wire messages. A refusal carries the whole failure, so that the command line shows code, cause and remedy.

mod convert;
mod copy;
mod filters;
mod import;
mod keys;
mod listener;
mod neighbour;
mod prune;
mod repeat;
mod repository;
mod restore;
mod service;
mod session;
mod start;
mod status;
mod tail;
mod token;

pub use listener::{ControlError, ControlListener, serve};
pub use service::Control;
pub use token::{OperatorToken, TokenError};
