//! The rpcs.

use std::sync::Arc;

use haulier_domain::id::SessionId;
use haulier_domain::policy::owners;
use haulier_proto::common::v1 as common;
use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::control_service_server::ControlService;
use haulier_proto::to_timestamp;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::tail::{Tail, tail};
use super::{convert, copy, filters, import, keys, prune, repository, restore, session, start, status};
use crate::ledger::{Entry, Resource};
use crate::policies::{ApplyError, Found, Listing, Policies};
use crate::services::Services;
use crate::sessions::Sessions;
use crate::state::{self, PointFilter, Session, SessionFilter};
use crate::workers::tasks;

/// The control service.
#[derive(Debug, Clone)]
pub struct Control {
    policies: Policies,
    stop: CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;

impl Control {
    /// Over policies and their sessions; streams end when `stop` says so.
    pub fn new(policies: Policies, stop: CancellationToken) -> Self {
        Self { policies, stop }
    }

    pub(super) fn services(&self) -> &Arc<Services> {
        self.sessions().services()
    }

    fn sessions(&self) -> &Sessions {
        self.policies.sessions()
    }

    async fn shown(&self, what: &str, session: state::Result<Session>) -> Result<wire::Session, Status> {
        let shown = match session {
            Ok(session) => session::shown(self.sessions(), session).await,
            Err(error) => Err(error),
        };
        shown.map_err(|error| status::of_state(what, &error))
    }

    async fn policy(&self, name: &str) -> Result<wire::Policy, Status> {
        let what = format!("showing policy {name}");
        let stored = self.sessions().state().policy(name).await.map_err(|error| status::of_state(&what, &error))?;
        let read = self.policies.get(name).await.ok();
        let (repository, schedule) =
            read.map(|policy| (policy.repository, policy.schedule.to_string())).unwrap_or_default();
        Ok(wire::Policy {
            name: stored.name,
            repository,
            schedule,
            next_run: stored.next_run.map(to_timestamp),
            applied_at: Some(to_timestamp(stored.applied_at)),
            document: stored.document,
        })
    }

    async fn point_count(&self, repository: &str) -> Result<usize, Status> {
        let filter = PointFilter { repository: Some(repository.to_owned()), resource: None };
        let points = self.sessions().points(&filter).await;
        points.map(|points| points.len()).map_err(|error| status::of_state("counting restore points", &error))
    }

    async fn last_point(&self, found: &Found) -> Result<String, Status> {
        let filter = PointFilter { resource: Some(found.instance.id.clone()), repository: None };
        let points = self.sessions().points(&filter).await;
        let points = points.map_err(|error| status::of_state("listing the resources", &error))?;
        let is_its =
            |point: &&state::Point| point.account == found.place.account.id && point.region == found.place.region;
        // A copy is published later than what it copies, and is no newer.
        let last = points.iter().filter(is_its).min_by_key(|point| point.copy_of.is_some());
        Ok(last.map(|point| point.id.to_string()).unwrap_or_default())
    }
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[tonic::async_trait]
impl ControlService for Control {
    async fn validate_policy(
        &self,
        request: Request<wire::ValidatePolicyRequest>,
    ) -> Answer<wire::ValidatePolicyResponse> {
        let faults = match self.policies.validate(&request.into_inner().document).await {
            Ok(_) => Vec::new(),
            Err(ApplyError::Faulty(faults)) => faults,
            Err(ApplyError::State(error)) => return Err(status::of_state("validating a policy", &error)),
        };
        Ok(Response::new(wire::ValidatePolicyResponse { faults: faults.into_iter().map(convert::fault).collect() }))
    }

    async fn apply_policy(&self, request: Request<wire::ApplyPolicyRequest>) -> Answer<wire::ApplyPolicyResponse> {
        let answer = match self.policies.apply(&request.into_inner().document, Timestamp::now()).await {
            Ok(applied) => {
                wire::ApplyPolicyResponse { name: applied.name, created: applied.created, faults: Vec::new() }
            }
            Err(ApplyError::Faulty(faults)) => wire::ApplyPolicyResponse {
                faults: faults.into_iter().map(convert::fault).collect(),
                ..Default::default()
            },
            Err(ApplyError::State(error)) => return Err(status::of_state("applying a policy", &error)),
        };
        Ok(Response::new(answer))
    }

