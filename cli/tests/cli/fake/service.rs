//! The fake's rpcs.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use haulier_domain::failure::Failure;
use haulier_proto::common::v1::Severity;
use haulier_proto::control::v1 as control;
use haulier_proto::control::v1::control_service_server::ControlService;
use haulier_proto::control::v1::tail_session_response::Event;
use haulier_proto::status::refusal;
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status};

use super::data;

pub(super) struct Fake {
    asked: Arc<Mutex<Vec<String>>>,
    locked_out: Arc<AtomicBool>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Fake {
    pub(super) fn new(asked: Arc<Mutex<Vec<String>>>, locked_out: Arc<AtomicBool>) -> Self {
        Self { asked, locked_out }
    }

    fn note<T: Debug>(&self, request: Request<T>) -> T {
        let request = request.into_inner();
        self.asked.lock().unwrap().push(format!("{request:?}"));
        request
    }
}

fn known(id: &str, what: &str) -> Result<(), Status> {
    if id.ends_with("none") {
        let failure =
            Failure::new(format!("{what}-unknown"), format!("showing {what} {id}"), "there is none", "list them");
        return Err(refusal(Code::NotFound, &failure));
    }
    Ok(())
}

/// Whether the key is one that was used before; `other` was used for something else.
fn repeated(key: &str) -> Result<bool, Status> {
    if key == "other" {
        let failure = Failure::new("idempotency-key-reused", "running it", "used for another request", "use another");
        return Err(refusal(Code::AlreadyExists, &failure));
    }
    Ok(key == "used")
}

fn faults(document: &str) -> Vec<control::Fault> {
    let fault = |line, field: &str| control::Fault {
        line,
        column: 3,
        field: field.to_owned(),
        message: "is wrong".to_owned(),
        remedy: "write it right".to_owned(),
    };
    if document.contains("bad") { vec![fault(2, "name"), fault(5, "regions[0]")] } else { Vec::new() }
}

/// What the coordinator makes of a restore: every database of the point where none is named.
fn chosen(request: &control::RestoreDatabaseRequest) -> (Vec<control::DatabaseTarget>, String) {
    let mut databases: Vec<control::DatabaseTarget> = request
        .databases
        .iter()
        .map(|wanted| {
            let target = if wanted.target_name.is_empty() { &wanted.database } else { &wanted.target_name };
            data::target(&wanted.database, target, false)
        })
        .collect();
    if databases.is_empty() {
        databases = vec![data::target("shop", "shop", false), data::target("crm", "crm", false)];
    }
    let instance = if request.target_instance.is_empty() { "shop" } else { &request.target_instance };
    (databases, instance.to_owned())
}

fn event(sequence: u64, event: Event) -> Result<control::TailSessionResponse, Status> {
    Ok(control::TailSessionResponse { sequence, event: Some(event) })
}

#[tonic::async_trait]
impl ControlService for Fake {
    async fn validate_policy(
        &self,
        request: Request<control::ValidatePolicyRequest>,
    ) -> Answer<control::ValidatePolicyResponse> {
        let request = self.note(request);
        Ok(Response::new(control::ValidatePolicyResponse { faults: faults(&request.document) }))
    }

    async fn apply_policy(
        &self,
        request: Request<control::ApplyPolicyRequest>,
    ) -> Answer<control::ApplyPolicyResponse> {
        let request = self.note(request);
        let faults = faults(&request.document);
        let name = if faults.is_empty() { "nightly".to_owned() } else { String::new() };
        Ok(Response::new(control::ApplyPolicyResponse { name, created: faults.is_empty(), faults }))
    }

    async fn list_policies(&self, _: Request<control::ListPoliciesRequest>) -> Answer<control::ListPoliciesResponse> {
        Ok(Response::new(control::ListPoliciesResponse { policies: vec![data::policy()] }))
    }

    async fn get_policy(&self, request: Request<control::GetPolicyRequest>) -> Answer<control::GetPolicyResponse> {
        known(&self.note(request).name, "policy")?;
        Ok(Response::new(control::GetPolicyResponse { policy: Some(data::policy()) }))
    }

