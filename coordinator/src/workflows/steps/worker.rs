//! A worker is planned, launched and given its work.

use haulier_cloud::compute::{Compute, LaunchSpec, TagFilter};
use haulier_domain::failure::Failure;
use haulier_domain::id::{Epoch, WorkerId};
use haulier_domain::placement::{DatabasePlace, Placement, Prepared, SubnetPlace, place, subnets_in_question};
use haulier_domain::session::Severity;
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
use crate::workers::{credentials, user_data, worker_id};
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, During as _, of_vault};

/// Everything a launch is made of. It is committed before the launch, so that a repeated launch is the same one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::workflows) struct Plan {
    image_id: String,
    instance_type: String,
    subnet_id: String,
    deadline: Timestamp,
    coordinator: String,
    authority_sha256: String,
    /// VPC of the worker.
    pub(super) vpc_id: String,
    /// The operator's network, where one was prepared.
    pub(super) network: WorkerNetwork,
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
    let placement = placement(work, near, compute.as_ref()).await?;
    let wanted = work.request().worker();
    let life = SignedDuration::try_from(services.settings.pace.session).unwrap_or(SignedDuration::from_hours(24));
    let network = placement.prepared.and_then(|index| wanted.networks.get(index).cloned()).unwrap_or_default();
    Ok(Plan {
        image_id: match &wanted.image_id {
            Some(image) => image.clone(),
            None => newest_image(work, compute.as_ref()).await?,
        },
        instance_type: wanted.instance_type.clone().unwrap_or_else(|| services.settings.worker.instance_type.clone()),
        subnet_id: placement.subnet_id,
        vpc_id: placement.vpc_id,
        deadline: Timestamp::now().saturating_add(life).unwrap_or(Timestamp::MAX),
        coordinator: services.worker_endpoint.get().cloned().unwrap_or_default(),
        authority_sha256: services.authority.sha256(),
        network,
    })
}

async fn placement(work: &Work, near: &Source, compute: &dyn Compute) -> Attempt<Placement> {
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
    let ids = subnets_in_question(&prepared, &database, &near.subnets);
    let described = compute.subnets(&ids).await.during(|| format!("looking up subnets {}", ids.join(", ")))?;
    let subnets: Vec<SubnetPlace> = described
        .into_iter()
        .map(|subnet| SubnetPlace {
            id: subnet.id,
            vpc_id: subnet.vpc_id,
            availability_zone: subnet.availability_zone,
            free_addresses: subnet.free_addresses,
        })
        .collect();
    place(&prepared, &database, &subnets).map_err(|unplaced| unplaced.failure(&near.id).into())
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

/// Launches the worker. Its token follows from the installation key, so a repeated launch has the same user-data; its hash
/// is committed first.
pub(in crate::workflows) async fn launch(work: &Work, plan: &Plan, groups: &Groups, epoch: Epoch) -> Attempt<Launched> {
    let services = &work.services;
    let worker = worker_id(work.id(), epoch);
    let name = work.naming.of_epoch(epoch, "worker");
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
        instance_type: plan.instance_type.clone(),
        subnet_id: plan.subnet_id.clone(),
        security_group_ids: groups.worker.clone(),
        instance_profile: wanted.instance_profile.clone().or_else(|| services.settings.worker.instance_profile.clone()),
        user_data,
        tags,
        root_volume_gib: wanted.root_volume_gib,
    };
    let instance = compute.launch(&spec).await.during(what)?;
    services.state.mark_created(entry.id, &instance.id).await?;
    services.state.note_worker_instance(&worker, &instance.id).await?;
    work.log(Severity::Info, &format!("worker {worker} is booting as {}", instance.id)).await;
    Ok(Launched { worker, epoch, instance_id: instance.id })
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
    work.services.state.assign(&launched.worker, &job.assignment.encode_to_vec(), &job.grant).await?;
    work.services.feeds.changed(work.id());
    Ok(())
}
