//! A coordinator in memory, and a job that does as the test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use haulier_cloud::aws::SharedCredentials;
use haulier_domain::failure::Failure;
use haulier_domain::id::{Epoch, SessionId};
use haulier_domain::secret::SecretString;
use haulier_proto::to_timestamp;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_request::Message as Outgoing;
use haulier_proto::worker::v1::attach_response::Message;
use haulier_proto::worker::v1::event::Event;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::attach::{Dial, DialError, Ending, Incoming, serve};
use crate::desk::Desk;
use crate::postgres::Stopped;
use crate::redact::Redactor;
use crate::session::{Report, Runner, STOPPING, Session, Task};
use crate::user_data::{Digest, UserData};
use crate::watchdog::Pulse;

pub(super) const EPOCH: u64 = 3;
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until every task has done what it can: the paused clock moves only then.
pub(super) async fn settled() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// What the job does.
pub(super) enum Script {
    /// Goes on until it is cancelled.
    Runs,
    /// Goes on whatever happens.
    Stubborn,
    /// Takes so long to tidy up after a cancel, and is given twenty seconds for it.
    Tidies(Duration),
    /// Fails like this once it is cancelled.
    CannotTidy(Failure),
    Ends(Report),
    Fails(Stopped),
    Panics,
}

struct Actor {
    script: Script,
    starts: AtomicUsize,
    task: watch::Sender<Option<Task>>,
}

#[async_trait]
impl Runner for Actor {
    async fn run(&self, _: wire::Assignment, task: Task) -> Result<Report, Stopped> {
        self.starts.fetch_add(1, Ordering::Relaxed);
        let cancel = task.cancel.clone();
        self.task.send_replace(Some(task));
        match &self.script {
            Script::Runs => {
                cancel.cancelled().await;
                Err(Stopped::Cancelled)
            }
            Script::Stubborn => std::future::pending().await,
            Script::Tidies(time) => {
                cancel.cancelled().await;
                tokio::time::sleep(*time).await;
                Err(Stopped::Cancelled)
            }
            Script::CannotTidy(failure) => {
                cancel.cancelled().await;
                Err(Stopped::Failed(failure.clone()))
            }
            Script::Ends(report) => Ok(report.clone()),
            Script::Fails(stopped) => Err(stopped.clone()),
            Script::Panics => panic!("as the test says"),
        }
    }

    fn grace(&self, _: &wire::Assignment) -> Duration {
        if matches!(self.script, Script::Tidies(_)) { Duration::from_secs(20) } else { STOPPING }
    }

    fn left_behind(&self, _: &wire::Assignment, _: &SessionId, _: &Desk) -> Option<Failure> {
        let failure = || Failure::new("restore-left-behind", "x", "a database may be there", "drop it");
        // What the work has told since it began counts.
        let has_begun = self.starts.load(Ordering::Relaxed) > 0;
        (has_begun && matches!(self.script, Script::Tidies(_) | Script::Panics)).then(failure)
    }
}

/// The coordinator's side of the wire.
struct Exchange {
    calls: mpsc::Sender<Stream>,
    hung_up: Arc<AtomicBool>,
}

#[async_trait]
impl Dial for Exchange {
    async fn dial(&self, outgoing: mpsc::Receiver<wire::AttachRequest>) -> Result<Incoming, DialError> {
        let away = || DialError::Unreachable("nobody is there".to_owned());
        if self.hung_up.load(Ordering::Relaxed) {
            return Err(away());
        }
        let (responses, incoming) = mpsc::channel(64);
        let stream = Stream { requests: outgoing, responses, last_epoch: 0 };
        self.calls.send(stream).await.map_err(|_| away())?;
        Ok(ReceiverStream::new(incoming).boxed())
    }
}

/// One stream, as the coordinator sees it.
pub(super) struct Stream {
    requests: mpsc::Receiver<wire::AttachRequest>,
    responses: mpsc::Sender<Result<wire::AttachResponse, Status>>,
    pub(super) last_epoch: u64,
}

impl Stream {
    /// The next message of any kind.
    pub(super) async fn next(&mut self) -> Outgoing {
        let request = self.requests.recv().await.expect("the worker closed the stream");
        assert_eq!(request.session_id, "ses-1");
        self.last_epoch = request.epoch;
        request.message.expect("an empty message")
    }

    /// The next event.
    pub(super) async fn event(&mut self) -> wire::Event {
        loop {
            if let Outgoing::Event(event) = self.next().await {
                return event;
            }
        }
    }

    /// Hears the worker report that it was cancelled; the lines it logged before, and what it has left.
    pub(super) async fn end_of_cancel(&mut self) -> (Vec<String>, Option<haulier_proto::common::v1::Failure>) {
        let mut lines = Vec::new();
        loop {
            match self.event().await.event {
                Some(Event::Log(line)) => lines.push(line.text),
                Some(Event::Finished(wire::Finished { result: Some(wire::finished::Result::Cancelled(end)) })) => {
                    return (lines, end.left);
                }
                other => panic!("neither a line nor the end of a cancel: {other:?}"),
            }
        }
    }

