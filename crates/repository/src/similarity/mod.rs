//! Finding what a new chunk resembles. A few changed rows make every chunk of a table new, yet each of them is nearly one
//! that an earlier restore point has: stored as a delta on that one, it takes what was changed, and no more.
//!
//! Candidates come first from the chunk's *place*: the stream of the same name in the base point is followed along
//! (`follow`), since a dump comes in the same order each day. What has moved is found by its *sketch* (`sketch`, and
//! `index::sketches`). Whether a delta is kept is decided by its size alone (`worth`).
//!
//! Invariants: a base is a whole chunk, never a delta, so that a restore reads one more chunk and no chain; nothing of
//! this is needed for reading; whatever goes wrong here makes a backup larger, never wrong.

pub(crate) mod follow;
pub(crate) mod sketch;
pub(crate) mod worth;
