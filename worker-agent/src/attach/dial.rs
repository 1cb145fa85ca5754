//! How a stream is opened.

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::worker_service_client::WorkerServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::cause::chain;
use crate::enrol::{Enrolled, is_final};

/// What the coordinator says on one stream.
pub type Incoming = BoxStream<'static, Result<wire::AttachResponse, Status>>;

/// No stream was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialError {
    /// The coordinator cannot be reached, or cannot serve us for the moment.
    Unreachable(String),
    /// The coordinator does not want this worker.
    Refused(String),
}

impl From<Status> for DialError {
    fn from(status: Status) -> Self {
        if is_final(&status) {
            Self::Refused(status.message().to_owned())
        } else {
            Self::Unreachable(status.to_string())
        }
    }
}

/// Opens streams to the coordinator.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Opens one that sends what the receiver gives.
    async fn dial(&self, outgoing: mpsc::Receiver<wire::AttachRequest>) -> Result<Incoming, DialError>;
}

#[async_trait]
impl Dial for Enrolled {
    async fn dial(&self, outgoing: mpsc::Receiver<wire::AttachRequest>) -> Result<Incoming, DialError> {
        let channel = self.connect().await.map_err(|error| DialError::Unreachable(chain(&error)))?;
        let mut client = WorkerServiceClient::new(channel);
        Ok(client.attach(ReceiverStream::new(outgoing)).await?.into_inner().boxed())
    }
}
