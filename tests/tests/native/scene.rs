//! Two instances of SQL Server, a policy for one of them, and what sessions leave.

use anyhow::{Context, Result, ensure};
use e2e::sqlserver::NativeTask;
use e2e::stage::{MASTER_PASSWORD, Stage};
use serde_json::Value;

use crate::documented::{native_role, permit_alone};

/// The instance that is backed up.
pub(crate) const SOURCE: &str = "crm";
/// The instance that is restored into.
pub(crate) const TARGET: &str = "crm-spare";
/// What a bucket of Haulier's own begins with.
pub(crate) const TEMPORARY: &str = "haulier-temporary-";

/// A stage with both.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    before: Vec<String>,
}

impl Scene {
    /// Sets it: no database is there yet.
    pub(crate) fn set() -> Result<Self> {
        let mut stage = Stage::set()?;
        for instance in [SOURCE, TARGET] {
            let role = native_role(&stage, instance)?;
            stage.cloud.create_sqlserver(instance, MASTER_PASSWORD, &role)?;
        }
        permit_alone(&mut stage, "backups")?;
        let before = stage.cloud.listing()?;
        Ok(Self { stage, before })
    }

    /// What the cloud lists from now on is not left over.
    pub(crate) fn expect_what_is_there(&mut self) -> Result<()> {
        self.before = self.stage.cloud.listing()?;
        Ok(())
    }

    /// Applies the policy with more lines.
    pub(crate) fn apply(&self, more: &str) -> Result<()> {
        let given = more.lines().any(|line| line.starts_with("resources:"));
        let resources =
            if given { String::new() } else { format!("resources: {{ include: [{{ ids: [{SOURCE}] }}] }}\n") };
        self.stage.apply_policy(&format!("{resources}{more}"))
    }

    /// Applies the policy with more lines, and starts its session.
    pub(crate) fn start_backup(&self, more: &str) -> Result<String> {
        self.apply(more)?;
        self.stage.run_policy()
    }

    /// The same to its end. Gives the point.
    pub(crate) fn back_up(&self, more: &str) -> Result<Value> {
        self.point_of(&self.stage.succeeded(&self.start_backup(more)?)?)
    }

    /// The point that a session has made.
    pub(crate) fn point_of(&self, session: &Value) -> Result<Value> {
        self.stage.haulier().json(&["point", "show", text(session, "point_id")?])
    }

    /// How many points there are.
    pub(crate) fn points(&self) -> Result<usize> {
        Ok(self.stage.haulier().json(&["point", "list"])?.as_array().map_or(0, Vec::len))
    }

    /// Starts a restore of one database, perhaps of others, under the second names.
    pub(crate) fn start_restore(&self, point: &Value, databases: &[(&str, &str)], more: &[&str]) -> Result<String> {
        let (first, rest) = databases.split_first().context("nothing to restore")?;
        let rest: Vec<String> = rest.iter().map(|(database, name)| format!("{database}={name}")).collect();
        let rest = rest.iter().flat_map(|argument| ["--database", argument.as_str()]);
        let more: Vec<&str> = rest.chain(more.iter().copied()).collect();
        self.stage.start_restore_into(TARGET, text(point, "id")?, *first, &more)
    }

    /// The same to its end. Gives the session.
    pub(crate) fn restore(&self, point: &Value, databases: &[(&str, &str)]) -> Result<Value> {
        self.stage.succeeded(&self.start_restore(point, databases, &[])?)
    }

    /// Fails where a restored database has other pages than those.
    pub(crate) fn assert_pages(&self, restored: &str, expected: &str) -> Result<()> {
        let found = self.stage.cloud.pages_of(TARGET, restored)?;
        ensure!(found == expected, "the pages of {restored} are others: {found} in the place of {expected}");
        Ok(())
    }

    /// Fails where the cloud lists anything that was not there before.
    pub(crate) fn assert_nothing_left(&self) -> Result<()> {
        self.stage.assert_nothing_left_since(&self.before)
    }

    /// Whether the cloud has a temporary bucket of Haulier's own.
    pub(crate) fn has_temporary_bucket(&self) -> Result<bool> {
        let has_its_name = |line: &String| line.starts_with(&format!("buckets {TEMPORARY}"));
        Ok(self.stage.cloud.listing()?.iter().any(has_its_name))
    }

    /// Remembers the tasks of both instances.
    pub(crate) fn tasks(&self) -> Result<Tasks> {
        let of = |instance| self.stage.cloud.native_tasks(instance);
        Ok(Tasks { source: of(SOURCE)?.len(), target: of(TARGET)?.len() })
    }

    /// What RDS was asked for since then on both instances: types and databases, in their order, and how each ended.
    pub(crate) fn since(&self, tasks: &Tasks) -> Result<Vec<String>> {
        let mut since = Vec::new();
        for (instance, known) in [(SOURCE, tasks.source), (TARGET, tasks.target)] {
            since.extend(self.stage.cloud.native_tasks(instance)?.into_iter().skip(known).map(shown));
        }
        Ok(since)
    }
}

/// How many tasks there were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tasks {
    source: usize,
    target: usize,
}

fn shown(task: NativeTask) -> String {
    format!("{} {}: {}", task.r#type, task.database, task.lifecycle)
}

/// A text of an answer.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name].as_str().with_context(|| format!("no {name} in {value:#}"))
}
