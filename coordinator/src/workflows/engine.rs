//! The durable engine. This is the one module that names `durare`, so that it can be replaced.
//!
//! A workflow runs under its session's id. What one of its steps came to is committed before the next begins; after a
//! crash the workflow runs again from the top, and committed steps answer from what was written. The engine's checkpoints
//! lie in `workflows.db`; sessions and ledger do not depend on them, so a workflow that cannot go on (its code changed, its
//! checkpoints are gone) is ended from the ledger: see `salvage.rs`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use durare::{DurableContext, DurableEngine, SqliteProvider, WorkflowOptions, is_terminal};
use haulier_domain::id::SessionId;
use haulier_domain::session::{SessionKind, Stop};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::SqlitePool;
use tracing::Instrument as _;

use super::flow::{Flow, Interrupted};
use super::{VERSION, backup, database_restore, maintenance, replicate, salvage, verify};
use crate::services::Services;
use crate::state::sqlite_pool;

/// Who runs workflows: there is one coordinator to a state directory.
const EXECUTOR: &str = "coordinator";
/// Starts after which the engine would give a workflow up. A coordinator may well be restarted often during a long one.
const MAX_RECOVERIES: i32 = 10_000;

/// The kinds of sessions, a workflow each.
const KINDS: [SessionKind; 5] = [
    SessionKind::Backup,
    SessionKind::DatabaseRestore,
    SessionKind::Verify,
    SessionKind::Maintenance,
    SessionKind::Replicate,
];

