//! 8 KiB pages as a native backup of SQL Server carries them: header, rows, free space, slots.
//!
//! A page depends on the seed, on its number and on its generation alone, so a later state of the same database differs
//! from an earlier one in exactly the pages that were changed. For benchmarks and for the local cloud: nothing of it is in
//! a release binary.

mod page;
mod random;

pub use page::{PAGE, PageMaker, number};
pub use random::Random;