    async fn list_policies(&self, _: Request<wire::ListPoliciesRequest>) -> Answer<wire::ListPoliciesResponse> {
        let stored = self.sessions().state().policies().await;
        let mut policies = Vec::new();
        for stored in stored.map_err(|error| status::of_state("listing the policies", &error))? {
            policies.push(self.policy(&stored.name).await?);
        }
        Ok(Response::new(wire::ListPoliciesResponse { policies }))
    }

    async fn get_policy(&self, request: Request<wire::GetPolicyRequest>) -> Answer<wire::GetPolicyResponse> {
        let policy = self.policy(&request.into_inner().name).await?;
        Ok(Response::new(wire::GetPolicyResponse { policy: Some(policy) }))
    }

    async fn delete_policy(&self, request: Request<wire::DeletePolicyRequest>) -> Answer<wire::DeletePolicyResponse> {
        let name = request.into_inner().name;
        let what = format!("deleting policy {name}");
        let state = self.sessions().state();
        state.policy(&name).await.map_err(|error| status::of_state(&what, &error))?;
        state.delete_policy(&name).await.map_err(|error| status::of_state(&what, &error))?;
        tracing::info!(policy = name, "deleted a policy");
        Ok(Response::new(wire::DeletePolicyResponse {}))
    }

    async fn run_policy(&self, request: Request<wire::RunPolicyRequest>) -> Answer<wire::RunPolicyResponse> {
        start::run(&self.policies, request.into_inner()).await.map(Response::new)
    }

    async fn list_sessions(&self, request: Request<wire::ListSessionsRequest>) -> Answer<wire::ListSessionsResponse> {
        let what = "listing the sessions";
        let request = request.into_inner();
        let filter = SessionFilter {
            states: session::states(&request.states),
            policy: filled(request.policy),
            resource: filled(request.resource),
            limit: request.limit,
        };
        let sessions = self.sessions().list(&filter).await.map_err(|error| status::of_state(what, &error))?;
        if sessions.is_empty() {
            if let Some(name) = &filter.policy {
                filters::policy(&self.policies, name, what).await?;
            }
            if let Some(id) = &filter.resource {
                filters::resource(&self.policies, id, what).await?;
            }
        }
        let shown = session::all_shown(self.sessions(), sessions).await;
        let sessions = shown.map_err(|error| status::of_state(what, &error))?;
        Ok(Response::new(wire::ListSessionsResponse { sessions }))
    }

    async fn get_session(&self, request: Request<wire::GetSessionRequest>) -> Answer<wire::GetSessionResponse> {
        let id = request.into_inner().id;
        let what = format!("showing session {id}");
        let id: SessionId = status::parsed(&what, &id, "session-unknown")?;
        let session = self.shown(&what, self.sessions().get(&id).await).await?;
        let failed = |error| status::of_state(&what, &error);
        let places = self.sessions().ledger(Some(&id), false).await.map_err(failed)?;
        let is_bucket = |entry: &&Entry| matches!(entry.resource, Resource::TemporaryBucket { .. });
        let place = places.iter().find(is_bucket).map(|entry| entry.name.clone());
        let tasks = tasks::of_session(self.sessions().state(), &id).await.map_err(failed)?;
        let session = wire::Session {
            temporary_place: place.unwrap_or_default(),
            tasks: tasks.into_iter().map(convert::task).collect(),
            ..session
        };
        Ok(Response::new(wire::GetSessionResponse { session: Some(session) }))
    }

    type TailSessionStream = Tail;

    async fn tail_session(&self, request: Request<wire::TailSessionRequest>) -> Answer<Self::TailSessionStream> {
        let wire::TailSessionRequest { id, after_sequence } = request.into_inner();
        let what = format!("following session {id}");
        let id: SessionId = status::parsed(&what, &id, "session-unknown")?;
        // A session that does not exist is refused before the stream begins.
        self.sessions().get(&id).await.map_err(|error| status::of_state(&what, &error))?;
        Ok(Response::new(tail(self.sessions(), &id, after_sequence, &self.stop)))
    }

