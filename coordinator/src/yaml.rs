//! YAML as operators write it, read so that every fault is told at once with its line.
//!
//! A document is parsed into a tree that knows where each value stands; then a [`Reader`] takes the tree apart by hand.
//! Deriving the types would be shorter, but it stops at the first fault, and whoever has five of them would have to try
//! five times. Keys that nobody asks for are faults too, with the nearest known key as a suggestion.

mod fault;
mod reader;
mod tree;

pub use fault::{DocumentFault, Faults};
pub use reader::{Fields, Reader};
pub use tree::{Node, Place, parse};

#[cfg(test)]
mod tests;
