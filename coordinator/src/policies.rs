//! Policies: read from YAML, kept in the state, resolved into the resources they protect, run by the clock.
//!
//! The stored form is the operator's document as written; it is read again whenever it is needed, so that what
//! `policy show` prints is what is carried out.

pub mod document;