    async fn cancel_session(
        &self,
        request: Request<wire::CancelSessionRequest>,
    ) -> Answer<wire::CancelSessionResponse> {
        let wire::CancelSessionRequest { id, reason } = request.into_inner();
        let what = format!("cancelling session {id}");
        let id: SessionId = status::parsed(&what, &id, "session-unknown")?;
        let reason = if reason.is_empty() { "asked for by an operator".to_owned() } else { reason };
        let session = self.shown(&what, self.sessions().cancel(&id, &reason).await).await?;
        Ok(Response::new(wire::CancelSessionResponse { session: Some(session) }))
    }

    async fn list_points(&self, request: Request<wire::ListPointsRequest>) -> Answer<wire::ListPointsResponse> {
        let what = "listing the restore points";
        let request = request.into_inner();
        let filter = PointFilter { resource: filled(request.resource), repository: filled(request.repository) };
        let points = self.sessions().points(&filter).await.map_err(|error| status::of_state(what, &error))?;
        if points.is_empty() {
            if let Some(name) = &filter.repository {
                filters::repository(&self.policies, name, what).await?;
            }
            if let Some(id) = &filter.resource {
                filters::resource(&self.policies, id, what).await?;
            }
        }
        let repositories = self.sessions().state().repositories().await;
        let repositories = repositories.map_err(|error| status::of_state(what, &error))?;
        let points = points.into_iter().map(|point| convert::point(point, &repositories)).collect();
        Ok(Response::new(wire::ListPointsResponse { points }))
    }

    async fn get_point(&self, request: Request<wire::GetPointRequest>) -> Answer<wire::GetPointResponse> {
        let id = request.into_inner().id;
        let what = format!("showing restore point {id}");
        let failed = |error| status::of_state(&what, &error);
        let point = restore::point(&self.policies, &id, &what).await?;
        let latest_proof = self.sessions().state().latest_proof(&point.id).await.map_err(failed)?.map(Into::into);
        let repositories = self.sessions().state().repositories().await.map_err(failed)?;
        let mut own = repositories.iter().filter(|repository| repository.name == point.repository);
        let terms = own.next().and_then(|repository| repository.immutability).filter(|_| point.locked_until.is_some());
        let retention_mode = terms.map(|terms| common::RetentionMode::from(terms.mode)).unwrap_or_default().into();
        let point = wire::Point { latest_proof, retention_mode, ..convert::point(point, &repositories) };
        Ok(Response::new(wire::GetPointResponse { point: Some(point) }))
    }

    async fn copy_point(&self, request: Request<wire::CopyPointRequest>) -> Answer<wire::CopyPointResponse> {
        copy::start(&self.policies, request.into_inner()).await.map(Response::new)
    }

    async fn check_point(&self, request: Request<wire::CheckPointRequest>) -> Answer<wire::CheckPointResponse> {
        start::check(&self.policies, request.into_inner()).await.map(Response::new)
    }

    async fn verify_point(&self, request: Request<wire::VerifyPointRequest>) -> Answer<wire::VerifyPointResponse> {
        start::verify(&self.policies, request.into_inner()).await.map(Response::new)
    }

    async fn restore_database(
        &self,
        request: Request<wire::RestoreDatabaseRequest>,
    ) -> Answer<wire::RestoreDatabaseResponse> {
        start::restore(&self.policies, request.into_inner()).await.map(Response::new)
    }

    async fn plan_restore(&self, request: Request<wire::PlanRestoreRequest>) -> Answer<wire::PlanRestoreResponse> {
        start::plan(&self.policies, request.into_inner()).await.map(Response::new)
    }

    async fn create_repository(
        &self,
        request: Request<wire::CreateRepositoryRequest>,
    ) -> Answer<wire::CreateRepositoryResponse> {
        let (repository, outcome) = repository::create(self.sessions(), request.into_inner()).await?;
        let points = self.point_count(&repository.name).await?;
        let repository = Some(convert::repository(repository, points));
        Ok(Response::new(wire::CreateRepositoryResponse { repository, outcome: outcome.into() }))
    }

    type ImportRepositoryStream = import::Told;

    async fn import_repository(
        &self,
        request: Request<wire::ImportRepositoryRequest>,
    ) -> Answer<Self::ImportRepositoryStream> {
        import::begin(self.sessions(), request.into_inner(), &self.stop).await.map(Response::new)
    }

