//! The listener: one port on the gateway and the loopback.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use super::context::Context;
use super::dispatch::{self, Outcome};
use super::flushed::{Counted, Flushes};
use super::objects;
use super::services::passthrough::Original;
use super::signature::Signature;
use super::wire::{Answer, AwsError};

/// Largest body of a control call.
const BODY_LIMIT: usize = 8 << 20;

/// A fault wants the connection to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without an answer, as a fault rule says")]
struct Silence;

/// Binds the same port on both addresses.
pub(crate) async fn bind(gateway: Ipv4Addr, port: u16) -> io::Result<Vec<TcpListener>> {
    let first = TcpListener::bind((gateway, port)).await?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    if gateway != Ipv4Addr::LOCALHOST {
        listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?);
    }
    Ok(listeners)
}

/// Accepts connections until the front stops.
pub(crate) fn serve(context: &Arc<Context>, listeners: Vec<TcpListener>, control: &Router) {
    for listener in listeners {
        let (context, control) = (Arc::clone(context), control.clone());
        context.clone().tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = context.stop.cancelled() => return,
                };
                match accepted {
                    Ok((stream, peer)) => connection(&context, &control, stream, peer),
                    Err(error) => tracing::warn!(%error, "cannot accept a connection"),
                }
            }
        });
    }
}

fn connection(context: &Arc<Context>, control: &Router, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    let (context, control) = (Arc::clone(context), control.clone());
    context.clone().tasks.spawn(async move {
        let flushes = Flushes::default();
        let stream = Counted::new(stream, flushes.clone());
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(flushes.clone());
            answer(Arc::clone(&context), control.clone(), request, peer)
        });
        // Connections may idle in a caller's pool for as long as it likes.
        let served = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            result = served => if let Err(error) = result {
                tracing::debug!(%error, "a connection ends");
            },
            () = context.stop.cancelled() => {}
        }
    });
}

async fn answer(
    context: Arc<Context>,
    control: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Body>, Silence> {
    if request.uri().path().starts_with("/_cloud/") {
        return Ok(control_answer(&context, control, request, peer).await);
    }
    let (parts, body) = request.into_parts();
    let signature = Signature::find(&parts);
    let service = signature.as_ref().map_or("s3", |signature| signature.service.as_str()).to_owned();
    // What was begun is finished even if the caller hangs up: that is what an unknown outcome means.
    let tasks = context.tasks.clone();
    if service == "s3" {
        let request = Request::from_parts(parts, Body::new(body));
        return joined(tasks.spawn(objects::serve(context, request)).await.map(|answer| answer.ok_or(Silence)));
    }
    let body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let error = AwsError::new("RequestEntityTooLarge", error.to_string()).with_status(413);
            return Ok(Answer::error(&service, &error).into());
        }
    };
    let original = Original { parts, body };
    let outcome = tasks.spawn(dispatch::process(context, signature, service, original)).await;
    joined(outcome.map(|outcome| match outcome {
        Outcome::Answer(answer) => Ok(answer.into()),
        Outcome::Silence => Err(Silence),
    }))
}

/// A task that panicked is the cloud's own fault, and says so.
fn joined(outcome: Result<Result<Response<Body>, Silence>, tokio::task::JoinError>) -> Result<Response<Body>, Silence> {
    outcome.unwrap_or_else(|error| {
        tracing::error!(%error, "a request was not finished");
        Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, "the local cloud failed; see its log"))
    })
}

/// The control is for the host alone: machines reach this port too, from their own addresses.
async fn control_answer(
    context: &Context,
    control: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Response<Body> {
    if !peer.ip().is_loopback() && peer.ip() != IpAddr::V4(context.config.gateway) {
        return plain(StatusCode::FORBIDDEN, "the control of the cloud is for the host alone");
    }
    let answer: Result<Response<Body>, Infallible> =
        TowerToHyperService::new(control).call(request.map(Body::new)).await;
    match answer {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
