//! Databases through the stock `psql`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{oracle, process};

/// How to reach one database: a libpq connection string without its database, and the database's name.
#[derive(Debug, Clone)]
pub struct Database {
    /// Connection string of the server: `host=... user=... password=...`.
    pub server: String,
    /// Name of the database, unquoted.
    pub name: String,
    /// Role that statements run as, where it is not the one that connects: RDS's master in place of the administrator.
    pub author: Option<String>,
    /// Folder of the stock programs that speak to it; those of the `PATH` where there is none.
    pub programs: Option<PathBuf>,
}

impl Database {
    /// A database of a server.
    pub fn new(server: &str, name: &str) -> Self {
        Self { server: server.to_owned(), name: name.to_owned(), author: None, programs: None }
    }

    /// Another database of the same server.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// The same database, with statements running as another role. The one that connects must be a superuser.
    #[must_use]
    pub fn authored_by(&self, role: &str) -> Self {
        Self { author: Some(role.to_owned()), ..self.clone() }
    }

    /// The same database, connected to as somebody else.
    #[must_use]
    pub fn logged_in_as(&self, user: &str, password: &str) -> Self {
        let rest =
            self.server.split_whitespace().filter(|part| !part.starts_with("user=") && !part.starts_with("password="));
        let password = password.replace('\\', "\\\\").replace('\'', "\\'");
        let server = format!("{} user={user} password='{password}'", rest.collect::<Vec<_>>().join(" "));
        Self { server, author: None, ..self.clone() }
    }

    /// The same database, spoken to with the programs of a folder: those of its own major version.
    #[must_use]
    pub fn spoken_to_with(&self, programs: &Path) -> Self {
        Self { programs: Some(programs.to_owned()), ..self.clone() }
    }

    /// The command of a stock program that fits the server.
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.programs.as_deref().map_or_else(|| name.into(), |folder| folder.join(name)))
    }

    /// The connection string with the database in it.
    pub fn dsn(&self) -> String {
        format!("{} dbname='{}'", self.server, self.name.replace('\\', "\\\\").replace('\'', "\\'"))
    }

    /// Runs statements, each by itself, and stops at the first that fails.
    ///
    /// # Errors
    /// What the server says.
    pub fn execute(&self, sql: &str) -> Result<()> {
        self.run(sql, &[]).map(drop)
    }

    /// Runs one query and gives its rows, fields separated by the unit separator.
    ///
    /// # Errors
    /// What the server says.
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        let text =
            self.run(sql, &["--tuples-only", "--no-align", "--field-separator=\u{1f}", "--record-separator=\u{1e}"])?;
        let text = text.trim_end_matches(['\n', '\u{1e}']);
        Ok(text
            .split('\u{1e}')
            .filter(|row| !row.is_empty())
            .map(|row| row.split('\u{1f}').map(str::to_owned).collect())
            .collect())
    }

    /// Runs one query that gives one value.
    ///
    /// # Errors
    /// What the server says, or that there is no value.
    pub fn value(&self, sql: &str) -> Result<String> {
        self.rows(sql)?.into_iter().flatten().next().with_context(|| format!("no row from {sql}"))
    }

    /// Loads a stock archive with `pg_restore`.
    ///
    /// # Errors
    /// What `pg_restore` says.
    pub fn load(&self, archive: &Path) -> Result<()> {
        let mut command = self.program("pg_restore");
        command.args(["--exit-on-error", "--no-owner", "--dbname"]).arg(self.dsn()).arg(archive);
        process::output(&mut command).map(drop)
    }

    /// Makes what an archive holds, under the names it had: the database itself too. The connection is only to begin with.
    ///
    /// # Errors
    /// What `pg_restore` says, be it a warning.
    pub fn create_from(&self, archive: &Path) -> Result<()> {
        let mut command = self.program("pg_restore");
        command.args(["--create", "--exit-on-error", "--dbname"]).arg(self.dsn()).arg(archive);
        process::output(&mut command).map(drop)
    }

    /// Runs a script for `psql`.
    ///
    /// # Errors
    /// What `psql` says of the first statement that fails.
    pub fn run_script(&self, script: &Path) -> Result<()> {
        let mut command = self.program("psql");
        command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname"]).arg(self.dsn());
        process::output(command.arg("--file").arg(script)).map(drop)
    }

    fn run(&self, sql: &str, options: &[&str]) -> Result<String> {
        let mut child = self
            .program("psql")
            .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-", "--dbname"])
            .arg(self.dsn())
            .args(options)
            .env("PGOPTIONS", "-c client_min_messages=warning")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting psql")?;
        let mut stdin = child.stdin.take().context("psql's standard input")?;
        let author = self.author.as_deref().map(|role| format!("SET SESSION AUTHORIZATION {};\n", oracle::quote(role)));
        let sql = author.unwrap_or_default() + sql;
        let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, sql.as_bytes()));
        let output = child.wait_with_output().context("waiting for psql")?;
        let fed = feeder.join();
        if !output.status.success() {
            bail!("psql failed on {}: {}", self.name, String::from_utf8_lossy(&output.stderr).trim());
        }
        fed.map_err(|_| anyhow::anyhow!("the thread that feeds psql panicked"))?.context("feeding psql")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
