//! A worker is planned, launched and given its work.

use haulier_cloud::CloudError;
use haulier_cloud::compute::{Compute, LaunchSpec, Subnet, TagFilter};
use haulier_domain::failure::Failure;
use haulier_domain::id::{Epoch, WorkerId};
use haulier_domain::placement::{
    Candidate, DatabasePlace, Obstacle, Placement, Prepared, SubnetPlace, candidates, places, subnets_in_question,
};
use haulier_domain::session::{Severity, Stop};
use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::assignment::Job;
use super::network::Groups;
use super::preflight::Source;
use crate::certificates::sha256_hex;
use crate::ledger::{Intent, Resource};
use crate::sessions::WorkerNetwork;
use crate::state::NewWorker;
use crate::workers::{credentials, restored, tasks, user_data, worker_id};
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, During as _, Made, SoonAfter as _, Trouble, of_vault};

/// Everything a launch is made of. It is committed before the launch, so that a repeated launch is the same one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::workflows) struct Plan {
    image_id: String,
    /// Launches that can be tried, in order.
    pub(in crate::workflows) candidates: Vec<Candidate>,
    deadline: Timestamp,
    coordinator: String,
    authority_sha256: String,
    /// VPC of the worker.
    pub(super) vpc_id: String,
    /// The networks that candidates name, as the operator has prepared them.
    networks: Vec<WorkerNetwork>,
}

impl Plan {
    /// The network of a candidate: what was prepared, or one where nothing is.
    fn network(&self, candidate: &Candidate) -> WorkerNetwork {
        candidate.prepared.and_then(|index| self.networks.get(index).cloned()).unwrap_or_default()
    }

    /// Whether the candidates' groups reach the database already. It is the same for all of them.
    pub(super) fn permanent_pair(&self) -> bool {
        self.candidates.first().is_some_and(|first| self.network(first).permanent_pair)
    }

    /// Whether a candidate needs the base group of its VPC, since no group was prepared for it.
    pub(super) fn needs_base_group(&self) -> bool {
        self.candidates.iter().any(|candidate| self.network(candidate).security_group_ids.is_empty())
    }

    /// The groups of a candidate's worker.
    fn groups(&self, candidate: &Candidate, groups: &Groups) -> Vec<String> {
        let prepared = self.network(candidate).security_group_ids;
        let base = if prepared.is_empty() { groups.base.iter().cloned().collect() } else { prepared };
        base.into_iter().chain(groups.worker.clone()).collect()
    }
}

/// What a launch came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::workflows) enum Launch {
    /// The worker boots.
    Up(Launched),
    /// EC2 has no room for it; another type, place or time may have.
    Refused(Obstacle),
}

/// A worker that was launched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::workflows) struct Launched {
    /// Its id.
    pub(super) worker: WorkerId,
    /// Its epoch.
    pub(super) epoch: Epoch,
    /// Its EC2 instance.
    pub(super) instance_id: String,
}

/// Claims the session for this epoch and decides what its worker is made of.
pub(in crate::workflows) async fn plan(work: &Work, near: &Source, epoch: Epoch) -> Attempt<Plan> {
    let services = &work.services;
    services.state.claim_epoch(work.id(), epoch).await?;
    let what = || "choosing image and network of the worker".to_owned();
    let compute = services.cloud.compute(work.place()).await.during(what)?;
    let places = possible_places(work, near, compute.as_ref()).await?;
    let wanted = work.request().worker();
    let life = SignedDuration::try_from(services.settings.pace.session).unwrap_or(SignedDuration::from_hours(24));
    let types = if wanted.instance_types.is_empty() {
        &services.settings.worker.instance_types
    } else {
        &wanted.instance_types
    };
    Ok(Plan {
        image_id: match &wanted.image_id {
            Some(image) => image.clone(),
            None => newest_image(work, compute.as_ref()).await?,
        },
        candidates: candidates(types, &places),
        vpc_id: places.into_iter().next().map(|place| place.vpc_id).unwrap_or_default(),
        deadline: Timestamp::now().saturating_add(life).unwrap_or(Timestamp::MAX),
        coordinator: services.worker_endpoint.get().cloned().unwrap_or_default(),
        authority_sha256: services.authority.sha256(),
        networks: wanted.networks.clone(),
    })
}

