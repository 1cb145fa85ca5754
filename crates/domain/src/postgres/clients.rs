//! Which client tools fit a server. A `pg_dump` reads servers up to its own major version; its output is meant for that
//! version or newer; `pg_restore` of a newer major sends settings an older server does not know.

/// The tools to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Their major version.
    pub major: u32,
    /// Whether they are newer than the server, which deserves a warning.
    pub newer: bool,
}

/// Major version of a `server_version_num`.
pub fn major(server_version_num: u32) -> u32 {
    server_version_num / 10_000
}

/// Chooses among the majors on board: the server's own, else the next newer.
pub fn choose(server_major: u32, available: &[u32]) -> Option<Choice> {
    available
        .iter()
        .copied()
        .filter(|&major| major >= server_major)
        .min()
        .map(|major| Choice { major, newer: major > server_major })
}

/// Whether what was dumped from one major version may be restored into another.
pub fn may_restore(source_major: u32, target_major: u32) -> bool {
    target_major >= source_major
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_major_is_preferred_and_older_tools_never_serve() {
        let choice = |major, newer| Some(Choice { major, newer });
        assert_eq!(choose(15, &[13, 15, 17]), choice(15, false));
        assert_eq!(choose(15, &[18, 17, 14]), choice(17, true));
        assert_eq!(choose(18, &[15, 17]), None);
        assert_eq!(choose(15, &[]), None);
    }

    #[test]
    fn restores_go_upwards_only() {
        assert!(may_restore(15, 15) && may_restore(15, 18) && !may_restore(16, 15));
        assert_eq!(major(150_018), 15);
    }
}
