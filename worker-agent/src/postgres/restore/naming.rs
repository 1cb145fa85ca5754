//! A restored database gets its final name: the last step, in one transaction with the end of the one it replaces, and with
//! a mark by which a later attempt knows that it is complete.
//!
//! From here on a cancel is not obeyed but where somebody's lock is waited for: the step is short, and what it came to must be
//! known. Where the answer is lost, the target is looked at.

use std::time::Duration;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::clash::{self, NameRefused};
use haulier_domain::postgres::mark::{self, Mark};
use haulier_domain::postgres::quote::{identifier, literal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::connect::{Connector, Session};
use super::super::context::Stopped;
use super::remains::drop_statement;
use super::target::{self, Named};
use super::{Scope, others};

/// How long connections to a replaced database may take to go.
const GOING: Duration = Duration::from_secs(10);
/// How long the target is asked what a lost answer was.
const LOOKING: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// How long somebody's lock on one of the databases is waited for at once, and in all.
const LOCK_TIMEOUT: &str = "1s";
const LOCKED: Duration = Duration::from_secs(300);

/// Gives the database its final name and this mark.
pub(super) async fn give_name(scope: &Scope, wanted: &Named<'_>, working: &str, mark: &Mark) -> Result<(), Stopped> {
    if scope.context.cancel.is_cancelled() {
        return Err(Stopped::Cancelled);
    }
    let connector = scope.connector.obeying(CancellationToken::new());
    let naming = Naming {
        scope,
        front: target::open_front(&connector).await?,
        connector,
        working,
        name: &wanted.target.name,
        mark: mark::write(&scope.key, mark),
    };
    if wanted.target.replaces { naming.swap().await } else { naming.rename().await }
}

struct Naming<'a> {
    scope: &'a Scope,
    connector: Connector,
    front: Session,
    working: &'a str,
    name: &'a str,
    mark: String,
}

impl Naming<'_> {
    fn doing(&self) -> String {
        format!("giving database {:?} its name {:?}", self.working, self.name)
    }

    /// Statements that make the working database the final one.
    fn take_over(&self) -> String {
        format!("{}; {}", comment(self.working, &self.mark), rename_statement(self.working, self.name))
    }

    async fn rename(&self) -> Result<(), Stopped> {
        let doing = self.doing();
        let Err(stopped) = self.transact(&self.take_over()).await else {
            return Ok(());
        };
        match self.has_happened().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(match stopped {
                Stopped::Failed(failure) if failure.cause.contains("already exists") => {
                    target::refusal(&NameRefused::Taken(self.name.to_owned()), &doing).into()
                }
                other => other,
            }),
            Err(unseen) => Err(unknown(stopped, &unseen)),
        }
    }

    async fn swap(&self) -> Result<(), Stopped> {
        let (doing, key) = (self.doing(), &self.scope.key);
        let old = clash::replaced_name(self.working);
        self.front.execute(&doing, &drop_statement(&old, self.scope.target.server_version_num)).await?;
        // Nobody may come in between the last one thrown out and the swap. Should this worker be lost before it, the mark
        // tells the next one whom to let in again.
        let close = format!(
            "{}; ALTER DATABASE {} WITH ALLOW_CONNECTIONS false",
            comment(self.working, &mark::write(key, &Mark::Closed)),
            identifier(self.name)
        );
        let swap = format!("{}; {}", rename_statement(self.name, &old), self.take_over());
        let swapped = async {
            self.transact(&close).await?;
            let thrown_out = throw_out(&self.front, self.name, &self.scope.context.cancel).await;
            thrown_out
                .map_err(|stopped| in_use(stopped, self.name, |failure| failure.code == "db-privileges-missing"))?;
            let swapped = self.transact(&swap).await;
            swapped.map_err(|stopped| in_use(stopped, self.name, |failure| failure.cause.contains(IN_USE)))
        };
        let Err(stopped) = swapped.await else { return Ok(()) };
        match self.has_happened().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.as_it_was(stopped).await),
            Err(unseen) => Err(unknown(stopped, &unseen)),
        }
    }

    /// Runs statements in one transaction. A lock is waited for in short turns, between which a cancel is obeyed: nothing has
    /// happened then.
    async fn transact(&self, statements: &str) -> Result<(), Stopped> {
        let doing = self.doing();
        let sql = format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; {statements}; COMMIT");
        let until = Instant::now() + LOCKED;
        loop {
            match self.front.execute(&doing, &sql).await {
                Err(Stopped::Failed(failure)) if failure.code == "db-lock-timeout" => {
                    self.front.execute(&doing, "ROLLBACK").await?;
                    if self.scope.context.cancel.is_cancelled() {
                        return Err(Stopped::Cancelled);
                    }
                    if Instant::now() > until {
                        return Err(failure.into());
                    }
                }
                other => return other,
            }
        }
    }

    /// Whether the working database is the final one, once nothing more can come of what was asked for.
    async fn has_happened(&self) -> Result<bool, Stopped> {
        let until = Instant::now() + LOOKING;
        loop {
            let seen = async {
                let front = target::open_front(&self.connector).await?;
                others::end(&front, &self.connector).await?;
                let sql = "SELECT 1 FROM pg_catalog.pg_database
                    WHERE datname = $1 AND pg_catalog.shobj_description(oid, 'pg_database') = $2";
                let doing = "looking whether a database has its name";
                Ok(!front.query(doing, sql, &[&self.name, &self.mark]).await?.is_empty())
            };
            match seen.await {
                Err(_) if Instant::now() < until => tokio::time::sleep(POLL).await,
                other => return other,
            }
        }
    }

    /// The database that was to be replaced stays, and lets people in again.
    async fn as_it_was(&self, stopped: Stopped) -> Stopped {
        let reopened = async { reopen(&target::open_front(&self.connector).await?, self.name).await };
        let name = self.name;
        match (stopped, reopened.await) {
            (stopped, Err(closed)) => {
                let mut failure = failure_of(stopped, &self.doing());
                failure.cause.push_str(&format!("; database {name:?} is as it was, but refuses connections: {closed}"));
                let open = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", identifier(name));
                failure.remedy = format!("run {open}; {}", failure.remedy);
                failure.into()
            }
            (Stopped::Failed(mut failure), Ok(())) => {
                failure.cause.push_str(&format!("; database {name:?} is as it was"));
                failure.into()
            }
            (Stopped::Cancelled, Ok(())) => Stopped::Cancelled,
        }
    }
}

