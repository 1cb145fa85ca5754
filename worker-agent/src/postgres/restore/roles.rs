//! Roles and their memberships, before any database: all of them in one transaction, so that an attempt that is killed
//! leaves none half-made, to be taken for somebody else's by the next. What was created is written into the restore's note in
//! the same transaction.

use haulier_domain::failure::Failure;
use haulier_domain::postgres::roles::{self, Role};

use super::super::connect::Session;
use super::super::context::Stopped;
use super::super::job::{RolesShare, Skipped};
use super::note::Note;
use super::target::Target;

const DOING: &str = "restoring roles";

/// Creates the roles that the target lacks and adds memberships.
pub(super) async fn restore(
    front: &Session,
    described: &[Role],
    target: &Target,
    note: &mut Note,
) -> Result<RolesShare, Stopped> {
    let plan = roles::plan(described, &target.for_roles());
    let skipped = |what: String, reason: String| Skipped { place: "roles".to_owned(), what, reason };
    let mut share = RolesShare {
        created: plan.created,
        without_password: plan.without_password,
        skipped: plan.left_out.into_iter().map(|left| skipped(left.what, left.reason)).collect(),
    };
    if plan.steps.is_empty() {
        return Ok(share);
    }
    front.execute(DOING, "BEGIN").await?;
    for step in plan.steps {
        let Err(refusal) = attempt_within(front, &step.what, &step.sql).await? else { continue };
        if step.essential {
            front.execute(DOING, "ROLLBACK").await?;
            let remedy = "restore with a login that has CREATEROLE, or create the role first, or restore without roles";
            return Err(Failure::new("restore-role-refused", step.what, refusal, remedy).into());
        }
        share.skipped.push(skipped(step.what, format!("the target refuses it: {refusal}")));
    }
    if !share.created.is_empty() {
        note.written.roles = Some(share.clone());
        let written = attempt_within(front, "writing down which roles were created", &note.statements()).await?;
        note.stands(written.is_ok());
    }
    front.execute(DOING, "COMMIT").await?;
    Ok(share)
}

/// Runs a statement within a transaction that goes on where the statement is refused.
async fn attempt_within(front: &Session, what: &str, sql: &str) -> Result<Result<(), String>, Stopped> {
    let tried = front.attempt(what, &format!("SAVEPOINT haulier; {sql}; RELEASE SAVEPOINT haulier")).await?;
    if tried.is_err() {
        front.execute(what, "ROLLBACK TO SAVEPOINT haulier; RELEASE SAVEPOINT haulier").await?;
    }
    Ok(tried)
}
