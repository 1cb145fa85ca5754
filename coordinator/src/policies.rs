//! Policies: read from YAML, kept in the state, resolved into the resources they protect, run by the clock.
//!
//! The stored form is the operator's document as written; it is read again whenever it is needed, so that what
//! `policy show` prints is what is carried out.

mod catalogue;
pub mod document;
mod places;
mod request;
mod resolve;
pub mod scheduler;

pub use catalogue::{Applied, ApplyError, Listing, Policies, Run};
pub use places::{Found, Missed};
pub use request::{bucket_for, login_of, worker_for};
pub use resolve::{Resolution, resolve};
