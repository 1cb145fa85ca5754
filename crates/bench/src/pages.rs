//! A file of database pages, as a native backup of SQL Server carries them.

use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use clap::Args;
use haulier_pages::{PAGE, PageMaker, Random};

/// A file of database pages.
#[derive(Debug, Args)]
pub(crate) struct Pages {
    /// How many pages.
    #[arg(long)]
    count: u32,
    /// What the content depends on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pages of a thousand that have changed since the file was first written.
    #[arg(long, default_value_t = 0)]
    changed: u64,
    /// Bytes of another container's header before the first page.
    #[arg(long, default_value_t = 0)]
    shift: usize,
}

impl Pages {
    /// What stands before the first page.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut random = Random::new(self.seed, u64::MAX);
        (0..self.shift).map(|_| random.next() as u8).collect()
    }

    /// How many pages.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Makes the page of that number.
    pub(crate) fn page(&self, maker: &PageMaker, number: u32, page: &mut [u8; PAGE]) {
        maker.fill(page, self.seed, number);
        if is_changed(self.seed, number, self.changed) {
            maker.rewrite(page, 1);
        }
    }
}

/// Writes it.
pub(crate) fn write(pages: &Pages) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut write = |bytes: &[u8]| out.write_all(bytes).context("writing pages");
    write(&pages.header())?;
    let mut page = [0; PAGE];
    let maker = PageMaker::new();
    for number in 0..pages.count {
        pages.page(&maker, number, &mut page);
        write(&page)?;
    }
    out.flush().context("writing pages")
}

/// Whether a page is among those that changed.
fn is_changed(seed: u64, number: u32, of_thousand: u64) -> bool {
    Random::new(seed ^ 0xC0FF_EE00, u64::from(number)).next() % 1000 < of_thousand
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_in_a_hundred_changes() {
        let changed = (0..5_000).filter(|number| is_changed(1, *number, 10)).count();
        assert!((35..65).contains(&changed), "{changed}");
    }
}
