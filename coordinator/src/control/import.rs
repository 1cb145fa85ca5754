//! An import of a repository's catalogue, as a stream of what happens and at its end what has come of it.

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::import_repository_response::Event;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{convert, repository, status};
use crate::repositories::{Import, ImportEvent, Imported, Missed};
use crate::sessions::Sessions;
use crate::state::{PointFilter, Repository};

/// Events on their way to whoever asked; the import waits for them to be taken.
const ON_THE_WAY: usize = 16;

/// The stream that `ImportRepository` answers with.
pub(super) type Told = BoxStream<'static, Result<wire::ImportRepositoryResponse, Status>>;

/// Adds the repository where it is new, then begins. The import ends with the stream, or with the coordinator.
pub(super) async fn begin(
    sessions: &Sessions,
    request: wire::ImportRepositoryRequest,
    stop: &CancellationToken,
) -> Result<Told, Status> {
    let repository = repository::open(sessions, request.repository.unwrap_or_default()).await?;
    let (told, events) = mpsc::channel(ON_THE_WAY);
    let (ended, end) = oneshot::channel();
    let (sessions, stop) = (sessions.clone(), stop.clone());
    tokio::spawn(async move {
        let result = tokio::select! {
            result = run(&sessions, &repository, told) => result,
            () = stop.cancelled() => Err(Status::unavailable("the coordinator is shutting down")),
        };
        // Nobody may be waiting for it any more.
        let _ = ended.send(result);
    });
    let last = async move {
        match end.await {
            Ok(Ok(result)) => Ok(Event::Result(result)),
            Ok(Err(status)) => Err(status),
            Err(_) => Err(Status::internal("the import has stopped")),
        }
    };
    let events = ReceiverStream::new(events).map(|event| Ok(of(event))).chain(stream::once(last));
    Ok(events.map(|event| event.map(|event| wire::ImportRepositoryResponse { event: Some(event) })).boxed())
}

async fn run(
    sessions: &Sessions,
    repository: &Repository,
    told: mpsc::Sender<ImportEvent>,
) -> Result<wire::ImportResult, Status> {
    let imported = Import::new(sessions.services(), repository, told).run().await;
    let imported = imported.map_err(|failure| status::of_failure(&failure))?;
    let Some(imported) = imported else { return Err(Status::cancelled("nobody listens any more")) };
    let Imported { domains, added, known, in_work, proofs, missed } = imported;
    tracing::info!(
        repository = repository.name,
        domains,
        added,
        known,
        in_work,
        proofs,
        missed,
        "imported a repository"
    );
    let filter = PointFilter { repository: Some(repository.name.clone()), resource: None };
    let points = sessions.points(&filter).await;
    let points = points.map_err(|error| status::of_state("counting restore points", &error))?.len();
    Ok(wire::ImportResult {
        repository: Some(convert::repository(repository.clone(), points)),
        domains,
        points_added: added,
        points_known: known,
        points_in_work: in_work,
        proofs,
        missed,
    })
}

fn of(event: ImportEvent) -> Event {
    match event {
        ImportEvent::Progress { domain, domains, points } => Event::Progress(wire::ImportProgress {
            domain_id: domain.to_string(),
            domain: domains.0,
            domains: domains.1,
            points_done: points.0,
            points: points.1,
        }),
        ImportEvent::Missed(Missed { domain, object, failure }) => {
            Event::Missed(wire::ImportMissed { domain_id: domain.to_string(), object, failure: Some(failure.into()) })
        }
    }
}
