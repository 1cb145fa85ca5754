//! How far an export is: a bar on a terminal, plain lines elsewhere.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::export::Watcher;
use crate::output::{bytes, printable};

/// Plain lines come no faster than this.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far it is.
pub(super) struct Meter<'o> {
    to: &'o mut dyn Write,
    bar: Option<ProgressBar>,
    expected: u64,
    moved: u64,
    told_at: Instant,
}

impl<'o> Meter<'o> {
    pub(super) fn new(to: &'o mut dyn Write, has_terminal: bool) -> Self {
        let style = ProgressStyle::with_template("[{bar:24}] {bytes} of {total_bytes} {eta:>5} {wide_msg}");
        let bar = has_terminal
            .then(|| ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())));
        Self { to, bar, expected: 0, moved: 0, told_at: Instant::now() }
    }

    /// There is no more to come.
    pub(super) fn end(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&mut self, text: &str) {
        let to = &mut *self.to;
        let mut write = || writeln!(to, "{text}").and_then(|()| to.flush());
        // Whoever cannot be told how it goes is no reason to give up.
        let _ = match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        };
    }
}

impl Watcher for Meter<'_> {
    fn expects(&mut self, expected: u64) {
        self.expected = expected;
        match &self.bar {
            Some(bar) => bar.set_length(expected),
            None => self.line(&format!("{} to write", bytes(expected))),
        }
    }

    fn moved(&mut self, what: &str, count: u64) {
        self.moved += count;
        if let Some(bar) = &self.bar {
            bar.set_position(self.moved);
            bar.set_message(printable(what));
        } else if self.told_at.elapsed() >= LINE_EVERY {
            self.told_at = Instant::now();
            let text = format!(".. {} of {}, {}", bytes(self.moved), bytes(self.expected), printable(what));
            self.line(&text);
        }
    }

    fn completed(&mut self, database: &str, file: &Path) {
        let file = printable(&file.display().to_string());
        self.line(&format!("== {} is complete: {file}", printable(database)));
    }
}
