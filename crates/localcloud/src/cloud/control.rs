//! Routes below `/_cloud` that the front has no part in: the machines themselves, their image, the clock of S3, the IAM
//! tokens that databases were shown, the databases of SQL Server instances.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::tokens::Shown;
use crate::machines::{Computers as _, MachineRoom, Network as _};
use crate::s3::LocalS3;
use crate::sqlserver::{NewDatabase, NewImages};

/// What the routes work with.
#[derive(Clone)]
struct Shared {
    room: Arc<MachineRoom>,
    s3: Arc<LocalS3>,
    tokens: Shown,
}

/// The routes, to be joined with the front's own.
pub(crate) fn routes(room: Arc<MachineRoom>, s3: Arc<LocalS3>, tokens: Shown) -> Router {
    Router::new()
        .route("/_cloud/machines/{id}/cut", put(cut))
        .route("/_cloud/computers/image", put(image))
        .route("/_cloud/computers/{id}/console", get(console))
        .route("/_cloud/computers/{id}/kill", post(kill))
        .route("/_cloud/s3/clock", put(clock))
        .route("/_cloud/database-tokens", get(database_tokens))
        .route("/_cloud/instances/{id}/databases", get(databases))
        .route("/_cloud/instances/{id}/databases/{name}", get(database).post(create_database).delete(remove_database))
        .route("/_cloud/instances/{id}/databases/{name}/images", get(images).post(write_images))
        .route("/_cloud/instances/{id}/databases/{name}/pages", post(change_pages))
        .route("/_cloud/instances/{id}/databases/{name}/log-backups", get(log_backups).post(take_log_backup))
        .route("/_cloud/instances/{id}/databases/{name}/log-backups/{sequence}", delete(lose_log_backup))
        .route("/_cloud/instances/{id}/tasks", get(tasks))
        .route("/_cloud/instances/{id}/task-ids", put(task_ids))
        .with_state(Shared { room, s3, tokens })
}

