//! Lists: the chunk ids of a stream in order, in sealed pages that form a tree with a small root.

pub(crate) mod build;
pub(crate) mod page;
pub(crate) mod walk;
