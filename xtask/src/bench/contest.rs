//! Haulier and the stock tools, turn by turn, on one database.

use anyhow::{Context, Result};
use e2e::psql::Database;
use e2e::stage::{SOURCE, Stage};
use e2e::{dataset, oracle};

use super::measure::{Taken, settle};
use super::session::{self, Run};
use super::stock::{self, Dumps};
use crate::say;

/// One round of backups.
pub(super) struct Backups {
    pub(super) haulier: Run,
    pub(super) bytes_stored: u64,
    pub(super) piped: Taken,
    pub(super) folder: Taken,
}

/// One round of restores.
pub(super) struct Restores {
    pub(super) haulier: Run,
    pub(super) stock: Taken,
    pub(super) analyze: Taken,
}

/// All rounds on one database.
pub(super) struct Contest {
    pub(super) database_bytes: u64,
    pub(super) dump_bytes: u64,
    pub(super) backups: Vec<Backups>,
    pub(super) restores: Vec<Restores>,
}

impl Contest {
    /// Makes a database of about so many megabytes and holds the rounds.
    pub(super) fn hold(stage: &Stage, name: &str, megabytes: u32, rounds: usize) -> Result<Self> {
        say(&format!("\n# A {name} database of about {megabytes} MB, rounds: {rounds}"));
        stage.source.execute(&format!("CREATE DATABASE {}", oracle::quote(name)))?;
        let database = stage.source.sibling(name);
        dataset::fill(&database, megabytes)?;
        // Nobody's turn is to be the one in which the server tidies up after the load.
        Database { author: None, ..database.clone() }.execute("VACUUM; CHECKPOINT")?;
        let size = database.value("SELECT pg_database_size(current_database())::text")?;
        let passphrase = stage.cloud.create_secret(&format!("bench/{name}"), "correct horse battery staple")?;
        let dumps = Dumps::new(&database, &stage.folder().join("dumps"))?;
        let (mut backups, mut restores) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let round = Round { stage, database: &database, dumps: &dumps, passphrase: &passphrase, round };
            let (point, backup) = round.back_up()?;
            backups.push(backup);
            restores.push(round.restore(&point)?);
        }
        Ok(Self {
            database_bytes: size.parse().context("a database has a size")?,
            dump_bytes: dumps.bytes()?,
            backups,
            restores,
        })
    }
}

struct Round<'a> {
    stage: &'a Stage,
    database: &'a Database,
    dumps: &'a Dumps,
    passphrase: &'a str,
    round: usize,
}

impl Round<'_> {
    /// Every round begins with another contestant.
    fn back_up(&self) -> Result<(String, Backups)> {
        let (mut haulier, mut piped, mut folder) = (None, None, None);
        for turn in 0..3 {
            match (turn + self.round) % 3 {
                0 => haulier = Some(self.haulier_backup()?),
                1 => piped = Some(self.dumps.piped()?),
                _ => folder = Some(self.dumps.folder()?),
            }
        }
        let haulier = haulier.context("Haulier had its turn")?;
        let point = haulier.session["point_id"].as_str().context("the session made no point")?.to_owned();
        let shown = self.stage.haulier().json(&["point", "show", &point])?;
        let backups = Backups {
            bytes_stored: shown["bytes_stored"].as_u64().context("the point has no bytes_stored")?,
            haulier,
            piped: piped.context("pg_dump had its turn")?,
            folder: folder.context("pg_dump -Fd had its turn")?,
        };
        say(&format!(
            "backup {}: transfer {:.1} s, session {:.1} s, pg_dump|zstd {:.1} s, pg_dump -Fd {:.1} s",
            self.round + 1,
            backups.haulier.transfer(),
            backups.haulier.wall,
            backups.piped.wall,
            backups.folder.wall
        ));
        Ok((point, backups))
    }

    /// Into a repository of its own: in one that has seen the data before, nearly nothing would be left to store.
    fn haulier_backup(&self) -> Result<Run> {
        let name = &self.database.name;
        let repository = format!("{name}-{}", self.round);
        let region = &self.stage.cloud.facts().region;
        let create = ["repository", "create", &repository, "--bucket", "backups", "--region", region];
        let with = ["--prefix", &repository, "--passphrase-secret-arn", self.passphrase];
        self.stage.haulier().json(&[&create[..], &with].concat())?;
        let policy =
            format!("repository: {repository}\ndatabases: [{name}]\nresources: {{ include: [{{ ids: [{SOURCE}] }}] }}");
        self.stage.apply_policy(&policy)?;
        settle()?;
        session::follow(self.stage, &self.stage.run_policy()?)
    }

    /// Haulier first in even rounds: it is also what makes the roles on the target.
    fn restore(&self, point: &str) -> Result<Restores> {
        let restores = if self.round.is_multiple_of(2) {
            let haulier = self.haulier_restore(point)?;
            let (stock, analyze) = self.stock_restore()?;
            Restores { haulier, stock, analyze }
        } else {
            let (stock, analyze) = self.stock_restore()?;
            Restores { haulier: self.haulier_restore(point)?, stock, analyze }
        };
        say(&format!(
            "restore {}: transfer {:.1} s, session {:.1} s, pg_restore {:.1} s, ANALYZE {:.1} s",
            self.round + 1,
            restores.haulier.transfer(),
            restores.haulier.wall,
            restores.stock.wall,
            restores.analyze.wall
        ));
        Ok(restores)
    }

    fn haulier_restore(&self, point: &str) -> Result<Run> {
        let (name, copy) = (&self.database.name, format!("{}-haulier", self.database.name));
        settle()?;
        let run = session::follow(self.stage, &self.stage.start_restore(point, name, &copy, &[])?)?;
        self.drop(&copy)?;
        Ok(run)
    }

    fn stock_restore(&self) -> Result<(Taken, Taken)> {
        let copy = format!("{}-stock", self.database.name);
        let administrator = self.target();
        administrator.execute(&format!("CREATE DATABASE {} TEMPLATE template0", oracle::quote(&copy)))?;
        let database = administrator.sibling(&copy);
        let taken = (self.dumps.restore(&database)?, stock::analyze(&database)?);
        self.drop(&copy)?;
        Ok(taken)
    }

    fn drop(&self, copy: &str) -> Result<()> {
        self.target().execute(&format!("DROP DATABASE {}", oracle::quote(copy)))
    }

    fn target(&self) -> Database {
        Database { author: None, ..self.stage.target.clone() }
    }
}
