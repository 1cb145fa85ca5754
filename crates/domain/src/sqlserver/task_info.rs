//! What a task writes down while it goes on: a growing text of entries, each after its moment in brackets, often all on one
//! line. Two things move: SQL Server reads the database (`45 percent processed.`), and what it has read goes to S3
//! (`orders.bak: Completed processing 40% of S3 chunks.`).

use std::collections::BTreeMap;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was written, without brackets; empty for what stands before the first.
    pub at: &'a str,
    /// What it says.
    pub text: &'a str,
}

/// How far a task has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Percent of the database that SQL Server has processed.
    pub processed: Option<u32>,
    /// Percent of the files that have passed to or from S3, all of them together.
    pub transferred: Option<u32>,
}

/// Shape of a moment: digits are `0`.
const MOMENT: &[u8] = b"[0000-00-00 00:00:00.000]";

/// Splits the text into its entries.
pub fn entries(info: &str) -> Vec<Entry<'_>> {
    let mut found = Vec::new();
    let (mut at, mut rest) = ("", info);
    loop {
        let next = rest.as_bytes().windows(MOMENT.len()).position(is_moment);
        let text = rest[..next.unwrap_or(rest.len())].trim();
        if !text.is_empty() {
            found.push(Entry { at, text });
        }
        let Some(next) = next else { return found };
        at = &rest[next + 1..next + MOMENT.len() - 1];
        rest = &rest[next + MOMENT.len()..];
    }
}

fn is_moment(bytes: &[u8]) -> bool {
    bytes.iter().zip(MOMENT).all(|(byte, shape)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape })
}

/// How far a task has come that was given so many files.
pub fn progress(info: &str, files: u32) -> Progress {
    let mut processed = None;
    let mut transferred: BTreeMap<&str, u32> = BTreeMap::new();
    for line in entries(info).iter().flat_map(|entry| entry.text.lines()) {
        if let Some(percent) = processed_of(line) {
            processed = processed.max(Some(percent));
        } else if let Some((file, percent)) = transferred_of(line) {
            let known = transferred.entry(file).or_default();
            *known = (*known).max(percent);
        }
    }
    let count = u32::try_from(transferred.len()).unwrap_or(u32::MAX).max(files).max(1);
    let all = (!transferred.is_empty()).then(|| transferred.values().sum::<u32>() / count);
    Progress { processed, transferred: all }
}

/// Whether a line says no more than how far the task has come.
pub(super) fn is_progress(line: &str) -> bool {
    let line = line.trim();
    line.is_empty()
        || processed_of(line).is_some()
        || transferred_of(line).is_some()
        || line.starts_with("Task execution has started")
        || line.contains("task will initiate a multi-file task with")
        || line.starts_with("The files are:")
}

fn processed_of(line: &str) -> Option<u32> {
    percent(line.trim().strip_suffix('.').unwrap_or(line.trim()).strip_suffix(" percent processed")?)
}

fn transferred_of(line: &str) -> Option<(&str, u32)> {
    let (file, rest) = line.trim().split_once(": Completed processing ")?;
    let (number, _) = rest.split_once("% of S3 chunks")?;
    Some((file, percent(number)?))
}

fn percent(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|percent| *percent <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_LINE: &str = "[2025-10-03 02:01:07.540] Task execution has started. [2025-10-03 02:01:08.010] BACKUP_DB task will initiate a multi-file task with 2 file(s). The files are: a1-of-2.bak, a2-of-2.bak [2025-10-03 02:05:00.000] 5 percent processed. [2025-10-03 02:06:00.000] a1-of-2.bak: Completed processing 5% of S3 chunks. [2025-10-03 02:07:00.000] 10 percent processed. [2025-10-03 02:07:30.000] a1-of-2.bak: Completed processing 10% of S3 chunks.";

    #[test]
    fn entries_are_split_at_their_moments_on_one_line_or_many() {
        let many = ONE_LINE.replace(" [", "\n[");
        for info in [ONE_LINE, &many] {
            let found = entries(info);
            assert_eq!(found.len(), 6, "{found:?}");
            assert_eq!(found[0], Entry { at: "2025-10-03 02:01:07.540", text: "Task execution has started." });
            assert_eq!(found[4].text, "10 percent processed.");
        }
        let odd = entries("a preface [not a moment] [2025-10-03 02:01:07.540]é[2025-10-03 02:01:07.541]");
        assert_eq!(odd.len(), 2, "{odd:?}");
        assert_eq!((odd[0].at, odd[0].text, odd[1].text), ("", "a preface [not a moment]", "é"));
        assert!(entries("").is_empty());
    }

    #[test]
    fn both_tracks_are_followed() {
        assert_eq!(progress(ONE_LINE, 2), Progress { processed: Some(10), transferred: Some(5) });
        assert_eq!(progress(ONE_LINE, 1), Progress { processed: Some(10), transferred: Some(10) });
        assert_eq!(progress("[2025-10-03 02:01:07.540] Task execution has started.", 1), Progress::default());
        assert_eq!(progress("101 percent processed.", 1), Progress::default());
        assert_eq!(progress("100 percent processed.", 1).processed, Some(100));
    }

    #[test]
    fn all_of_a_healthy_text_is_progress() {
        let sentences = entries(ONE_LINE).iter().flat_map(|entry| entry.text.split(". ")).collect::<Vec<_>>();
        assert!(sentences.iter().all(|sentence| is_progress(sentence)), "{sentences:?}");
        assert!(!is_progress("Access Denied"));
    }
}
