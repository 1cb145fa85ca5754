//! The whole product against the local cloud.
