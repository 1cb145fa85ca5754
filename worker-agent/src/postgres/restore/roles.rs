//! Roles and their memberships, before any database.

use haulier_domain::failure::Failure;
use haulier_domain::postgres::roles::{self, Role};

use super::super::connect::Session;
use super::super::context::Stopped;
use super::super::job::RestoreOutcome;
use super::target::Target;
use super::{attempt, skip};

/// Creates the roles that the target lacks and adds memberships.
pub(super) async fn restore(
    front: &Session,
    described: &[Role],
    target: &Target,
    outcome: &mut RestoreOutcome,
) -> Result<(), Stopped> {
    let plan = roles::plan(described, &target.for_roles());
    for left in plan.left_out {
        skip(outcome, "roles", left.what, left.reason);
    }
    for step in plan.steps {
        if !step.essential {
            attempt(front, &step.sql, "roles", &step.what, outcome).await?;
            continue;
        }
        if let Err(refusal) = front.attempt(&step.what, &step.sql).await? {
            let remedy = "restore with a login that has CREATEROLE, or create the role first, or restore without roles";
            return Err(Failure::new("restore-role-refused", step.what, refusal, remedy).into());
        }
    }
    outcome.roles_created = plan.created;
    outcome.roles_without_password = plan.without_password;
    Ok(())
}
