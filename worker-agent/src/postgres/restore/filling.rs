//! Fills a database whose structure is there: rows, what comes after rows, statistics, on as many lanes as the job allows.
//! The order is `haulier_domain::postgres::course`'s; here its tasks are carried out, and what fails first stops the rest.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::course::{Course, Facts, LargeTable, Relation, Stage, Step, Task};
use haulier_domain::postgres::manifest::{StreamReference, Table};
use haulier_domain::postgres::quote;
use tokio::task::{Id, JoinSet};

use super::super::context::{ProgressEvent, Severity, Stopped};
use super::super::side_by_side::{all_or_why, together};
use super::archive::Head;
use super::finish::{self, Lent};
use super::phases::{self, Phase, Refused};
use super::target::Named;
use super::{Scope, data, statistics};

/// A database whose structure is there.
pub(super) struct Bare {
    scope: Arc<Scope>,
    head: Head,
    tables: Vec<Table>,
    archive: StreamReference,
    /// Bytes of it, where rows are restored from it.
    archive_bytes: Option<u64>,
    relations: Vec<Relation>,
    lent: Vec<Lent>,
    working: String,
    /// The name that operators know.
    shown: String,
}

/// What was counted while it was filled, and what the target would not take.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) tables: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) refused: Vec<Refused>,
}

/// What one task did.
#[derive(Default)]
struct Did {
    rows: u64,
    refused: Vec<Refused>,
}

impl Bare {
    pub(super) fn new(
        scope: &Arc<Scope>,
        head: Head,
        wanted: &Named<'_>,
        working: &str,
        relations: Vec<Relation>,
        lent: Vec<Lent>,
    ) -> Self {
        let database = wanted.database;
        let restored = |table: &&Table| head.has_table(&table.schema, &table.name);
        let has_data = head.of_phase(Phase::Data).any(|entry| entry.has_data);
        let from_archive = head.of_phase(Phase::Data).next().map(|_| if has_data { database.archive_bytes } else { 0 });
        Self {
            scope: Arc::clone(scope),
            tables: database.tables.iter().filter(restored).cloned().collect(),
            archive: database.archive.clone(),
            archive_bytes: from_archive,
            relations,
            lent,
            working: working.to_owned(),
            shown: wanted.target.name.clone(),
            head,
        }
    }

    /// Fills it.
    pub(super) async fn fill(self) -> Result<Filled, Stopped> {
        let bare = Arc::new(self);
        let scope = &bare.scope;
        let mut course = bare.course();
        let mut told = Told::new(&bare);
        let mut filled = Filled { tables: bare.tables.len() as u64, bytes: bare.bytes(), ..Filled::default() };
        let mut lanes: JoinSet<Result<Did, Stopped>> = JoinSet::new();
        let mut tasks: HashMap<Id, Task> = HashMap::new();
        let mut failed = Vec::new();
        loop {
            while failed.is_empty() && lanes.len() < scope.parallel {
                let Some(task) = course.next_task() else { break };
                told.begins(&task, course.stage());
                let (bare, steps) = (Arc::clone(&bare), task.steps.clone());
                let lane = lanes.spawn(async move {
                    let cancel = bare.scope.context.cancel.clone();
                    together(&cancel, bare.carry_out(&steps)).await
                });
                tasks.insert(lane.id(), task);
            }
            let Some(ended) = lanes.join_next_with_id().await else { break };
            match ended {
                Ok((id, Ok(did))) => {
                    filled.rows += did.rows;
                    filled.refused.extend(did.refused);
                    if let Some(task) = tasks.remove(&id) {
                        course.done(&task);
                    }
                    told.has_come(course.stage());
                }
                Ok((_, Err(stopped))) => failed.push(Err(stopped)),
                Err(error) => {
                    scope.context.cancel.cancel();
                    failed.push(Err(defect(&error.to_string()).into()));
                }
            }
        }
        all_or_why::<()>(failed)?;
        if course.stage() != Stage::Over {
            return Err(defect("what is left needs what is never done").into());
        }
        told.end();
        filled.refused.sort_by(|a, b| a.what.cmp(&b.what));
        Ok(filled)
    }

