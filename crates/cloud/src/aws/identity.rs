//! STS.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sts::Client;
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityOutput;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use haulier_domain::secret::SecretString;
use jiff::Timestamp;

use super::error::{failed, incomplete};
use crate::error::Result;
use crate::identity::{AssumeRole, CallerIdentity, Identity, SessionCredentials, SignedCall};

/// STS through the SDK.
#[derive(Debug)]
pub(super) struct Sts {
    client: Client,
}

impl Sts {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

#[async_trait]
impl Identity for Sts {
    async fn caller(&self) -> Result<CallerIdentity> {
        let answer = self.client.get_caller_identity().send().await;
        caller(answer.map_err(|error| failed("GetCallerIdentity", "the caller", error))?)
    }

    async fn assume(&self, request: &AssumeRole) -> Result<SessionCredentials> {
        let answer = self
            .client
            .assume_role()
            .role_arn(&request.role_arn)
            .role_session_name(&request.session_name)
            .set_external_id(request.external_id.clone())
            .set_policy(request.policy.clone())
            .duration_seconds(i32::try_from(request.duration_seconds).unwrap_or(3600))
            .send()
            .await
            .map_err(|error| failed("AssumeRole", &request.role_arn, error))?;
        let credentials =
            answer.credentials.ok_or_else(|| incomplete("AssumeRole", &request.role_arn, "credentials"))?;
        Ok(SessionCredentials {
            expires_at: Timestamp::from_second(credentials.expiration.secs()).unwrap_or(Timestamp::UNIX_EPOCH),
            access_key_id: credentials.access_key_id,
            secret_access_key: SecretString::new(credentials.secret_access_key),
            session_token: SecretString::new(credentials.session_token),
        })
    }

    async fn verify(&self, call: &SignedCall) -> Result<CallerIdentity> {
        let region = aws_config::Region::new(call.region.clone());
        let answer = self
            .client
            .get_caller_identity()
            .customize()
            .config_override(aws_sdk_sts::Config::builder().region(region))
            .interceptor(SendAsSigned(call.clone()))
            .send()
            .await;
        caller(answer.map_err(|error| failed("GetCallerIdentity", "a signed call", error))?)
    }
}

fn caller(answer: GetCallerIdentityOutput) -> Result<CallerIdentity> {
    let lacks = |what| incomplete("GetCallerIdentity", "the caller", what);
    Ok(CallerIdentity {
        account: answer.account.ok_or_else(|| lacks("account"))?,
        arn: answer.arn.ok_or_else(|| lacks("ARN"))?,
        user_id: answer.user_id.ok_or_else(|| lacks("user id"))?,
    })
}

/// Replaces what the SDK signed by what somebody else has signed. The address stays the SDK's own.
#[derive(Debug)]
struct SendAsSigned(SignedCall);

impl Intercept for SendAsSigned {
    fn name(&self) -> &'static str {
        "SendAsSigned"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let request = context.request_mut();
        let authority: http::Uri = request.uri().parse()?;
        let authority = authority.authority().map(ToString::to_string).unwrap_or_default();
        let host = self.0.headers.get("host").map(String::as_str).unwrap_or_default();
        if host != authority {
            return Err(format!("the call is signed for host {host:?}, not for {authority:?}").into());
        }
        let headers = request.headers_mut();
        let names: Vec<String> = headers.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            headers.remove(&name);
        }
        for (name, value) in &self.0.headers {
            if name != "host" {
                headers.insert(name.clone(), value.clone());
            }
        }
        *request.body_mut() = SdkBody::from(self.0.body.as_str());
        Ok(())
    }
}
