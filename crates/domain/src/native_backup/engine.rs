//! Engines of DB instances, by how they are backed up.

/// How the databases of an instance are backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Dumped by a worker.
    Postgres,
    /// Natively, by RDS itself.
    SqlServer,
}

impl Engine {
    /// The engine by its name in RDS; `None` where it is not supported. Of SQL Server these are Standard, Enterprise, Web and
    /// Express.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "postgres" => Some(Self::Postgres),
            "sqlserver-se" | "sqlserver-ee" | "sqlserver-web" | "sqlserver-ex" => Some(Self::SqlServer),
            _ => None,
        }
    }

    /// The engine of a restore point, which says it with the version: `sqlserver-se 15.00.4430.1.v1`. Whatever edition it was
    /// that made the point.
    pub fn of_point(engine: &str) -> Option<Self> {
        let name = engine.split_whitespace().next().unwrap_or_default();
        Self::of(name).or_else(|| name.starts_with("sqlserver").then_some(Self::SqlServer))
    }

    /// As a product is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::SqlServer => "SQL Server",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_by_name() {
        for (name, engine) in [
            ("postgres", Some(Engine::Postgres)),
            ("sqlserver-se", Some(Engine::SqlServer)),
            ("sqlserver-ee", Some(Engine::SqlServer)),
            ("sqlserver-web", Some(Engine::SqlServer)),
            ("sqlserver-ex", Some(Engine::SqlServer)),
            ("custom-sqlserver-se", None),
            ("aurora-postgresql", None),
            ("mysql", None),
            ("", None),
        ] {
            assert_eq!(Engine::of(name), engine, "{name}");
            assert_eq!(Engine::of_point(&format!("{name} 1.2")), engine, "{name}");
        }
        assert_eq!((Engine::of("sqlserver-dev-ee"), Engine::of_point("sqlserver")), (None, Some(Engine::SqlServer)));
    }
}
