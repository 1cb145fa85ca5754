//! Policy documents: parsed once when stored, asked often.

use serde_json::Value;

use super::condition::{self, Condition};
use super::pattern::{matches, matches_ignoring_case};
use super::{Decision, Request};

/// A document that is no policy this evaluator understands.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not JSON.
    #[error("the policy is not JSON")]
    Json(#[source] serde_json::Error),
    /// JSON of another shape.
    #[error("the policy is malformed: {0}")]
    Shape(&'static str),
    /// An operator that would otherwise be skipped in silence.
    #[error("the condition operator {0} is not known here")]
    UnknownOperator(String),
}

/// A parsed policy document.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
struct Statement {
    allow: bool,
    principals: Option<Principals>,
    actions: Patterns,
    resources: Option<Patterns>,
    conditions: Vec<Condition>,
}

/// A list of patterns, or with `Not…` everything else.
#[derive(Debug, Clone)]
struct Patterns {
    inverted: bool,
    patterns: Vec<String>,
}

#[derive(Debug, Clone)]
enum Principals {
    Anyone,
    Listed { aws: Vec<String>, services: Vec<String> },
}

impl Policy {
    /// Reads a policy document.
    pub fn parse(document: &str) -> Result<Self, PolicyError> {
        let document: Value = serde_json::from_str(document).map_err(PolicyError::Json)?;
        let statements = match document.get("Statement") {
            Some(Value::Array(list)) => list.iter().map(Statement::parse).collect::<Result<_, _>>()?,
            Some(single @ Value::Object(_)) => vec![Statement::parse(single)?],
            _ => return Err(PolicyError::Shape("Statement is missing")),
        };
        Ok(Self { statements })
    }

    /// What the policy says as an identity or session policy; a `Principal` plays no part.
    #[must_use]
    pub fn decide(&self, request: Request<'_>) -> Decision {
        self.decide_where(request, |_| true)
    }

    /// What the policy says as a resource policy to this caller. A statement without `Principal` speaks to nobody.
    #[must_use]
    pub fn decide_for(&self, principal: &str, request: Request<'_>) -> Decision {
        self.decide_where(request, |statement| {
            statement.principals.as_ref().is_some_and(|principals| principals.include(principal))
        })
    }

    fn decide_where(&self, request: Request<'_>, speaks: impl Fn(&Statement) -> bool) -> Decision {
        super::combine(self.statements.iter().filter(|statement| speaks(statement)).map(|statement| {
            match (statement.matches(request), statement.allow) {
                (false, _) => Decision::ImplicitDeny,
                (true, true) => Decision::Allow,
                (true, false) => Decision::ExplicitDeny,
            }
        }))
    }
}

impl Statement {
    fn parse(value: &Value) -> Result<Self, PolicyError> {
        if value.get("NotPrincipal").is_some() {
            return Err(PolicyError::Shape("NotPrincipal is not supported"));
        }
        Ok(Self {
            allow: match value.get("Effect").and_then(Value::as_str) {
                Some("Allow") => true,
                Some("Deny") => false,
                _ => return Err(PolicyError::Shape("Effect must be Allow or Deny")),
            },
            principals: value.get("Principal").map(Principals::parse).transpose()?,
            actions: Patterns::parse(value, "Action", "NotAction")?
                .ok_or(PolicyError::Shape("Action or NotAction is missing"))?,
            resources: Patterns::parse(value, "Resource", "NotResource")?,
            conditions: value.get("Condition").map(condition::parse).transpose()?.unwrap_or_default(),
        })
    }

    fn matches(&self, request: Request<'_>) -> bool {
        self.actions.cover(request.action, matches_ignoring_case)
            // Trust policies have no Resource: the role itself is it.
            && self.resources.as_ref().is_none_or(|resources| resources.cover(request.resource, matches))
            && self.conditions.iter().all(|condition| condition.holds(request))
    }
}

impl Patterns {
    fn parse(value: &Value, name: &str, inverted_name: &str) -> Result<Option<Self>, PolicyError> {
        match (value.get(name), value.get(inverted_name)) {
            (Some(list), None) => Ok(Some(Self { inverted: false, patterns: text_or_list(list)? })),
            (None, Some(list)) => Ok(Some(Self { inverted: true, patterns: text_or_list(list)? })),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(PolicyError::Shape("an element and its Not form exclude each other")),
        }
    }

    fn cover(&self, text: &str, matches: impl Fn(&str, &str) -> bool) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, text)) != self.inverted
    }
}

impl Principals {
    fn parse(value: &Value) -> Result<Self, PolicyError> {
        match value {
            Value::String(text) if text == "*" => Ok(Self::Anyone),
            Value::Object(kinds) => {
                let list = |kind: &str| kinds.get(kind).map(text_or_list).transpose().map(Option::unwrap_or_default);
                let aws = list("AWS")?;
                if aws.iter().any(|principal| principal == "*") {
                    return Ok(Self::Anyone);
                }
                Ok(Self::Listed { aws, services: list("Service")? })
            }
            _ => Err(PolicyError::Shape("Principal must be \"*\" or an object")),
        }
    }

    fn include(&self, principal: &str) -> bool {
        match self {
            Self::Anyone => true,
            Self::Listed { aws, services } => {
                services.iter().any(|service| service == principal) || aws.iter().any(|listed| names(listed, principal))
            }
        }
    }
}

/// Whether a `Principal` entry names the caller: itself, the role behind its session, or its whole account.
fn names(listed: &str, principal: &str) -> bool {
    let account = principal.split(':').nth(4);
    listed == principal
        || account.is_some_and(|account| listed == account || listed == format!("arn:aws:iam::{account}:root"))
        || role_arn(principal).is_some_and(|role| listed == role)
}

/// `arn:aws:sts::A:assumed-role/R/S` is a session of `arn:aws:iam::A:role/R`.
fn role_arn(principal: &str) -> Option<String> {
    let account = principal.strip_prefix("arn:aws:sts::")?.split(':').next()?;
    let role = principal.split(":assumed-role/").nth(1)?.split('/').next()?;
    Some(format!("arn:aws:iam::{account}:role/{role}"))
}

fn text_or_list(value: &Value) -> Result<Vec<String>, PolicyError> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(PolicyError::Shape("text was expected"));
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        single => Ok(vec![text(single)?]),
    }
}
