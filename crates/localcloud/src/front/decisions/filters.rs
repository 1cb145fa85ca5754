//! Filters of the Describe operations: all filters must match, any of a filter's values may; `*` and `?` are wildcards.

use super::Tags;
use crate::front::wire::AwsError;
use crate::iam::pattern_matches;

/// The filters of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Filters as the request gave them.
    pub(crate) fn new(filters: Vec<(String, Vec<String>)>) -> Self {
        Self(filters)
    }

    /// Whether a resource passes. `values` gives what the resource has under a filter's name, `None` for a name that
    /// the operation does not know: such a filter is refused, because to skip it would answer too much.
    pub(crate) fn pass(&self, tags: &Tags, values: impl Fn(&str) -> Option<Vec<String>>) -> Result<bool, AwsError> {
        for (name, accepted) in &self.0 {
            let present = match name.strip_prefix("tag:") {
                Some(key) => tags.get(key).cloned().into_iter().collect(),
                None if name == "tag-key" => tags.keys().cloned().collect(),
                None => values(name)
                    .ok_or_else(|| AwsError::new("InvalidParameterValue", format!("The filter '{name}' is invalid")))?,
            };
            if !present.iter().any(|value| accepted.iter().any(|pattern| pattern_matches(pattern, value))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_follow_using_filters_of_the_ec2_guide() {
        let tags = Tags::from([("session".to_owned(), "ses-1".to_owned())]);
        let values = |name: &str| (name == "vpc-id").then(|| vec!["vpc-1".to_owned()]);
        type Row<'a> = (&'a [(&'a str, &'a [&'a str])], bool);
        let table: [Row<'_>; 7] = [
            (&[], true),
            (&[("vpc-id", &["vpc-1"])], true),
            (&[("vpc-id", &["vpc-2", "vpc-1"])], true),
            (&[("vpc-id", &["vpc-1"]), ("tag:session", &["ses-2"])], false),
            (&[("tag:session", &["ses-*"])], true),
            (&[("tag-key", &["session"])], true),
            (&[("tag:absent", &["*"])], false),
        ];
        for (filters, expected) in table {
            let filters = Filters::new(
                filters.iter().map(|(n, v)| ((*n).to_owned(), v.iter().map(|v| (*v).to_owned()).collect())).collect(),
            );
            assert_eq!(filters.pass(&tags, values).unwrap(), expected, "{filters:?}");
        }
        let unknown = Filters::new(vec![("colour".to_owned(), vec!["red".to_owned()])]);
        assert_eq!(unknown.pass(&tags, values).unwrap_err().code, "InvalidParameterValue");
    }
}
