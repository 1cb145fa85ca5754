//! What a restore writes into the comment of a database, for the next attempt of the same session to read. A worker can
//! be killed at any time; what it leaves on the target must say by itself how far it came.

/// How far a restore came with a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// On a database under its working name: the one that it is to replace takes no connections any more, for as long
    /// as the swap takes.
    Closed,
    /// On a database under its final name: it is complete. Its share of the report, as the worker wrote it.
    Restored(String),
}

const CLOSED: &str = "closed";
const RESTORED: &str = "restored ";

/// The comment of a restore under this key.
pub fn write(key: &str, mark: &Mark) -> String {
    match mark {
        Mark::Closed => format!("{}{CLOSED}", prefix(key)),
        Mark::Restored(report) => format!("{}{RESTORED}{report}", prefix(key)),
    }
}

/// Reads a comment: `None` where it is nobody's mark, or that of a restore under another key.
pub fn read(key: &str, comment: &str) -> Option<Mark> {
    let rest = comment.strip_prefix(&prefix(key))?;
    match rest.strip_prefix(RESTORED) {
        Some(report) => Some(Mark::Restored(report.to_owned())),
        None => (rest == CLOSED).then_some(Mark::Closed),
    }
}

fn prefix(key: &str) -> String {
    format!("haulier restore {key}: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_under_its_own_key_alone() {
        for mark in [Mark::Closed, Mark::Restored("{\"a\": \"restored b\"}".into()), Mark::Restored(String::new())] {
            let comment = write("ses-1", &mark);
            assert_eq!(read("ses-1", &comment), Some(mark));
            assert_eq!(read("ses-", &comment), None);
            assert_eq!(read("ses-11", &comment), None);
        }
        for comment in ["", "closed", "haulier restore ses-1: opened", "our haulier restore ses-1: closed"] {
            assert_eq!(read("ses-1", comment), None, "{comment:?}");
        }
    }
}
