//! IAM is the emulator's; the front looks on, so that it knows whom to trust and what to allow.
//!
//! A policy that our evaluator does not understand is refused before the emulator stores it. Access keys of IAM users
//! are not given out, since nothing here would honour them. Callers are the account's root and sessions of roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::passthrough::{self, Original};
use crate::credentials::Role;
use crate::front::context::{Context, locked};
use crate::front::decisions::instances::Profile;
use crate::front::wire::{Answer, AwsError, Call, Element, Params};
use crate::iam::Policy;

/// AWS's own policy for administrators, the one managed policy that exists without being created.
const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
const ADMINISTRATOR_POLICY: &str = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

/// What the front remembers of IAM, besides the roles in the credential store.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    managed: BTreeMap<String, Policy>,
    profiles: BTreeMap<String, Profile>,
    longest_sessions: BTreeMap<String, i64>,
}

impl Observed {
    /// An instance profile by its name.
    pub(crate) fn profile(&self, name: &str) -> Option<Profile> {
        self.profiles.get(name).cloned()
    }

    /// `MaxSessionDuration` of a role, an hour unless it says otherwise.
    pub(crate) fn longest_session(&self, role: &str) -> i64 {
        self.longest_sessions.get(role).copied().unwrap_or(3600)
    }
}

/// Answers an IAM call.
pub(crate) async fn answer(context: &Arc<Context>, call: &Call, original: Original) -> Result<Answer, AwsError> {
    let params = call.params();
    let policy = document(&params)?;
    if call.operation == "CreateAccessKey" {
        return Err(AwsError::unsupported(&call.operation));
    }
    if call.operation == "AttachRolePolicy" {
        let arn = params.required("PolicyArn")?;
        if arn != ADMINISTRATOR && !locked(&context.iam).managed.contains_key(arn) {
            let text = format!("Policy {arn} does not exist or is not attachable.");
            return Err(AwsError::new("NoSuchEntity", text).with_status(404));
        }
    }
    let answer = passthrough::answer(context, call, original).await?;
    // AWS's own policies are not in the emulator: the front alone keeps that one attached.
    let own_attachment = call.operation == "AttachRolePolicy" && params.get("PolicyArn") == Some(ADMINISTRATOR);
    if answer.is_success() || own_attachment {
        observe(context, &call.operation, &params, policy, &answer);
    }
    if own_attachment && !answer.is_success() {
        return Ok(Answer::query("iam", "AttachRolePolicy", |_| {}));
    }
    Ok(answer)
}

/// The policy in a request, if it has one.
fn document(params: &Params) -> Result<Option<Policy>, AwsError> {
    params
        .get("PolicyDocument")
        .or_else(|| params.get("AssumeRolePolicyDocument"))
        .map(|text| Policy::parse(text).map_err(|error| AwsError::new("MalformedPolicyDocument", error.to_string())))
        .transpose()
}

fn observe(context: &Context, operation: &str, params: &Params, policy: Option<Policy>, answer: &Answer) {
    let text = String::from_utf8_lossy(&answer.body);
    let root = Element::parse(&text).unwrap_or_default();
    let param = |name: &str| params.get(name).unwrap_or_default().to_owned();
    let found = |path: &[&str]| root.text_at(path).unwrap_or_default().to_owned();
    let role = param("RoleName");
    match (operation, policy) {
        ("CreateRole", Some(trust)) => {
            let at = |name: &str| found(&["CreateRoleResult", "Role", name]);
            let created = Role { arn: at("Arn"), role_id: at("RoleId"), trust, policies: BTreeMap::new() };
            context.credentials.put_role(&role, created);
            if let Ok(Some(seconds)) = params.parsed("MaxSessionDuration") {
                locked(&context.iam).longest_sessions.insert(role, seconds);
            }
        }
        ("UpdateRole", _) => {
            if let Ok(Some(seconds)) = params.parsed("MaxSessionDuration") {
                locked(&context.iam).longest_sessions.insert(role, seconds);
            }
        }
        ("UpdateAssumeRolePolicy", Some(trust)) => {
            context.credentials.update_role(&role, |role| role.trust = trust);
        }
        ("DeleteRole", _) => {
            context.credentials.delete_role(&role);
            locked(&context.iam).longest_sessions.remove(&role);
        }
        ("PutRolePolicy", Some(policy)) => {
            context.credentials.update_role(&role, |role| drop(role.policies.insert(param("PolicyName"), policy)));
        }
        ("DeleteRolePolicy", _) => {
            context.credentials.update_role(&role, |role| drop(role.policies.remove(&param("PolicyName"))));
        }
        ("CreatePolicy", Some(policy)) => {
            locked(&context.iam).managed.insert(found(&["CreatePolicyResult", "Policy", "Arn"]), policy);
        }
        ("CreatePolicyVersion", Some(policy)) if params.get("SetAsDefault") == Some("true") => {
            locked(&context.iam).managed.insert(param("PolicyArn"), policy);
        }
        ("AttachRolePolicy", _) => {
            let arn = param("PolicyArn");
            let attached = if arn == ADMINISTRATOR {
                Policy::parse(ADMINISTRATOR_POLICY).ok()
            } else {
                locked(&context.iam).managed.get(&arn).cloned()
            };
            if let Some(policy) = attached {
                context.credentials.update_role(&role, |role| drop(role.policies.insert(arn, policy)));
            }
        }
        ("DetachRolePolicy", _) => {
            context.credentials.update_role(&role, |role| drop(role.policies.remove(&param("PolicyArn"))));
        }
        _ => observe_profile(context, operation, params, &root),
    }
}

fn observe_profile(context: &Context, operation: &str, params: &Params, root: &Element) {
    let name = params.get("InstanceProfileName").unwrap_or_default().to_owned();
    let profiles = &mut locked(&context.iam).profiles;
    match operation {
        "CreateInstanceProfile" => {
            let path = ["CreateInstanceProfileResult", "InstanceProfile", "InstanceProfileId"];
            let id = root.text_at(&path).unwrap_or_default().to_owned();
            profiles.insert(name.clone(), Profile { name, id, role: None });
        }
        "DeleteInstanceProfile" => drop(profiles.remove(&name)),
        "AddRoleToInstanceProfile" | "RemoveRoleFromInstanceProfile" => {
            if let Some(profile) = profiles.get_mut(&name) {
                let added = operation == "AddRoleToInstanceProfile";
                profile.role = params.get("RoleName").filter(|_| added).map(str::to_owned);
            }
        }
        _ => {}
    }
}
