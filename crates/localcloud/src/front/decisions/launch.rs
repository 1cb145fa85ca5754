//! RunInstances: what a request asks for, and that repeating it launches nothing new.
//!
//! After "Ensuring idempotency in Amazon EC2 API requests": the same client token with the same parameters answers what
//! the first request answered; with other parameters it is `IdempotentParameterMismatch`. The token counts per Zone
//! where the request names a subnet or a Zone, per Region otherwise.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Tags;
use crate::front::wire::{Answer, AwsError, Params};

/// Largest user-data, before base64.
const USER_DATA_LIMIT: usize = 16 * 1024;

/// What RunInstances asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LaunchRequest {
    pub(crate) image_id: String,
    pub(crate) instance_type: String,
    pub(crate) subnet_id: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) group_ids: Vec<String>,
    pub(crate) profile_name: Option<String>,
    pub(crate) user_data: Vec<u8>,
    pub(crate) count: usize,
    pub(crate) terminate_on_shutdown: bool,
    pub(crate) metadata_tokens: String,
    pub(crate) client_token: Option<String>,
    pub(crate) tags: Tags,
    /// Everything but the token: what must be the same when the token is.
    pub(crate) fingerprint: Params,
}

impl LaunchRequest {
    /// Reads the request.
    pub(crate) fn read(params: &Params) -> Result<Self, AwsError> {
        let interface = params.members("NetworkInterface").into_iter().next().unwrap_or_default();
        let mut group_ids = params.list("SecurityGroupId");
        group_ids.extend(interface.list("SecurityGroupId"));
        if params.has_list("SecurityGroup") {
            return Err(AwsError::new("InvalidParameterCombination", "Name groups by SecurityGroupId in a VPC"));
        }
        if group_ids.len() > 5 {
            let text = "You have exceeded the maximum number of security groups allowed per network interface.";
            return Err(AwsError::new("SecurityGroupsPerInterfaceLimitExceeded", text));
        }
        let profile_name = params
            .get("IamInstanceProfile.Name")
            .or_else(|| params.get("IamInstanceProfile.Arn").and_then(|arn| arn.rsplit('/').next()));
        let behaviour = params.get("InstanceInitiatedShutdownBehavior").unwrap_or("stop");
        if !matches!(behaviour, "stop" | "terminate") {
            return Err(invalid("InstanceInitiatedShutdownBehavior", behaviour));
        }
        let client_token = params.get("ClientToken").filter(|token| !token.is_empty()).map(str::to_owned);
        if client_token.as_ref().is_some_and(|token| token.len() > 64 || !token.is_ascii()) {
            return Err(AwsError::new("InvalidParameterValue", "A client token has at most 64 ASCII characters"));
        }
        Ok(Self {
            image_id: params.required("ImageId")?.to_owned(),
            instance_type: params.get("InstanceType").unwrap_or("m1.small").to_owned(),
            subnet_id: params.get("SubnetId").or_else(|| interface.get("SubnetId")).map(str::to_owned),
            zone: params.get("Placement.AvailabilityZone").map(str::to_owned),
            group_ids,
            profile_name: profile_name.map(str::to_owned),
            user_data: user_data(params.get("UserData").unwrap_or_default())?,
            count: count(params)?,
            terminate_on_shutdown: behaviour == "terminate",
            metadata_tokens: params.get("MetadataOptions.HttpTokens").unwrap_or("optional").to_owned(),
            client_token,
            tags: params.tag_specification("instance"),
            fingerprint: params.without(&["ClientToken"]),
        })
    }

    /// The scope in which its token must be unique; `zone` is that of its subnet.
    pub(crate) fn token_key(&self, zone: &str) -> Option<TokenKey> {
        let zonal = self.subnet_id.is_some() || self.zone.is_some();
        Some(TokenKey { token: self.client_token.clone()?, zone: zonal.then(|| zone.to_owned()) })
    }
}

fn count(params: &Params) -> Result<usize, AwsError> {
    let least: usize = params.parsed("MinCount")?.unwrap_or(1);
    let most: usize = params.parsed("MaxCount")?.unwrap_or(1);
    if least == 0 || most < least || most > 100 {
        return Err(invalid("MaxCount", &most.to_string()));
    }
    Ok(most)
}

fn user_data(encoded: &str) -> Result<Vec<u8>, AwsError> {
    let data = STANDARD
        .decode(encoded.split_whitespace().collect::<String>())
        .map_err(|_| AwsError::new("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."))?;
    if data.len() > USER_DATA_LIMIT {
        return Err(AwsError::new("InvalidParameterValue", "User data is limited to 16384 bytes"));
    }
    Ok(data)
}

fn invalid(name: &str, value: &str) -> AwsError {
    AwsError::new("InvalidParameterValue", format!("Value ({value}) for parameter {name} is invalid."))
}

/// A client token within its scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenKey {
    token: String,
    zone: Option<String>,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// First seen: launch.
    New,
    /// The first request is still at work: wait for its answer.
    InFlight,
    /// Answered before: answer the same.
    Answered(Answer),
}

/// Every client token seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens(BTreeMap<TokenKey, (Params, Option<Answer>)>);

impl Tokens {
    /// What a request with this token is to get.
    pub(crate) fn known(&self, key: &TokenKey, fingerprint: &Params) -> Result<Known, AwsError> {
        match self.0.get(key) {
            None => Ok(Known::New),
            Some((first, _)) if first != fingerprint => Err(AwsError::new(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )),
            Some((_, None)) => Ok(Known::InFlight),
            Some((_, Some(answer))) => Ok(Known::Answered(answer.clone())),
        }
    }

    /// Takes a new token, before anything is launched.
    pub(crate) fn claim(&mut self, key: TokenKey, fingerprint: Params) {
        self.0.insert(key, (fingerprint, None));
    }

    /// Forgets a token whose launch came to nothing, so that a repeated request launches anew.
    pub(crate) fn release(&mut self, key: &TokenKey) {
        self.0.remove(key);
    }

    /// Keeps the answer of the launch.
    pub(crate) fn settle(&mut self, key: &TokenKey, answer: Answer) {
        if let Some((_, stored)) = self.0.get_mut(key) {
            *stored = Some(answer);
        }
    }
}

#[cfg(test)]
mod tests;
