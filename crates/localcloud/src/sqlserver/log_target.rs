//! Where log backups are copied to: a bucket, and what its keys begin with.

/// The target of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogTarget {
    pub(crate) bucket: String,
    /// Empty, or with a slash at its end.
    prefix: String,
}

/// Why an ARN names no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTarget {
    #[error("The target S3 arn for the input parameter @target_s3_arn can't be empty or null.")]
    Empty,
    #[error("The target S3 arn for the input parameter @target_s3_arn must begin with arn:aws.")]
    NoArn,
    #[error(
        "The S3 bucket name for the input parameter @target_s3_arn should contain at least one character other than a space."
    )]
    NoBucket,
}

impl LogTarget {
    /// `arn:aws:s3:::bucket`, `arn:aws:s3:::bucket/folder`, with or without a slash at the end.
    pub(crate) fn parse(arn: &str) -> Result<Self, BadTarget> {
        if arn.trim().is_empty() {
            return Err(BadTarget::Empty);
        }
        if !arn.starts_with("arn:aws") {
            return Err(BadTarget::NoArn);
        }
        let path = arn.split_once(":s3:::").map(|(_, path)| path.trim()).ok_or(BadTarget::NoBucket)?;
        let (bucket, folder) = path.split_once('/').unwrap_or((path, ""));
        if bucket.trim().is_empty() {
            return Err(BadTarget::NoBucket);
        }
        let folder = folder.trim_end_matches('/');
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }

    /// The key of a file, by its name below the target.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_bucket_and_perhaps_a_folder() {
        for (arn, expected) in [
            ("arn:aws:s3:::b", Ok("b x")),
            ("arn:aws:s3:::b/", Ok("b x")),
            ("arn:aws:s3:::b/a/c", Ok("b a/c/x")),
            ("arn:aws:s3:::b/a/c/", Ok("b a/c/x")),
            ("", Err(BadTarget::Empty)),
            ("s3://b", Err(BadTarget::NoArn)),
            ("arn:aws:s3::: /a", Err(BadTarget::NoBucket)),
            ("arn:aws:s3:::", Err(BadTarget::NoBucket)),
        ] {
            let found = LogTarget::parse(arn).map(|target| format!("{} {}", target.bucket, target.key("x")));
            assert_eq!(found, expected.map(str::to_owned), "{arn}");
        }
    }
}