async fn possible_places(work: &Work, near: &Source, compute: &dyn Compute) -> Attempt<Vec<Placement>> {
    let networks = &work.request().worker().networks;
    let prepared: Vec<Prepared<'_>> = networks
        .iter()
        .map(|network| Prepared {
            availability_zone: network.availability_zone.as_deref(),
            subnet_id: network.subnet_id.as_deref(),
            permanent_pair: network.permanent_pair,
        })
        .collect();
    let database = DatabasePlace {
        id: &near.id,
        region: &work.place().region,
        vpc_id: near.vpc_id.as_deref(),
        availability_zone: near.availability_zone.as_deref(),
    };
    let ids = subnets_in_question(&prepared, &near.subnets);
    let described = known_subnets(compute, &ids).await.during(|| format!("looking up subnets {}", ids.join(", ")))?;
    let subnets: Vec<SubnetPlace> = described
        .into_iter()
        .map(|subnet| SubnetPlace {
            id: subnet.id,
            vpc_id: subnet.vpc_id,
            availability_zone: subnet.availability_zone,
            free_addresses: subnet.free_addresses,
        })
        .collect();
    places(&prepared, &database, &subnets).map_err(|unplaced| unplaced.failure(&near.id).into())
}

/// The subnets that exist. AWS answers for none where it does not know one of them.
async fn known_subnets(compute: &dyn Compute, ids: &[String]) -> Result<Vec<Subnet>, CloudError> {
    match compute.subnets(ids).await {
        Err(error) if error.is_not_found() => {}
        answer => return answer,
    }
    let mut known = Vec::new();
    for id in ids {
        match compute.subnets(std::slice::from_ref(id)).await {
            Ok(subnets) => known.extend(subnets),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}

async fn newest_image(work: &Work, compute: &dyn Compute) -> Attempt<String> {
    let (key, value) = &work.services.settings.worker.image_tag;
    let filter = TagFilter::from([(key.clone(), vec![value.clone()])]);
    let images = compute.images(&filter).await.during(|| "looking for the worker image".to_owned())?;
    let newest = images.into_iter().max_by(|a, b| a.created_at.cmp(&b.created_at).then_with(|| a.id.cmp(&b.id)));
    Ok(newest.map(|image| image.id).ok_or_else(|| {
        Failure::new(
            "worker-no-image",
            "looking for the worker image",
            format!("account {} has no image tagged {key}={value} in {}", work.place().account.id, work.place().region),
            "build the image with ami/ or share it with the account, or name one in the worker configuration",
        )
    })?)
}

/// Tries to launch the worker as one of its candidates. Its token follows from the installation key, so a repeated launch
/// has the same user-data; its hash is committed first. Each attempt has a row and a client token of its own: EC2 refuses
/// an earlier token with another type or subnet.
pub(in crate::workflows) async fn launch(
    work: &Work,
    plan: &Plan,
    groups: &Groups,
    epoch: Epoch,
    candidate: usize,
    attempt: usize,
) -> Attempt<Launch> {
    let services = &work.services;
    let worker = worker_id(work.id(), epoch);
    let name = worker_name(work, epoch, attempt);
    let candidate = candidate_of(work, plan, candidate)?;
    let token = services.key.enrolment_token(worker.as_str());
    let user_data = user_data::render(&user_data::UserData {
        haulier_worker: 1,
        coordinator: &plan.coordinator,
        ca_sha256: &plan.authority_sha256,
        worker_id: worker.as_str(),
        session_id: work.id().as_str(),
        epoch: epoch.0,
        token: token.expose(),
        region: &work.place().region,
        deadline: plan.deadline,
    })?;
    let new = NewWorker {
        id: worker.clone(),
        session: work.id().clone(),
        epoch,
        region: work.place().region.clone(),
        token_sha256: sha256_hex(token.expose().as_bytes()),
    };
    services.state.create_worker(&new).await?;
    let entry = services.state.intend(&intent(work, epoch, &name)).await?;
    let what = || format!("launching worker {name}");
    let compute = services.cloud.compute(work.place()).await.during(what)?;
    let wanted = work.request().worker();
    let mut tags = wanted.tags.clone();
    tags.extend(work.naming.tags(epoch, &name));
    let spec = LaunchSpec {
        client_token: name.clone(),
        image_id: plan.image_id.clone(),
        instance_type: candidate.instance_type.clone(),
        subnet_id: candidate.subnet_id.clone(),
        security_group_ids: plan.groups(candidate, groups),
        instance_profile: wanted.instance_profile.clone().or_else(|| services.settings.worker.instance_profile.clone()),
        user_data,
        tags,
        root_volume_gib: wanted.root_volume_gib,
    };
    let instance = match compute.launch(&spec).await {
        Ok(instance) => instance,
        Err(error) => match obstacle(&error) {
            Some(obstacle) => {
                services.state.mark_removed(entry.id).await?;
                work.log(Severity::Warning, &format!("EC2 has no room for {candidate}: {}", obstacle.words())).await;
                return Ok(Launch::Refused(obstacle));
            }
            None => {
                let ids: Vec<&str> = spec.security_group_ids.iter().map(String::as_str).collect();
                let made = Made { ids: &ids, at: entry.intended_at, settle: services.settings.pace.settle };
                return Err(error).soon_after(&made, what);
            }
        },
    };
    services.state.mark_created(entry.id, &instance.id).await?;
    services.state.note_worker_instance(&worker, &instance.id).await?;
    let booting = format!("worker {worker} is booting as {}, {candidate}", instance.id);
    work.log(Severity::Info, &booting).await;
    Ok(Launch::Up(Launched { worker, epoch, instance_id: instance.id }))
}

/// What another type, place or time may cure. A refusal counts where EC2 has answered that nothing was launched; one with
/// an unknown outcome is asked for again with the same token.
fn obstacle(error: &CloudError) -> Option<Obstacle> {
    error.code.as_deref().filter(|_| !error.is_indeterminate()).and_then(Obstacle::of_code)
}

/// The client token and name of an attempt: `…-worker`, then `…-worker-2` and so on.
fn worker_name(work: &Work, epoch: Epoch, attempt: usize) -> String {
    let role = if attempt == 1 { "worker".to_owned() } else { format!("worker-{attempt}") };
    work.naming.of_epoch(epoch, &role)
}

fn candidate_of<'p>(work: &Work, plan: &'p Plan, index: usize) -> Result<&'p Candidate, Failure> {
    plan.candidates.get(index).ok_or_else(|| {
        let what = format!("launching a worker for {}", work.request().instance().id);
        Failure::new("coordinator-state", what, "the plan lacks the launch to try", "run the session again")
    })
}

