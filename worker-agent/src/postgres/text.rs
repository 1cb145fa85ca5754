//! How values are written as text, whatever a role or a database has been set to: one row is the same line at backup and
//! when a restored copy is compared with it.

/// Settings of a session that reads rows: those under which `pg_dump` reads them, and those it leaves to the server.
pub(super) const AS_TEXT: &str = "SET row_security = off; SET datestyle = ISO; SET intervalstyle = postgres;
    SET extra_float_digits = 3; SET timezone = 'UTC'; SET bytea_output = hex";

/// `PGOPTIONS` with which `pg_dump` does the same. What it sets by itself is not repeated.
pub(super) const OPTIONS: &str = "-c timezone=UTC -c bytea_output=hex";
