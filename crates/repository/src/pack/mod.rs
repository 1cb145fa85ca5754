//! Packs: objects of some tens of megabytes that hold sealed chunks, and at their end a sealed table of them. The table
//! repeats what the index says of the chunks, so that the index can be rebuilt from the packs alone.

pub(crate) mod builder;
pub(crate) mod open;
pub(crate) mod record;