/// How PostgreSQL says that somebody is connected to a database that is to be renamed.
const IN_USE: &str = "is being accessed by other users";

/// Somebody is connected to the database that was to be replaced, where the failure says so.
fn in_use(stopped: Stopped, name: &str, says_so: impl Fn(&Failure) -> bool) -> Stopped {
    match stopped {
        Stopped::Failed(failure) if says_so(&failure) => {
            let remedy =
                format!("end the connections to {name:?}, or give the login pg_signal_backend, then run again");
            Failure::new("restore-target-in-use", failure.what, failure.cause, remedy).into()
        }
        other => other,
    }
}

/// The end of a step that may or may not have happened.
fn unknown(stopped: Stopped, unseen: &Stopped) -> Stopped {
    let mut failure = failure_of(stopped, "giving a database its name");
    failure.cause.push_str(&format!("; whether it has its name could not be seen: {unseen}"));
    failure.into()
}

fn failure_of(stopped: Stopped, what: &str) -> Failure {
    match stopped {
        Stopped::Failed(failure) => failure,
        Stopped::Cancelled => Failure::new("db-statement-cancelled", what, "the session was cancelled", "run it again"),
    }
}

fn comment(database: &str, text: &str) -> String {
    format!("COMMENT ON DATABASE {} IS {}", identifier(database), literal(text))
}

fn rename_statement(from: &str, to: &str) -> String {
    format!("ALTER DATABASE {} RENAME TO {}", identifier(from), identifier(to))
}

/// Lets connections to a database in again.
pub(super) async fn reopen(front: &Session, name: &str) -> Result<(), Stopped> {
    let doing = format!("letting connections to database {name:?} in again");
    let sql = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", identifier(name));
    front.execute(&doing, &sql).await
}

/// Drops what the database under this working name has replaced, if it is there. It is complete whatever comes of this:
/// answers what an operator has to do himself.
pub(super) async fn drop_replaced(scope: &Scope, name: &str, working: &str) -> Option<String> {
    let old = clash::replaced_name(working);
    let doing = format!("dropping the replaced database, now {old:?}");
    let dropped = async {
        let front = target::open_front(&scope.connector.obeying(CancellationToken::new())).await?;
        front.execute(&doing, &drop_statement(&old, scope.target.server_version_num)).await
    };
    let stopped = dropped.await.err()?;
    Some(format!(
        "database {name:?} is restored, but what it replaced is still there as {old:?}; drop it by hand: {stopped}"
    ))
}

async fn throw_out(front: &Session, name: &str, cancel: &CancellationToken) -> Result<(), Stopped> {
    let doing = format!("ending the connections to database {name:?}");
    let sql = "SELECT pg_catalog.pg_terminate_backend(pid)
        FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()";
    // Backends take a moment to go. A lock on the database cannot be waited for, so they are asked again until the time
    // is up; the swap itself says who stayed.
    let until = Instant::now() + GOING;
    while !front.query(&doing, sql, &[&name]).await?.is_empty() && Instant::now() < until {
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = cancel.cancelled() => return Err(Stopped::Cancelled),
        }
    }
    Ok(())
}
