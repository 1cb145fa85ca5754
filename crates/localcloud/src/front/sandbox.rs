//! What only a sandbox shows, under `/_cloud/`: the credentials it has given out, and the user-data of its machines. Tests
//! look there for what must be nowhere else.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Serialize;

use super::context::Context;

/// The routes below `/_cloud`.
pub(crate) fn routes(context: Arc<Context>) -> Router {
    Router::new().route("/credentials", get(credentials)).route("/computers", get(computers)).with_state(context)
}

/// Temporary credentials of a role, expired ones included.
#[derive(Debug, Serialize)]
struct Issued {
    principal: String,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expires: Option<Timestamp>,
}

async fn credentials(State(context): State<Arc<Context>>) -> Json<Vec<Issued>> {
    let sessions = context.credentials.sessions().into_iter().map(|credential| Issued {
        principal: credential.principal,
        access_key_id: credential.access_key_id,
        secret_access_key: credential.secret_access_key,
        session_token: credential.session_token,
        expires: credential.expires,
    });
    Json(sessions.collect())
}

/// An EC2 instance, terminated ones included.
#[derive(Debug, Serialize)]
struct Machine {
    id: String,
    state: &'static str,
    user_data: String,
}

async fn computers(State(context): State<Arc<Context>>) -> Json<Vec<Machine>> {
    Json(context.read(|world| {
        let machines = world.instances.iter().map(|instance| Machine {
            id: instance.id.clone(),
            state: instance.state.code_and_name().1,
            user_data: String::from_utf8_lossy(&instance.user_data).into_owned(),
        });
        machines.collect()
    }))
}