    /// Hears the worker's hello and greets it.
    pub(super) async fn welcome(&mut self, acknowledged: u64) -> wire::Hello {
        let Outgoing::Hello(hello) = self.next().await else { panic!("no hello") };
        let welcome =
            wire::Welcome { acknowledged, heartbeat_millis: 2_000, patience_seconds: PATIENCE.as_secs() as u32 };
        self.say(Message::Welcome(welcome)).await;
        hello
    }

    pub(super) async fn say(&self, message: Message) {
        self.say_as("ses-1", EPOCH, message).await;
    }

    pub(super) async fn say_as(&self, session_id: &str, epoch: u64, message: Message) {
        let response = wire::AttachResponse { session_id: session_id.to_owned(), epoch, message: Some(message) };
        self.responses.send(Ok(response)).await.expect("the worker closed the stream");
    }

    pub(super) async fn fail(self, status: Status) {
        self.responses.send(Err(status)).await.expect("the worker closed the stream");
    }
}

/// A worker with the coordinator's side of its wire.
pub(super) struct Board {
    pub(super) session: Arc<Session>,
    actor: Arc<Actor>,
    calls: mpsc::Receiver<Stream>,
    hung_up: Arc<AtomicBool>,
    worker: JoinHandle<Ending>,
}

impl Board {
    pub(super) fn start(script: Script) -> Self {
        let actor = Arc::new(Actor { script, starts: AtomicUsize::new(0), task: watch::Sender::new(None) });
        let session = Session::new(&user_data(), actor.clone(), Redactor::new());
        let (calls, accepted) = mpsc::channel(1);
        let hung_up = Arc::new(AtomicBool::new(false));
        let exchange = Exchange { calls, hung_up: hung_up.clone() };
        let serving = session.clone();
        let worker = tokio::spawn(async move { serve(&exchange, &serving, &[15, 16], &Pulse::default()).await });
        Self { session, actor, calls: accepted, hung_up, worker }
    }

    /// The next stream the worker opens.
    pub(super) async fn accept(&mut self) -> Stream {
        self.calls.recv().await.expect("the worker does not call any more")
    }

    /// From now on nobody answers.
    pub(super) fn hang_up(&self) {
        self.hung_up.store(true, Ordering::Relaxed);
    }

    /// Waits until the job has begun.
    pub(super) async fn running(&self) -> Task {
        let mut task = self.actor.task.subscribe();
        task.wait_for(Option::is_some).await.unwrap();
        self.task()
    }

    pub(super) fn task(&self) -> Task {
        self.actor.task.borrow().clone().expect("the job has not begun")
    }

    pub(super) fn starts(&self) -> usize {
        self.actor.starts.load(Ordering::Relaxed)
    }

    /// The next stream, or the end where there is none.
    pub(super) async fn accept_or_end(&mut self) -> Result<Stream, Ending> {
        tokio::select! {
            Some(stream) = self.calls.recv() => Ok(stream),
            end = &mut self.worker => Err(end.unwrap()),
        }
    }

    pub(super) async fn end(&mut self) -> Ending {
        let ended = tokio::time::timeout(Duration::from_secs(3_600), &mut self.worker).await;
        ended.expect("the worker goes on").unwrap()
    }
}

fn user_data() -> UserData {
    UserData {
        coordinator: http::Uri::from_static("https://127.0.0.1:1"),
        ca_sha256: Digest([0; 32]),
        worker_id: "wrk-1".parse().unwrap(),
        session_id: "ses-1".parse().unwrap(),
        epoch: Epoch(EPOCH),
        token: SecretString::new("enrolment-token"),
        region: "eu-central-1".to_owned(),
        deadline: jiff::Timestamp::MAX,
    }
}

pub(super) fn assignment(point_id: &str) -> wire::Assignment {
    let backup = wire::BackupPostgres { point_id: point_id.to_owned(), ..Default::default() };
    wire::Assignment { work: Some(wire::assignment::Work::BackupPostgres(backup)) }
}

pub(super) fn credentials(name: &str) -> wire::Credentials {
    wire::Credentials {
        access_key_id: name.to_owned(),
        secret_access_key: format!("secret-of-{name}"),
        session_token: format!("token-of-{name}"),
        expires_at: Some(to_timestamp(jiff::Timestamp::MAX)),
        domain_key: vec![7; 32],
        target_domain_key: Vec::new(),
    }
}

/// The access key that clients would sign with now.
pub(super) async fn access_key(credentials: &SharedCredentials) -> String {
    use haulier_cloud::aws::rds_auth_token;
    let token = rds_auth_token(credentials, "db", 5432, "user", "eu-central-1").await.unwrap();
    let start = token.expose().split("X-Amz-Credential=").nth(1).unwrap_or_default();
    start.split('%').next().unwrap_or_default().to_owned()
}

pub(super) fn event_text(event: &wire::Event) -> &str {
    match &event.event {
        Some(Event::Log(line)) => &line.text,
        other => panic!("not a line: {other:?}"),
    }
}
