//! S3 ARNs of native backups, and which objects they stand for.

/// Most files of one backup.
pub(crate) const MOST_FILES: usize = 10;

/// Where a backup goes to or comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

/// Why an ARN is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadArn {
    #[error("Invalid S3 ARN provided: {0}")]
    Malformed(String),
    #[error("S3 ARN prefix cannot be empty")]
    EmptyPrefix,
    #[error("A backup to {0} files needs exactly one '*' in the file name of the S3 ARN.")]
    NoStar(usize),
    #[error("@number_of_files must be between 1 and {MOST_FILES}.")]
    Files,
}

impl Location {
    /// `arn:aws:s3:::bucket/key`.
    pub(crate) fn parse(arn: &str) -> Result<Self, BadArn> {
        let malformed = || BadArn::Malformed(arn.to_owned());
        let rest = ["arn:aws:s3:::", "arn:aws-us-gov:s3:::", "arn:aws-cn:s3:::"]
            .iter()
            .find_map(|prefix| arn.strip_prefix(prefix));
        let (bucket, key) = rest.and_then(|rest| rest.split_once('/')).ok_or_else(malformed)?;
        if bucket.is_empty() || key.is_empty() {
            return Err(malformed());
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// The keys of a backup in so many files. With one file a `*` is a letter like any other; with more, the one that
    /// there must be stands for `i-of-N`.
    pub(crate) fn keys(&self, files: usize) -> Result<Vec<String>, BadArn> {
        match files {
            1 => Ok(vec![self.key.clone()]),
            2..=MOST_FILES => match self.key.split('*').collect::<Vec<_>>().as_slice() {
                [before, after] if !after.contains('/') => {
                    Ok((1..=files).map(|number| format!("{before}{number}-of-{files}{after}")).collect())
                }
                _ => Err(BadArn::NoStar(files)),
            },
            _ => Err(BadArn::Files),
        }
    }

    /// What to restore from: one object, or everything that begins with a prefix.
    pub(crate) fn prefix(&self) -> Result<Option<&str>, BadArn> {
        match self.key.strip_suffix('*') {
            None => Ok(None),
            Some("") => Err(BadArn::EmptyPrefix),
            Some(prefix) => Ok(Some(prefix)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(key: &str) -> Location {
        Location { bucket: "b".into(), key: key.into() }
    }

    #[test]
    fn arns() {
        assert_eq!(Location::parse("arn:aws:s3:::b/a/x.bak"), Ok(at("a/x.bak")));
        for bad in ["s3://b/x", "arn:aws:s3:::b", "arn:aws:s3:::b/", "arn:aws:s3:::/x", "arn:aws:s3:eu:1:accesspoint/a"]
        {
            assert_eq!(Location::parse(bad), Err(BadArn::Malformed(bad.into())));
        }
    }

    #[test]
    fn a_star_counts_files_and_is_a_letter_in_a_single_one() {
        assert_eq!(at("p/x*.bak").keys(1), Ok(vec!["p/x*.bak".into()]));
        assert_eq!(at("p/x*.bak").keys(2), Ok(vec!["p/x1-of-2.bak".into(), "p/x2-of-2.bak".into()]));
        assert_eq!(at("p/x*.bak").keys(10).unwrap().last().unwrap(), "p/x10-of-10.bak");
        for (key, files, expected) in [
            ("x.bak", 2, BadArn::NoStar(2)),
            ("x**.bak", 2, BadArn::NoStar(2)),
            ("p*/x.bak", 2, BadArn::NoStar(2)),
            ("x*.bak", 11, BadArn::Files),
            ("x*.bak", 0, BadArn::Files),
        ] {
            assert_eq!(at(key).keys(files), Err(expected), "{key}");
        }
    }

    #[test]
    fn prefixes() {
        assert_eq!(at("p/x").prefix(), Ok(None));
        assert_eq!(at("p/*").prefix(), Ok(Some("p/")));
        assert_eq!(at("*").prefix(), Err(BadArn::EmptyPrefix));
    }
}
