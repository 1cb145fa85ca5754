//! What an instance knows of itself.

use aws_config::imds;

/// The instance's metadata cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the instance's metadata cannot be read")]
pub struct MetadataError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// The id of the EC2 instance this process runs on, by IMDSv2.
///
/// # Errors
/// Where there is no metadata service: this is no EC2 instance.
pub async fn instance_id() -> Result<String, MetadataError> {
    let client = imds::Client::builder().build();
    let id = client.get("/latest/meta-data/instance-id").await.map_err(|error| MetadataError(Box::new(error)))?;
    Ok(id.as_ref().trim().to_owned())
}
