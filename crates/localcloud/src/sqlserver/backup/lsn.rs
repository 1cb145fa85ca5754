//! Log sequence numbers.

use serde::{Deserialize, Serialize};

/// A place in the log: virtual log file, block, slot. Later places are greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Lsn {
    pub(crate) file: u32,
    pub(crate) block: u32,
    pub(crate) slot: u16,
}

impl Lsn {
    /// As `msdb.dbo.backupset` shows it, `numeric(25,0)`.
    pub(crate) fn number(self) -> i128 {
        i128::from(self.file) * 1_000_000_000_000_000 + i128::from(self.block) * 100_000 + i128::from(self.slot)
    }

    /// A later place, so many blocks on.
    pub(crate) fn after(self, blocks: u32) -> Self {
        match self.block.checked_add(blocks) {
            Some(block) => Self { block, slot: 1, ..self },
            None => Self { file: self.file + 1, block: 1, slot: 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_msdb_shows_them() {
        assert_eq!(Lsn { file: 21, block: 159, slot: 37 }.number(), 21_000_000_015_900_037);
        assert!(Lsn { file: 21, block: 159, slot: 37 } < Lsn { file: 21, block: 160, slot: 1 });
    }
}