    async fn delete_policy(
        &self,
        request: Request<control::DeletePolicyRequest>,
    ) -> Answer<control::DeletePolicyResponse> {
        known(&self.note(request).name, "policy")?;
        Ok(Response::new(control::DeletePolicyResponse {}))
    }

    async fn run_policy(&self, request: Request<control::RunPolicyRequest>) -> Answer<control::RunPolicyResponse> {
        let request = self.note(request);
        let repeated_call = repeated(&request.idempotency_key)?;
        let sessions: &[&str] = match request.name.as_str() {
            "empty" => &[],
            "mixed" => &["ses-ok", "ses-cancelled", "ses-failed"],
            "cancelled" => &["ses-ok", "ses-cancelled"],
            _ => &["ses-ok"],
        };
        Ok(Response::new(control::RunPolicyResponse {
            session_ids: sessions.iter().map(|id| (*id).to_owned()).collect(),
            skipped: vec!["crm: belongs to policy other of priority 200".to_owned()],
            repeated_call,
        }))
    }

    async fn list_sessions(
        &self,
        request: Request<control::ListSessionsRequest>,
    ) -> Answer<control::ListSessionsResponse> {
        self.note(request);
        let sessions = vec![
            data::session("ses-run", control::SessionState::Running),
            data::session("ses-failed", control::SessionState::Failed),
        ];
        Ok(Response::new(control::ListSessionsResponse { sessions }))
    }

    async fn get_session(&self, request: Request<control::GetSessionRequest>) -> Answer<control::GetSessionResponse> {
        let id = self.note(request).id;
        known(&id, "session")?;
        let session = Some(data::session(&id, data::last_state(&id)));
        Ok(Response::new(control::GetSessionResponse { session }))
    }

    type TailSessionStream = Pin<Box<dyn Stream<Item = Result<control::TailSessionResponse, Status>> + Send>>;

    async fn tail_session(&self, request: Request<control::TailSessionRequest>) -> Answer<Self::TailSessionStream> {
        let control::TailSessionRequest { id, after_sequence } = self.note(request);
        known(&id, "session")?;
        let running = Event::Session(data::session(&id, control::SessionState::Running));
        let last = Event::Session(data::session(&id, data::last_state(&id)));
        let mut events = vec![
            event(0, running),
            event(1, Event::Log(data::log("snapshot taken", Severity::Info))),
            event(2, Event::Log(data::log("row security is on", Severity::Warning))),
        ];
        if id == "ses-cut" && after_sequence == 0 {
            events.push(Err(Status::unavailable("the coordinator is shutting down")));
        }
        events.extend([
            event(0, Event::Progress(data::progress("schema", 100))),
            event(0, Event::Progress(data::progress("data", 512))),
            event(0, Event::Progress(data::progress("data", 513))),
            event(3, Event::Log(data::log("done", Severity::Info))),
            event(0, last),
        ]);
        events.retain(|item| item.as_ref().map_or(true, |item| item.sequence == 0 || item.sequence > after_sequence));
        Ok(Response::new(Box::pin(tokio_stream::iter(events))))
    }

    async fn cancel_session(
        &self,
        request: Request<control::CancelSessionRequest>,
    ) -> Answer<control::CancelSessionResponse> {
        let id = self.note(request).id;
        known(&id, "session")?;
        let state = match id.as_str() {
            "ses-ok" => control::SessionState::Succeeded,
            _ => control::SessionState::Running,
        };
        let mut session = data::session(&id, state);
        session.cancel_requested = true;
        Ok(Response::new(control::CancelSessionResponse { session: Some(session) }))
    }

    async fn list_points(&self, request: Request<control::ListPointsRequest>) -> Answer<control::ListPointsResponse> {
        self.note(request);
        Ok(Response::new(control::ListPointsResponse { points: vec![data::point()] }))
    }

    async fn get_point(&self, request: Request<control::GetPointRequest>) -> Answer<control::GetPointResponse> {
        let id = self.note(request).id;
        known(&id, "point")?;
        let point = match id.as_str() {
            "pnt-copy" => data::copy("main"),
            "pnt-copy-from-afar" => data::copy(""),
            _ => data::point(),
        };
        Ok(Response::new(control::GetPointResponse { point: Some(point) }))
    }

