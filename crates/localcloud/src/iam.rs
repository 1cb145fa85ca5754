//! IAM policies, evaluated as AWS does for the actions our product uses.
//!
//! Pure: policies and a request in, a decision out. Invariants, as in "Policy evaluation logic" of the IAM guide:
//! an explicit deny wins over everything; what nobody allows is denied; a session policy can only narrow the role's
//! permissions; within one account an identity policy *or* a resource policy is enough to allow. What this evaluator
//! does not know (an operator, `NotPrincipal`) is refused when the policy is stored, never skipped when it is asked.

mod condition;
mod pattern;
mod policy;

use std::collections::BTreeMap;

pub(crate) use pattern::matches as pattern_matches;
pub use policy::{Policy, PolicyError};

/// What one request is about.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `s3:PutObject`.
    pub action: &'a str,
    /// ARN of the resource, or `*` for actions that name none.
    pub resource: &'a str,
    /// Condition keys present in the request.
    pub context: &'a Context,
}

/// Condition keys of a request and their values; keys compare without regard to case.
#[derive(Debug, Clone, Default)]
pub struct Context {
    values: BTreeMap<String, Vec<String>>,
}

impl Context {
    /// A request without any condition key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value to a key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.add(key, value);
        self
    }

    /// Adds a value to a key.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.values.entry(key.to_ascii_lowercase()).or_default().push(value.into());
    }

    /// The values of a key, `None` where the request does not have it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.values.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

/// What a set of policies says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Some statement allows it, none denies it.
    Allow,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement speaks of it.
    ImplicitDeny,
}

impl Decision {
    /// Whether the request may go on.
    #[must_use]
    pub fn allowed(self) -> bool {
        self == Self::Allow
    }
}

/// What the identity behind a key may do.
#[derive(Debug, Clone, Default)]
pub enum Permissions {
    /// The account's root: everything that no resource policy denies.
    Root,
    /// A role: what its policies allow, narrowed by the session policy if the session has one.
    Role {
        /// Policies of the role.
        role: Vec<Policy>,
        /// Inline session policy given to `AssumeRole`.
        session: Option<Policy>,
    },
    /// Nothing at all.
    #[default]
    None,
}

/// The decision of identity policies alone: any of them may allow, any may deny.
#[must_use]
pub fn evaluate(policies: &[Policy], request: Request<'_>) -> Decision {
    combine(policies.iter().map(|policy| policy.decide(request)))
}

/// The whole decision: identity policies, session policy, and the policy on the resource (a bucket policy) if any.
///
/// `principal` is the ARN of the caller (`arn:aws:sts::…:assumed-role/role/session`); a resource policy may name it, the
/// role behind it, or the account.
#[must_use]
pub fn authorise(
    permissions: &Permissions,
    principal: &str,
    resource_policy: Option<&Policy>,
    request: Request<'_>,
) -> Decision {
    let by_resource = resource_policy.map_or(Decision::ImplicitDeny, |policy| policy.decide_for(principal, request));
    let (identity, session) = match permissions {
        Permissions::Root => (Decision::Allow, None),
        Permissions::Role { role, session } => (evaluate(role, request), session.as_ref()),
        Permissions::None => (Decision::ImplicitDeny, None),
    };
    let unrestricted = combine([identity, by_resource]);
    match session.map(|policy| policy.decide(request)) {
        None | Some(Decision::Allow) => unrestricted,
        Some(Decision::ExplicitDeny) => Decision::ExplicitDeny,
        Some(Decision::ImplicitDeny) if unrestricted == Decision::ExplicitDeny => Decision::ExplicitDeny,
        Some(Decision::ImplicitDeny) => Decision::ImplicitDeny,
    }
}

fn combine(decisions: impl IntoIterator<Item = Decision>) -> Decision {
    decisions.into_iter().fold(Decision::ImplicitDeny, |so_far, next| match (so_far, next) {
        (Decision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => Decision::ExplicitDeny,
        (Decision::Allow, _) | (_, Decision::Allow) => Decision::Allow,
        _ => Decision::ImplicitDeny,
    })
}

#[cfg(test)]
mod tests;