    fn course(&self) -> Course {
        let tables: Vec<_> = self
            .tables
            .iter()
            .map(|table| LargeTable {
                name: (table.schema.clone(), table.name.clone()),
                streams: table.streams.iter().map(|stream| stream.bytes).collect(),
                elsewhere: table.load_into.is_some(),
            })
            .collect();
        let after_rows: BTreeSet<i64> = self.head.of_phase(Phase::Indexes).map(|entry| entry.id).collect();
        let facts = Facts {
            entries: &self.head.entries,
            after_rows: &after_rows,
            tables: &tables,
            archive: self.archive_bytes,
            relations: &self.relations,
        };
        Course::new(&facts, self.scope.parallel)
    }

    /// Bytes of rows, and of the archive around the small ones.
    fn bytes(&self) -> u64 {
        let streams = self.tables.iter().flat_map(|table| &table.streams);
        streams.map(|stream| stream.bytes).sum::<u64>() + self.archive_bytes.unwrap_or_default()
    }

    /// One task: its steps are of one kind.
    async fn carry_out(&self, steps: &[Step]) -> Result<Did, Stopped> {
        let refused = |refused| Did { refused, ..Did::default() };
        let (scope, head, working) = (&self.scope, &self.head, self.working.as_str());
        let Some(first) = steps.first() else { return Ok(Did::default()) };
        match *first {
            Step::Rows(table, stream) => {
                let table = &self.tables[table];
                let _moving = scope.context.moving(self.label(&quote::qualified(&table.schema, &table.name)));
                let rows = data::copy(scope, table, &table.streams[stream], working).await?;
                Ok(Did { rows, ..Did::default() })
            }
            Step::Archive => {
                let _moving = scope.context.moving(self.label("small tables"));
                phases::run(scope, head, Phase::Data, working, Some(&self.archive)).await.map(refused)
            }
            Step::Entry(_) => {
                let numbers: Vec<i64> = steps.iter().filter_map(|step| entry_number(*step)).collect();
                phases::entries(scope, head, &numbers, working).await.map(refused)
            }
            Step::Closing => {
                let inside = scope.connector.connect(working).await?;
                finish::take_back_schemas(&inside, &self.lent).await?;
                drop(inside);
                phases::run(scope, head, Phase::Closing, working, None).await.map(refused)
            }
            Step::Analyze(_) => {
                let relations = steps.iter().filter_map(|step| match step {
                    Step::Analyze(place) => self.relations.get(*place),
                    _ => None,
                });
                statistics::gather(scope, relations, working).await.map(refused)
            }
        }
    }

    fn label(&self, what: &str) -> String {
        format!("{}: {what}", self.shown)
    }
}

fn entry_number(step: Step) -> Option<i64> {
    match step {
        Step::Entry(number) => Some(number),
        _ => None,
    }
}

/// What operators are told: the phases in their order, and at the end how much was done side by side.
struct Told<'a> {
    bare: &'a Bare,
    stage: Stage,
    entries: usize,
    early: usize,
}

impl<'a> Told<'a> {
    fn new(bare: &'a Bare) -> Self {
        let told = Self { bare, stage: Stage::Data, entries: 0, early: 0 };
        told.phase("data");
        bare.scope.context.progress.report(ProgressEvent::Expected(bare.bytes()));
        told
    }

    fn phase(&self, phase: &'static str) {
        let progress = &self.bare.scope.context.progress;
        progress.report(ProgressEvent::Phase(phase));
        progress.report(ProgressEvent::Current(self.bare.shown.clone()));
    }

    fn begins(&mut self, task: &Task, stage: Stage) {
        let entries = task.steps.iter().filter(|step| entry_number(**step).is_some()).count();
        self.entries += entries;
        self.early += if stage == Stage::Data { entries } else { 0 };
    }

    fn has_come(&mut self, stage: Stage) {
        if self.stage < Stage::Indexes && stage >= Stage::Indexes {
            self.phase("indexes");
        }
        if self.stage < Stage::Statistics && stage >= Stage::Statistics {
            self.phase("analyze");
        }
        self.stage = stage;
    }

    fn end(&self) {
        let text = format!(
            "database {:?} is filled on {} lanes; {} of its {} indexes, constraints and triggers were begun while rows were \
             still loading",
            self.bare.shown, self.bare.scope.parallel, self.early, self.entries
        );
        self.bare.scope.context.log.log(Severity::Info, &text);
    }
}

fn defect(cause: &str) -> Failure {
    Failure::new("mover-defect", "filling a database", cause, "report this with the session's log")
}
