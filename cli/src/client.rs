//! The connection to the coordinator.

mod authority;

use std::path::Path;
use std::time::Duration;

use haulier_proto::control::v1::control_service_client::ControlServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::exit::{CliError, Exit, chain};
use crate::settings::Settings;

/// A client that shows the operator's token with each call.
pub(crate) type Client = ControlServiceClient<InterceptedService<Channel, Token>>;

/// Adds the operator's token to each call. It never shows in debug output: the value is marked as sensitive.
#[derive(Debug, Clone)]
pub(crate) struct Token(MetadataValue<Ascii>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Connects to the coordinator.
pub(crate) async fn connect(settings: &Settings) -> Result<Client, CliError> {
    let doing = format!("connecting to the coordinator at {}", settings.coordinator);
    let usage = |cause: String, remedy: &str| CliError::new(Exit::Usage, "settings-invalid", &doing, cause, remedy);
    if !settings.coordinator.starts_with("https://") {
        return Err(usage("the address does not begin with https://".to_owned(), "write it as https://host:port"));
    }
    let token = token(settings, &doing)?;
    let mut tls = ClientTlsConfig::new();
    tls = match &settings.ca_file {
        Some(path) => {
            let bytes = read(path, "--ca-file", &doing)?;
            let remedy = "name the coordinator's ca/ca.pem in --ca-file, HAULIER_CA_FILE or ca_file: a file in PEM";
            tls.ca_certificate(authority::read(path, &bytes).map_err(|cause| usage(cause, remedy))?)
        }
        None => tls.with_native_roots(),
    };
    let endpoint = Endpoint::from_shared(settings.coordinator.clone())
        .and_then(|endpoint| endpoint.tls_config(tls))
        .map_err(|error| usage(chain(&error), "check the address and the file of --ca-file"))?
        .connect_timeout(Duration::from_secs(10))
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .keep_alive_while_idle(true);
    let channel = endpoint.connect().await.map_err(|error| {
        CliError::new(
            Exit::Unreachable,
            "coordinator-unreachable",
            &doing,
            chain(&error),
            "check that the coordinator runs, its address, and that --ca-file is its authority's certificate",
        )
    })?;
    Ok(ControlServiceClient::with_interceptor(channel, token).max_decoding_message_size(64 << 20))
}

fn token(settings: &Settings, doing: &str) -> Result<Token, CliError> {
    let Some(path) = &settings.token_file else {
        return Err(CliError::new(
            Exit::Usage,
            "token-missing",
            doing,
            "no file with the operator's token is named",
            "set --token-file, HAULIER_TOKEN_FILE or token_file in ~/.config/haulier/config.toml",
        ));
    };
    let text = String::from_utf8(read(path, "--token-file", doing)?).unwrap_or_default();
    let none = || {
        let cause = format!("{} does not hold a token", path.display());
        CliError::new(Exit::Usage, "token-missing", doing, cause, "name the coordinator's operator.token")
    };
    if text.trim().is_empty() {
        return Err(none());
    }
    let mut value = MetadataValue::try_from(format!("Bearer {}", text.trim())).map_err(|_| none())?;
    value.set_sensitive(true);
    Ok(Token(value))
}

fn read(path: &Path, flag: &str, doing: &str) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| {
        let cause = format!("{}: {error}", path.display());
        CliError::new(Exit::Usage, "file-unreadable", doing, cause, format!("check {flag} and the file's permissions"))
    })
}
