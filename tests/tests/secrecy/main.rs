//! What must not be seen is nowhere, and what a worker must not do it cannot.

#[path = "../adapters/mod.rs"]
mod adapters;
#[path = "../bucket/mod.rs"]
mod bucket;
mod confined;
#[path = "../documented/mod.rs"]
mod documented;
mod planted;