/// Pauses before another round of launches: each pause is twice as long as the one before, and at most sixteen times as
/// long as the first.
pub(in crate::workflows) async fn wait_for_capacity(work: &Work, round: u64) -> Attempt<()> {
    let doublings = u32::try_from(round.saturating_sub(2)).unwrap_or(u32::MAX).min(4);
    let pause = work.services.settings.pace.capacity * 2_u32.pow(doublings);
    let text = format!("EC2 has no room for a worker anywhere it may run; trying again in {} s", pause.as_secs());
    work.log(Severity::Warning, &text).await;
    tokio::select! {
        () = tokio::time::sleep(pause) => Ok(()),
        () = work.cancelled() => Err(Trouble::Stop(Stop::Cancelled)),
    }
}

fn intent(work: &Work, epoch: Epoch, name: &str) -> Intent {
    Intent {
        session: work.id().clone(),
        epoch,
        account: work.place().account.id.clone(),
        region: work.place().region.clone(),
        name: name.to_owned(),
        resource: Resource::Ec2Instance,
    }
}

/// Gives the worker its work. Its credentials are asked for once here, so that a role that cannot be assumed, or a
/// repository that cannot be opened, is told at once.
pub(in crate::workflows) async fn assign(work: &Work, job: &Job, launched: &Launched) -> Attempt<()> {
    credentials::mint(&work.services, &job.grant, &launched.worker).await.map_err(of_vault)?;
    // Earlier workers are given up by now: what they have reported is all that they will.
    let restored = restored::parts(&work.services.state, work.id()).await?;
    let tasks = tasks::of_session(&work.services.state, work.id()).await?;
    let submitted = tasks.into_iter().map(|task| task.submitted).collect();
    let log_target = tasks::log_target(&work.services.state, work.id()).await?;
    let assignment = job.after(restored, submitted, log_target).encode_to_vec();
    work.services.state.assign(&launched.worker, &assignment, &job.grant).await?;
    work.services.feeds.changed(work.id());
    Ok(())
}
