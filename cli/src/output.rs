//! Answers on stdout: a table for people, JSON for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use jiff::Timestamp;
use serde::Serialize;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// JSON with stable field names; one object a line where a command follows something
    Json,
}

/// Something that can be a row of a table.
pub(crate) trait Row {
    /// Heads of the columns. One that begins with '>' is of numbers and stands to the right.
    const HEAD: &'static [&'static str];

    /// The row's cells.
    fn cells(&self) -> Vec<String>;
}

/// Writes a list as JSON or as a table.
pub(crate) fn list<T: Row + Serialize>(to: &mut dyn Write, format: Format, items: &[T]) -> io::Result<()> {
    match format {
        Format::Json => json(to, items),
        Format::Table => table(to, items),
    }
}

/// Writes one value as pretty JSON.
pub(crate) fn json<T: Serialize + ?Sized>(to: &mut dyn Write, value: &T) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *to, value).map_err(io::Error::from)?;
    writeln!(to)
}

/// Writes one value as a line of JSON.
pub(crate) fn json_line<T: Serialize + ?Sized>(to: &mut dyn Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value).map_err(io::Error::from)?;
    writeln!(to)?;
    to.flush()
}

/// Writes a table without lines, as other command lines do, so that `awk` can read it too.
pub(crate) fn table<T: Row>(to: &mut dyn Write, items: &[T]) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING).force_no_tty();
    let aligned = |text: &str, head: &str| {
        let align = if head.starts_with('>') { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(align)
    };
    table.set_header(T::HEAD.iter().map(|head| aligned(head.trim_start_matches('>'), head)));
    for item in items {
        table.add_row(item.cells().iter().zip(T::HEAD).map(|(cell, head)| aligned(&printable(cell), head)));
    }
    for line in table.lines() {
        writeln!(to, "{}", line.strip_prefix(' ').unwrap_or(&line).trim_end())?;
    }
    Ok(())
}

/// Writes names and values below each other, the values aligned. Empty values are left out.
pub(crate) fn record(to: &mut dyn Write, fields: &[(&str, String)]) -> io::Result<()> {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 1;
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(to, "{:width$} {}", format!("{name}:"), printable(value))?;
    }
    Ok(())
}

/// The text without what could move a terminal's cursor: names of databases may hold anything.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

/// A number of bytes in the largest unit that leaves a digit before the point.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A moment, to the second, in UTC.
pub(crate) fn moment(at: Option<Timestamp>) -> String {
    at.map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default()
}

/// A number of seconds as a clock shows it.
pub(crate) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        for (count, want) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB"), (u64::MAX, "16777216.0 TiB")]
        {
            assert_eq!(bytes(count), want);
        }
        for (seconds, want) in [(0, "0:00"), (61, "1:01"), (3661, "1:01:01")] {
            assert_eq!(clock(seconds), want);
        }
        assert_eq!(moment("2026-11-20T01:02:03.9Z".parse().ok()), "2026-11-20 01:02:03Z");
        assert_eq!(moment(None), "");
    }

    #[test]
    fn a_hostile_name_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