    async fn check_point(&self, request: Request<control::CheckPointRequest>) -> Answer<control::CheckPointResponse> {
        let request = self.note(request);
        known(&request.id, "point")?;
        let repeated_call = repeated(&request.idempotency_key)?;
        Ok(Response::new(control::CheckPointResponse { session_id: "ses-warning".to_owned(), repeated_call }))
    }

    async fn verify_point(
        &self,
        request: Request<control::VerifyPointRequest>,
    ) -> Answer<control::VerifyPointResponse> {
        let request = self.note(request);
        known(&request.id, "point")?;
        let repeated_call = repeated(&request.idempotency_key)?;
        Ok(Response::new(control::VerifyPointResponse { session_id: "ses-ok".to_owned(), repeated_call }))
    }

    async fn copy_point(&self, request: Request<control::CopyPointRequest>) -> Answer<control::CopyPointResponse> {
        let request = self.note(request);
        known(&request.id, "point")?;
        known(&request.repository, "repository")?;
        let repeated_call = repeated(&request.idempotency_key)?;
        let already_copied = request.id == "pnt-copied";
        let session_id = if already_copied { String::new() } else { "ses-ok".to_owned() };
        let copy_id = "pnt-copy".to_owned();
        Ok(Response::new(control::CopyPointResponse { session_id, copy_id, already_copied, repeated_call }))
    }

    async fn restore_database(
        &self,
        request: Request<control::RestoreDatabaseRequest>,
    ) -> Answer<control::RestoreDatabaseResponse> {
        let request = self.note(request);
        known(&request.point_id, "point")?;
        let repeated_call = repeated(&request.idempotency_key)?;
        let session_id = match request.target_instance.as_str() {
            "busy" => {
                let failure = Failure::new("cloud-unavailable", "reaching EC2", "throttled", "try again").retryable();
                return Err(refusal(Code::Unavailable, &failure));
            }
            "broken" => "ses-failed",
            "beside" => "ses-restored",
            _ => "ses-ok",
        };
        let (databases, target_instance) = chosen(&request);
        let session_id = session_id.to_owned();
        Ok(Response::new(control::RestoreDatabaseResponse { session_id, databases, target_instance, repeated_call }))
    }

    async fn plan_restore(
        &self,
        request: Request<control::PlanRestoreRequest>,
    ) -> Answer<control::PlanRestoreResponse> {
        let restore = self.note(request).restore.unwrap_or_default();
        known(&restore.point_id, "point")?;
        let (databases, target_instance) = chosen(&restore);
        Ok(Response::new(control::PlanRestoreResponse { databases, target_instance }))
    }

    async fn create_repository(
        &self,
        request: Request<control::CreateRepositoryRequest>,
    ) -> Answer<control::CreateRepositoryResponse> {
        let request = self.note(request);
        if request.name == "taken" {
            let failure = Failure::new("repository-name-taken", "creating it", "there is one", "choose another name");
            return Err(refusal(Code::AlreadyExists, &failure));
        }
        let outcome = match request.name.as_str() {
            "adopted" => control::RepositoryOutcome::Adopted,
            "known" => control::RepositoryOutcome::Unchanged,
            _ => control::RepositoryOutcome::Created,
        };
        let repository = Some(data::repository());
        Ok(Response::new(control::CreateRepositoryResponse { repository, outcome: outcome.into() }))
    }

    type ImportRepositoryStream = Pin<Box<dyn Stream<Item = Result<control::ImportRepositoryResponse, Status>> + Send>>;

    async fn import_repository(
        &self,
        request: Request<control::ImportRepositoryRequest>,
    ) -> Answer<Self::ImportRepositoryStream> {
        let name = self.note(request).repository.unwrap_or_default().name;
        known(&name, "repository")?;
        let events = data::import(&name).into_iter().map(|event| {
            let event = event?;
            Ok(control::ImportRepositoryResponse { event: Some(event) })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(events))))
    }

