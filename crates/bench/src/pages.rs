//! A file of database pages, as a native backup of SQL Server carries them.

use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use clap::Args;
use haulier_pages::{PAGE, PageMaker, Random};

/// Writes a file of database pages to standard output.
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

/// Writes it.
pub(crate) fn write(pages: &Pages) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut write = |bytes: &[u8]| out.write_all(bytes).context("writing pages");
    let mut random = Random::new(pages.seed, u64::MAX);
    let header: Vec<u8> = (0..pages.shift).map(|_| random.next() as u8).collect();
    write(&header)?;
    let mut page = [0; PAGE];
    let maker = PageMaker::new();
    for number in 0..pages.count {
        maker.fill(&mut page, pages.seed, number);
        if is_changed(pages.seed, number, pages.changed) {
            maker.rewrite(&mut page, 1);
        }
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
