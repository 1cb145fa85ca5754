//! A session waits for its turn.

use haulier_domain::failure::Failure;
use haulier_domain::session::{Severity, Stop};

use crate::sessions::Request;
use crate::workflows::flow::{Halt, Work};
use crate::workflows::trouble::{Attempt, Trouble};

/// Waits until no other session touches the instance and the policy has a worker to spare.
pub(in crate::workflows) async fn take(work: &Work) -> Attempt<()> {
    let mut turns = work.services.turns.subscribe();
    let mut waited = false;
    loop {
        turns.borrow_and_update();
        if work.services.state.take_turn(work.id(), work.services.settings.max_sessions).await? {
            work.services.turns.send_modify(|()| {});
            work.services.feeds.changed(work.id());
            return Ok(());
        }
        if !waited {
            work.log(Severity::Info, "waiting for an earlier session, or for a worker of the policy to be free").await;
            waited = true;
        }
        tokio::select! {
            _ = turns.changed() => {}
            () = work.cancelled() => return Err(Trouble::Stop(Stop::Cancelled)),
        }
    }
}

/// A workflow was begun for a request of another kind: its row was tampered with.
pub(in crate::workflows) fn not_the_kind(request: &Request) -> Halt {
    Failure::new(
        "coordinator-state",
        "reading what the session was asked to do",
        format!("the request is for another kind of session, on {}", request.instance().id),
        "restore the coordinator's state from a backup",
    )
    .into()
}
