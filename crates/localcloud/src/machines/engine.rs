//! Engines that DB instances can have.

use crate::sqlserver::Edition;

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// `postgres`.
    Postgres,
    /// `sqlserver-…`.
    SqlServer(Edition),
}

impl Engine {
    /// An engine by RDS's name for it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let edition = Edition::ALL.into_iter().find(|edition| edition.engine() == name);
        if name == "postgres" { Some(Self::Postgres) } else { edition.map(Self::SqlServer) }
    }

    /// RDS's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::SqlServer(edition) => edition.engine(),
        }
    }

    /// TCP port where none is chosen.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::SqlServer(_) => 1433,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["postgres", "sqlserver-ee", "sqlserver-se", "sqlserver-web", "sqlserver-ex"] {
            assert_eq!(Engine::named(name).map(Engine::name), Some(name));
        }
        assert_eq!(Engine::named("mysql"), None);
    }
}