    async fn list_repositories(
        &self,
        _: Request<control::ListRepositoriesRequest>,
    ) -> Answer<control::ListRepositoriesResponse> {
        Ok(Response::new(control::ListRepositoriesResponse { repositories: vec![data::repository()] }))
    }

    async fn prune_repository(
        &self,
        request: Request<control::PruneRepositoryRequest>,
    ) -> Answer<control::PruneRepositoryResponse> {
        let request = self.note(request);
        let repeated_call = repeated(&request.idempotency_key)?;
        let (sessions, skipped): (&[&str], _) = match request.name.as_str() {
            "empty" => (&[], vec!["dom-1: no network".to_owned()]),
            _ => (&["ses-prune"], Vec::new()),
        };
        let session_ids = sessions.iter().map(|id| (*id).to_owned()).collect();
        Ok(Response::new(control::PruneRepositoryResponse { session_ids, skipped, repeated_call }))
    }

    async fn undelete_repository(
        &self,
        request: Request<control::UndeleteRepositoryRequest>,
    ) -> Answer<control::UndeleteRepositoryResponse> {
        let request = self.note(request);
        known(&request.name, "repository")?;
        let object = control::HiddenObject { key: "rds/format".to_owned(), size: 200, hidden_since: data::at(0) };
        let objects = if request.all { Vec::new() } else { vec![object] };
        Ok(Response::new(control::UndeleteRepositoryResponse { objects }))
    }

    async fn list_repository_keys(
        &self,
        request: Request<control::ListRepositoryKeysRequest>,
    ) -> Answer<control::ListRepositoryKeysResponse> {
        known(&self.note(request).name, "repository")?;
        Ok(Response::new(control::ListRepositoryKeysResponse { keys: data::keys() }))
    }

    async fn add_repository_key(
        &self,
        request: Request<control::AddRepositoryKeyRequest>,
    ) -> Answer<control::AddRepositoryKeyResponse> {
        let request = self.note(request);
        let kind = match request.key {
            Some(control::add_repository_key_request::Key::Passphrase(text)) => format!("{} characters", text.len()),
            Some(control::add_repository_key_request::Key::KmsKeyArn(arn)) => arn,
            _ => "another".to_owned(),
        };
        Ok(Response::new(control::AddRepositoryKeyResponse { id: format!("key of {kind}") }))
    }

    async fn remove_repository_key(
        &self,
        request: Request<control::RemoveRepositoryKeyRequest>,
    ) -> Answer<control::RemoveRepositoryKeyResponse> {
        self.note(request);
        Ok(Response::new(control::RemoveRepositoryKeyResponse { locked_until: None }))
    }

    async fn rotate_repository_key(
        &self,
        request: Request<control::RotateRepositoryKeyRequest>,
    ) -> Answer<control::RotateRepositoryKeyResponse> {
        let request = self.note(request);
        let (id, removed) = ("new".to_owned(), vec!["old".to_owned()]);
        let locked_until = if request.name == "locked" { data::at(0) } else { None };
        Ok(Response::new(control::RotateRepositoryKeyResponse { id, removed, locked_until }))
    }

    async fn list_resources(
        &self,
        _: Request<control::ListResourcesRequest>,
    ) -> Answer<control::ListResourcesResponse> {
        let locked_out = self.locked_out.load(Ordering::Relaxed);
        let missed = if locked_out { vec![data::missed("444455556666")] } else { Vec::new() };
        Ok(Response::new(control::ListResourcesResponse { resources: vec![data::resource()], missed }))
    }

    async fn list_workers(
        &self,
        request: Request<control::ListWorkersRequest>,
    ) -> Answer<control::ListWorkersResponse> {
        self.note(request);
        Ok(Response::new(control::ListWorkersResponse { workers: vec![data::worker()] }))
    }

    async fn list_ledger(&self, request: Request<control::ListLedgerRequest>) -> Answer<control::ListLedgerResponse> {
        self.note(request);
        Ok(Response::new(control::ListLedgerResponse { entries: vec![data::entry()] }))
    }
}
