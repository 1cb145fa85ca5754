//! The index: which pack holds a chunk, and where. In the store it is a set of sealed, append-only tables, each written
//! once the packs it names are durable. On the local disk it is a set of sorted segments behind a filter, in a bounded
//! amount of memory whatever the domain's size.

pub(crate) mod doubtful;
pub(crate) mod filter;
pub(crate) mod listing;
pub(crate) mod load;
pub(crate) mod local;
pub(crate) mod object;
pub(crate) mod row;
pub(crate) mod segment;
pub(crate) mod sketches;
pub(crate) mod tiers;
