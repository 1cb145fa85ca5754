//! Editions, which decide what an instance is called and what it can do.

use std::fmt;

/// An edition of SQL Server on RDS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edition {
    /// `sqlserver-ee`.
    Enterprise,
    /// `sqlserver-se`.
    Standard,
    /// `sqlserver-web`.
    Web,
    /// `sqlserver-ex`.
    Express,
}

impl Edition {
    /// Every edition.
    pub const ALL: [Self; 4] = [Self::Enterprise, Self::Standard, Self::Web, Self::Express];

    /// RDS's name of the engine.
    #[must_use]
    pub fn engine(self) -> &'static str {
        match self {
            Self::Enterprise => "sqlserver-ee",
            Self::Standard => "sqlserver-se",
            Self::Web => "sqlserver-web",
            Self::Express => "sqlserver-ex",
        }
    }

    /// `SERVERPROPERTY('Edition')`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Enterprise => "Enterprise Edition (64-bit)",
            Self::Standard => "Standard Edition (64-bit)",
            Self::Web => "Web Edition (64-bit)",
            Self::Express => "Express Edition (64-bit)",
        }
    }

    /// `SERVERPROPERTY('EngineEdition')`.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Enterprise => 3,
            Self::Standard | Self::Web => 2,
            Self::Express => 4,
        }
    }

    /// Whether a backup can be compressed.
    pub(crate) fn compresses(self) -> bool {
        matches!(self, Self::Enterprise | Self::Standard)
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Enterprise => "Enterprise",
            Self::Standard => "Standard",
            Self::Web => "Web",
            Self::Express => "Express",
        })
    }
}