/// How long checkpoints of workflows that have ended are kept, for whoever looks into one.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The engine cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Its file cannot be opened.
    #[error("opening workflows.db")]
    Open(#[source] durare::Error),
    /// The environment would give the workflows another version or owner than the code does.
    #[error("the environment renames workflows: remove {variable}")]
    Renamed {
        /// The variable that does it.
        variable: &'static str,
    },
    /// The sessions it should carry on cannot be listed.
    #[error("resuming sessions")]
    Resume(#[source] crate::state::StateError),
    /// The workflows it should carry on cannot be listed.
    #[error("recovering workflows")]
    Recover(#[source] durare::Error),
}

/// The running engine.
pub struct Engine {
    durable: DurableEngine,
    pool: SqlitePool,
    services: Arc<Services>,
}

/// The durable side of one workflow, as its flow uses it.
pub(super) struct Journal(DurableContext);

impl Journal {
    /// Runs the body once and commits what it came to, or answers from what was committed before. A business failure is a
    /// result like any other; an error means that the engine itself could not go on.
    pub(super) async fn record<T, F>(&self, step: &str, body: F) -> Result<Result<T, Stop>, Interrupted>
    where
        T: Serialize + DeserializeOwned + Send,
        F: Future<Output = Result<T, Stop>> + Send,
    {
        self.0
            .step(step, || async { Ok::<_, durare::Error>(body.await) })
            .await
            .map_err(|error| Interrupted(error.to_string()))
    }
}

impl Engine {
    /// Opens the engine over its file in the state directory.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub async fn open(services: Arc<Services>) -> Result<Arc<Self>, EngineError> {
        let pool = sqlite_pool(&services.settings.state_dir.join("workflows.db"))
            .await
            .map_err(|error| EngineError::Open(error.into()))?;
        let mut builder = DurableEngine::builder(Arc::new(SqliteProvider::from_pool(pool.clone())));
        builder.app_version(VERSION).executor_id(EXECUTOR).max_recovery_attempts(MAX_RECOVERIES);
        for kind in KINDS {
            let services = services.clone();
            builder.register(kind.as_str(), move |context: DurableContext, session: SessionId| {
                let services = services.clone();
                let span = tracing::info_span!("session", session_id = %session, %kind);
                async move {
                    carry_out(context, services, session, kind).await;
                    Ok(())
                }
                .instrument(span)
            });
        }
        let durable = builder.build().await.map_err(EngineError::Open)?;
        // A variable of the environment would win over both. Under another version workflows would not be found again, or
        // be carried on by code that did not begin them.
        let pinned =
            [("DBOS__APPVERSION", durable.app_version() == VERSION), ("DBOS__VMID", durable.executor_id() == EXECUTOR)];
        if let Some((variable, _)) = pinned.into_iter().find(|(_, is_ours)| !is_ours) {
            return Err(EngineError::Renamed { variable });
        }
        Ok(Arc::new(Self { durable, pool, services }))
    }

    /// Goes on with every session that has not ended: its workflow is recovered, begun if it never was, and ended from
    /// the ledger if it cannot go on.
    ///
    /// # Errors
    /// Where the sessions or workflows cannot be listed.
    pub async fn resume(&self) -> Result<(), EngineError> {
        self.forget_old().await;
        let live = self.services.state.live_sessions().await.map_err(EngineError::Resume)?;
        let recovered = self.durable.recover().await.map_err(EngineError::Recover)?;
        tracing::info!(sessions = live.len(), recovered, "resuming");
        for session in live {
            if session.workflow_version == VERSION {
                self.begin(&session.id, session.kind).await;
            } else {
                salvage::spawn(self.services.clone(), session.id, salvage::Reason::OtherVersion);
            }
        }
        Ok(())
    }

    /// Begins the workflow of a session that is written down. Repeating it does no harm; one that was begun before goes
    /// its way.
    pub async fn begin(&self, session: &SessionId, kind: SessionKind) {
        let known = self.services.state.session(session).await;
        if known.as_ref().is_ok_and(|session| session.ended_at.is_some()) {
            return;
        }
        // It has made something, and its checkpoints are gone: there is no telling how far it came, but the ledger knows
        // what is there. One that has made nothing begins anew.
        let open = self.services.state.open_entries(session, None).await;
        let has_acted = open.is_ok_and(|open| !open.is_empty()) || known.is_ok_and(|session| session.outcome.is_some());
        if has_acted && !self.knows(session).await {
            salvage::spawn(self.services.clone(), session.clone(), salvage::Reason::Parked);
            return;
        }
        let options = WorkflowOptions::with_id(session.as_str());
        let begun = async {
            let handle = self.durable.start::<_, ()>(kind.as_str(), session, options).await?;
            handle.get_status().await
        };
        match begun.await {
            Ok(status) if is_terminal(&status.status) => {
                let ended = self.services.state.session(session).await.is_ok_and(|session| session.ended_at.is_some());
                if !ended {
                    salvage::spawn(self.services.clone(), session.clone(), salvage::Reason::Parked);
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(session_id = %session, %error, "workflow could not be begun");
                let reason = salvage::Reason::Interrupted(error.to_string());
                salvage::spawn(self.services.clone(), session.clone(), reason);
            }
        }
    }

    /// Drops checkpoints of workflows that ended long ago. What operators read of their sessions is in the state.
    async fn forget_old(&self) {
        let cutoff = Timestamp::now().saturating_sub(KEPT).map(Timestamp::as_millisecond).ok();
        if let Err(error) = self.durable.garbage_collect(cutoff, None).await {
            tracing::warn!(%error, "old checkpoints not dropped");
        }
    }

    /// Whether there are checkpoints of the session's workflow.
    async fn knows(&self, session: &SessionId) -> bool {
        match self.durable.retrieve_workflow::<()>(session.as_str()).await {
            Ok(handle) => handle.get_status().await.is_ok(),
            Err(_) => false,
        }
    }

    /// Stops taking up work and gives running steps a moment. Whatever is cut off goes on at the next start: its step
    /// stops where it stands, and nothing more of it is committed once this returns.
    pub async fn shutdown(&self, grace: Duration) {
        if let Err(error) = self.durable.shutdown(grace).await {
            tracing::warn!(%error, "engine did not shut down");
        }
        self.services.halted.cancel();
        self.pool.close().await;
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

async fn carry_out(context: DurableContext, services: Arc<Services>, session: SessionId, kind: SessionKind) {
    let carried = async {
        let flow = Flow::open(Journal(context), services.clone(), &session).await?;
        match kind {
            SessionKind::Backup => backup::run(&flow).await,
            SessionKind::DatabaseRestore => database_restore::run(&flow).await,
            SessionKind::Verify => verify::run(&flow).await,
            SessionKind::Maintenance => maintenance::run(&flow).await,
            SessionKind::Replicate => replicate::run(&flow).await,
        }
    };
    if let Err(Interrupted(cause)) = carried.await {
        salvage::session(&services, &session, &salvage::Reason::Interrupted(cause)).await;
    }
}