/// Every IAM token that a database was shown.
async fn database_tokens(State(shared): State<Shared>) -> Json<Vec<String>> {
    Json(shared.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cut {
    cut: bool,
}

/// Cuts one machine off the network, or joins it again.
async fn cut(State(shared): State<Shared>, Path(id): Path<String>, Json(wish): Json<Cut>) -> Response {
    answer(shared.room.network().cut(&id, wish.cut).await.map(|()| json!({ "machine": id, "cut": wish.cut })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageWish {
    worker_binary: PathBuf,
}

/// Chooses the agent of instances launched from now on.
async fn image(State(shared): State<Shared>, Json(wish): Json<ImageWish>) -> Response {
    let chosen = shared.room.computers().set_worker_binary(&wish.worker_binary);
    answer(chosen.map(|()| json!({ "worker_binary": wish.worker_binary })))
}

/// What an instance has printed, as text.
async fn console(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    match shared.room.computers().console(&id).await {
        Ok(text) => text.into_response(),
        Err(error) => refusal(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {
    program: String,
}

/// Kills the processes of an instance that run a program: `kill -9`, as an operator on the machine would.
async fn kill(State(shared): State<Shared>, Path(id): Path<String>, Json(wish): Json<Kill>) -> Response {
    answer(shared.room.computers().kill_program(&id, &wish.program).map(|killed| json!({ "killed": killed })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    ahead_seconds: i64,
}

/// Moves the clock by which retentions hold or are over ahead of the host's.
async fn clock(State(shared): State<Shared>, Json(wish): Json<Clock>) -> Response {
    shared.s3.set_clock_ahead(wish.ahead_seconds);
    answer(Ok(json!({ "ahead_seconds": wish.ahead_seconds })))
}

/// Makes a database on a SQL Server instance: of any size, or of backup files on the host.
async fn create_database(
    State(shared): State<Shared>,
    Path((id, name)): Path<(String, String)>,
    Json(new): Json<NewDatabase>,
) -> Response {
    let made = async { shared.room.databases().sqlserver(&id).await?.create(&name, new).await };
    answer(made.await.map(|()| json!({ "database": name })))
}

/// What a database on a SQL Server instance is: its size, and what tells it from others.
async fn database(State(shared): State<Shared>, Path((id, name)): Path<(String, String)>) -> Response {
    let look = async { shared.room.databases().sqlserver(&id).await?.database(&name).await };
    answer(look.await.and_then(|look| Ok(serde_json::to_value(look)?)))
}

/// The databases of a SQL Server instance.
async fn databases(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let server = shared.room.databases().sqlserver(&id).await;
    answer(server.and_then(|server| Ok(serde_json::to_value(server.databases())?)))
}

/// Removes a database of a SQL Server instance, as somebody else would.
async fn remove_database(State(shared): State<Shared>, Path((id, name)): Path<(String, String)>) -> Response {
    let removed = async { shared.room.databases().sqlserver(&id).await?.remove(&name) };
    answer(removed.await.map(|()| json!({ "removed": name })))
}

/// SHA-256 of each file that a database of a SQL Server instance was restored from.
async fn images(State(shared): State<Shared>, Path((id, name)): Path<(String, String)>) -> Response {
    let hashes = async { shared.room.databases().sqlserver(&id).await?.image_hashes(&name).await };
    answer(hashes.await.map(|hashes| json!(hashes)))
}

/// Writes a backup of a database to files on the host, as another server would have written it.
async fn write_images(
    State(shared): State<Shared>,
    Path((id, name)): Path<(String, String)>,
    Json(images): Json<NewImages>,
) -> Response {
    let written = async { shared.room.databases().sqlserver(&id).await?.write_images(&name, images).await };
    answer(written.await.map(|()| json!({ "database": name })))
}

/// The native tasks of a SQL Server instance.
async fn tasks(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let server = shared.room.databases().sqlserver(&id).await;
    answer(server.and_then(|server| Ok(serde_json::to_value(server.task_list())?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    count: u32,
    seed: u64,
}

/// Changes pages of a database on a SQL Server instance.
async fn change_pages(
    State(shared): State<Shared>,
    Path((id, name)): Path<(String, String)>,
    Json(change): Json<Change>,
) -> Response {
    let changed =
        async { shared.room.databases().sqlserver(&id).await?.change_pages(&name, change.count, change.seed) };
    answer(changed.await.map(|committed| json!({ "changed": change.count, "committed": committed.to_string() })))
}

/// The log backups that RDS has of a database on a SQL Server instance.
async fn log_backups(State(shared): State<Shared>, Path((id, name)): Path<(String, String)>) -> Response {
    let backups = async { shared.room.databases().sqlserver(&id).await?.log_backups(&name) };
    answer(backups.await.and_then(|backups| Ok(serde_json::to_value(backups)?)))
}

/// Takes a log backup of a database on a SQL Server instance, as RDS does every five minutes.
async fn take_log_backup(State(shared): State<Shared>, Path((id, name)): Path<(String, String)>) -> Response {
    let taken = async { shared.room.databases().sqlserver(&id).await?.take_log_backup(&name).await };
    answer(taken.await.and_then(|taken| Ok(serde_json::to_value(taken)?)))
}

/// Loses a log backup, which breaks the chain.
async fn lose_log_backup(
    State(shared): State<Shared>,
    Path((id, name, sequence)): Path<(String, String, u32)>,
) -> Response {
    let lost = async { shared.room.databases().sqlserver(&id).await?.lose_log_backup(&name, sequence) };
    answer(lost.await.map(|()| json!({ "lost": sequence })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskIds {
    text: bool,
}

/// Chooses how a SQL Server instance answers an order for a native task.
async fn task_ids(State(shared): State<Shared>, Path(id): Path<String>, Json(wish): Json<TaskIds>) -> Response {
    let server = shared.room.databases().sqlserver(&id).await;
    answer(server.map(|server| {
        server.tell_tasks_as_text(wish.text);
        json!({ "text": wish.text })
    }))
}

fn answer(outcome: anyhow::Result<serde_json::Value>) -> Response {
    match outcome {
        Ok(value) => Json(value).into_response(),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &anyhow::Error) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": format!("{error:#}") }))).into_response()
}