    async fn list_repositories(
        &self,
        _: Request<wire::ListRepositoriesRequest>,
    ) -> Answer<wire::ListRepositoriesResponse> {
        let stored = self.sessions().state().repositories().await;
        let mut repositories = Vec::new();
        for repository in stored.map_err(|error| status::of_state("listing the repositories", &error))? {
            let points = self.point_count(&repository.name).await?;
            repositories.push(convert::repository(repository, points));
        }
        Ok(Response::new(wire::ListRepositoriesResponse { repositories }))
    }

    async fn prune_repository(
        &self,
        request: Request<wire::PruneRepositoryRequest>,
    ) -> Answer<wire::PruneRepositoryResponse> {
        prune::start(&self.policies, request.into_inner()).await.map(Response::new)
    }

    async fn undelete_repository(
        &self,
        request: Request<wire::UndeleteRepositoryRequest>,
    ) -> Answer<wire::UndeleteRepositoryResponse> {
        repository::undelete(self.sessions(), request.into_inner()).await.map(Response::new)
    }

    async fn list_repository_keys(
        &self,
        request: Request<wire::ListRepositoryKeysRequest>,
    ) -> Answer<wire::ListRepositoryKeysResponse> {
        keys::list(self.sessions(), request.into_inner()).await.map(Response::new)
    }

    async fn add_repository_key(
        &self,
        request: Request<wire::AddRepositoryKeyRequest>,
    ) -> Answer<wire::AddRepositoryKeyResponse> {
        keys::add(self.sessions(), request.into_inner()).await.map(Response::new)
    }

    async fn remove_repository_key(
        &self,
        request: Request<wire::RemoveRepositoryKeyRequest>,
    ) -> Answer<wire::RemoveRepositoryKeyResponse> {
        keys::remove(self.sessions(), request.into_inner()).await.map(Response::new)
    }

    async fn rotate_repository_key(
        &self,
        request: Request<wire::RotateRepositoryKeyRequest>,
    ) -> Answer<wire::RotateRepositoryKeyResponse> {
        keys::rotate(self.sessions(), request.into_inner()).await.map(Response::new)
    }

    async fn list_resources(&self, _: Request<wire::ListResourcesRequest>) -> Answer<wire::ListResourcesResponse> {
        let failed = |failure: haulier_domain::failure::Failure| status::of_failure(&failure);
        let Listing { found, policies, missed } = self.policies.instances().await.map_err(failed)?;
        let own_account = self.policies.own_account().await.map_err(failed)?;
        let mut resources = Vec::new();
        for found in found {
            let owner = owners(&policies, &found.resource(), &own_account);
            resources.push(wire::Resource {
                policy: owner.map(|owner| owner.policy.name.clone()).unwrap_or_default(),
                last_point_id: self.last_point(&found).await?,
                account: found.place.account.id,
                region: found.place.region,
                engine: format!("{} {}", found.instance.engine, found.instance.engine_version),
                status: found.instance.status,
                id: found.instance.id,
            });
        }
        let missed = missed.into_iter().map(convert::missed).collect();
        Ok(Response::new(wire::ListResourcesResponse { resources, missed }))
    }

    async fn list_workers(&self, request: Request<wire::ListWorkersRequest>) -> Answer<wire::ListWorkersResponse> {
        let workers = self.sessions().workers(request.into_inner().all).await;
        let workers = workers.map_err(|error| status::of_state("listing the workers", &error))?;
        Ok(Response::new(wire::ListWorkersResponse { workers: workers.into_iter().map(convert::worker).collect() }))
    }

    async fn list_ledger(&self, request: Request<wire::ListLedgerRequest>) -> Answer<wire::ListLedgerResponse> {
        let wire::ListLedgerRequest { session_id, open } = request.into_inner();
        let what = "listing the ledger";
        let session: Option<SessionId> = match filled(session_id) {
            Some(id) => Some(status::parsed(what, &id, "session-unknown")?),
            None => None,
        };
        let entries = self.sessions().ledger(session.as_ref(), open).await;
        let entries = entries.map_err(|error| status::of_state(what, &error))?;
        if let Some(session) = session.as_ref().filter(|_| entries.is_empty()) {
            filters::session(&self.policies, session, what).await?;
        }
        Ok(Response::new(wire::ListLedgerResponse {
            entries: entries.into_iter().map(convert::ledger_entry).collect(),
        }))
    }
}
