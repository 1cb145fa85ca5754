//! The stored policies and what can be done with them.

use std::sync::Arc;

use haulier_domain::failure::Failure;
use haulier_domain::id::SessionId;
use haulier_domain::policy::{Fault, Policy};
use haulier_domain::schedule::Schedule;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::document;
use super::places::{self, Found, Missed};
use super::request::backup;
use super::resolve::{Resolution, resolve};
use crate::failures;
use crate::sessions::{Account, Sessions};
use crate::state::{Policy as Stored, StateError};
use crate::yaml::DocumentFault;

/// The stored policies, over the sessions that they start.
#[derive(Debug, Clone)]
pub struct Policies {
    sessions: Sessions,
    own_account: Arc<OnceCell<String>>,
}

/// A policy that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its name.
    pub name: String,
    /// Whether it is new.
    pub created: bool,
}

/// Why a policy was not stored.
#[derive(Debug)]
pub enum ApplyError {
    /// Its document has faults: all of them.
    Faulty(Vec<DocumentFault>),
    /// The state cannot be read or written.
    State(StateError),
}

impl From<StateError> for ApplyError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// What a run of a policy has started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// One session a resource.
    pub sessions: Vec<SessionId>,
    /// What was passed over, and why.
    pub skipped: Vec<String>,
    /// Accounts and Regions that could not be looked into.
    pub missed: Vec<Missed>,
}

/// The DB instances of the policies' accounts and Regions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The instances, in order.
    pub found: Vec<Found>,
    /// All policies.
    pub policies: Vec<Policy>,
    /// Accounts and Regions that could not be looked into.
    pub missed: Vec<Missed>,
}

impl Policies {
    /// Over the sessions that policies start.
    pub fn new(sessions: Sessions) -> Self {
        Self { sessions, own_account: Arc::default() }
    }

    /// The sessions that policies start.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Every fault of a document, without storing it.
    ///
    /// # Errors
    /// The faults, or that the state cannot be read.
    pub async fn validate(&self, text: &str) -> Result<Policy, ApplyError> {
        let repositories = self.sessions.state().repositories().await?;
        let known: Vec<&str> = repositories.iter().map(|repository| repository.name.as_str()).collect();
        document::read_with(text, |policy| {
            if known.contains(&policy.repository.as_str()) {
                return Vec::new();
            }
            let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
            vec![Fault::new(
                "repository",
                format!("there is no repository {:?}", policy.repository),
                format!("make it with `haulier repository create`, or name one of those there are: {known}"),
            )]
        })
        .map_err(ApplyError::Faulty)
    }

    /// Stores a policy, replacing the one of that name. A clock that is changed starts anew: nothing is made up for.
    ///
    /// # Errors
    /// The faults, all at once; nothing is stored then.
    pub async fn apply(&self, text: &str, now: Timestamp) -> Result<Applied, ApplyError> {
        let policy = self.validate(text).await?;
        let next_run = schedule(&policy).next_after(now);
        let created = self.sessions.state().put_policy(&policy.name, text, next_run).await?;
        tracing::info!(policy = policy.name, created, "stored a policy");
        Ok(Applied { name: policy.name, created })
    }

    /// All policies by name, each with its document read. One that this version cannot read any more is left out, and
    /// told in the log.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn all(&self) -> Result<Vec<(Stored, Policy)>, StateError> {
        let mut read = Vec::new();
        for stored in self.sessions.state().policies().await? {
            match document::read(&stored.document) {
                Ok(policy) => read.push((stored, policy)),
                Err(faults) => {
                    let fault = faults.first().map(ToString::to_string).unwrap_or_default();
                    tracing::error!(policy = stored.name, fault, "a stored policy cannot be read: apply it again");
                }
            }
        }
        Ok(read)
    }

    /// One policy as read.
    ///
    /// # Errors
    /// Where there is none of that name, or its document cannot be read any more.
    pub async fn get(&self, name: &str) -> Result<Policy, Failure> {
        let what = format!("reading policy {name}");
        let stored = self.sessions.state().policy(name).await.map_err(|error| failures::state(&what, &error))?;
        document::read(&stored.document).map_err(|faults| {
            let cause = faults.first().map(ToString::to_string).unwrap_or_default();
            Failure::new("policy-unreadable", what, cause, "correct the document and apply it again")
        })
    }

    /// Starts a session for each resource of the policy. The same key starts nothing twice.
    ///
    /// # Errors
    /// Where there is no such policy or a session cannot be written down. An account that cannot be looked into is an
    /// error only where nothing else was found.
    pub async fn run(&self, name: &str, key: &str) -> Result<Run, Failure> {
        let policy = self.get(name).await?;
        let what = format!("running policy {name}");
        let state = |error: StateError| failures::state(&what, &error);
        let own_account = self.own_account().await?;
        let policies: Vec<Policy> = self.all().await.map_err(state)?.into_iter().map(|(_, policy)| policy).collect();
        let (found, missed) = places::look(&self.sessions, &places::of(&policy, &own_account)).await;
        let Resolution { chosen, mut skipped } = resolve(&policy, &policies, &found, &own_account, &missed);
        skipped.extend(missed.iter().map(ToString::to_string));
        let mut sessions = Vec::new();
        for found in chosen {
            let request = backup(&policy, found);
            let key = format!("{name}/{key}/{}", request.instance.lock_key());
            sessions.push(self.sessions.start_backup(request, Some(key)).await.map_err(state)?);
        }
        match missed.first() {
            Some(missed) if sessions.is_empty() => Err(missed.failure.clone()),
            _ => Ok(Run { sessions, skipped, missed }),
        }
    }

    /// Every DB instance in the policies' accounts and Regions, in order; without policies, in the coordinator's own.
    ///
    /// # Errors
    /// Where the policies cannot be read. An account that cannot be looked into is no error but told.
    pub async fn instances(&self) -> Result<Listing, Failure> {
        let what = "listing the policies";
        let own_account = self.own_account().await?;
        let policies = self.all().await.map_err(|error| failures::state(what, &error))?;
        let policies: Vec<Policy> = policies.into_iter().map(|(_, policy)| policy).collect();
        let mut wanted: Vec<_> = policies.iter().flat_map(|policy| places::of(policy, &own_account)).collect();
        if wanted.is_empty() {
            wanted.push(places::own(&own_account, &self.sessions.services().settings.region));
        }
        wanted.sort();
        wanted.dedup_by(|a, b| a.account.id == b.account.id && a.region == b.region);
        let (mut found, missed) = places::look(&self.sessions, &wanted).await;
        for missed in &missed {
            tracing::warn!(account = missed.place.account.id, region = missed.place.region, "{}", missed.failure);
        }
        found.sort_by(|a, b| (&a.place, &a.instance.id).cmp(&(&b.place, &b.instance.id)));
        Ok(Listing { found, policies, missed })
    }

    /// Number of the coordinator's own account, asked for once.
    ///
    /// # Errors
    /// Where STS does not answer.
    pub async fn own_account(&self) -> Result<String, Failure> {
        let ask = || async {
            let nobody = Account { id: String::new(), role_arn: None, external_id: None };
            let caller = async { self.sessions.services().cloud.identity(&nobody).await?.caller().await }.await;
            let caller = caller.map_err(|error| {
                failures::as_itself(failures::cloud("asking for the coordinator's own account", &error))
            })?;
            Ok(caller.account)
        };
        self.own_account.get_or_try_init(ask).await.cloned()
    }
}

/// The schedule of a policy that was validated.
pub(super) fn schedule(policy: &Policy) -> Schedule {
    Schedule::parse(&policy.schedule).unwrap_or(Schedule::Manual)
}
