//! Amazon Resource Names, as far as a policy has to look into them.

use std::str::FromStr;

/// `arn:partition:service:region:account:resource`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arn {
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// `iam`, `kms`, `secretsmanager`.
    pub service: String,
    /// Empty where the service has none.
    pub region: String,
    /// Twelve digits; empty where the service has none.
    pub account: String,
    /// The rest: `role/name`, `secret:name-abcdef`.
    pub resource: String,
}

/// A text that is not an ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an ARN")]
pub struct InvalidArn(pub String);

impl FromStr for Arn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, InvalidArn> {
        let invalid = || InvalidArn(text.to_owned());
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next().map(str::to_owned).ok_or_else(invalid);
        let (prefix, arn) = (
            part()?,
            Self { partition: part()?, service: part()?, region: part()?, account: part()?, resource: part()? },
        );
        let account_fits =
            arn.account.is_empty() || (arn.account.len() == 12 && arn.account.bytes().all(|b| b.is_ascii_digit()));
        let partition_fits = arn.partition == "aws" || arn.partition.starts_with("aws-");
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if prefix == "arn" && partition_fits && account_fits && !arn.resource.is_empty() && printable {
            Ok(arn)
        } else {
            Err(invalid())
        }
    }
}

impl Arn {
    /// Whether it names an IAM role.
    pub fn is_role(&self) -> bool {
        self.service == "iam" && !self.account.is_empty() && self.resource.starts_with("role/")
    }

    /// Whether it names a secret of Secrets Manager.
    pub fn is_secret(&self) -> bool {
        self.service == "secretsmanager" && !self.region.is_empty() && self.resource.starts_with("secret:")
    }

    /// Whether it names a key of KMS, and not an alias of one.
    pub fn is_kms_key(&self) -> bool {
        let has_place = !self.region.is_empty() && !self.account.is_empty();
        let id = self.resource.strip_prefix("key/");
        self.service == "kms" && has_place && id.is_some_and(|id| !id.is_empty() && !id.contains('/'))
    }
}
