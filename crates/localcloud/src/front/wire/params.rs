//! Parameters of the query protocols: `TagSpecification.1.Tag.2.Key=…`.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::AwsError;

/// A flat map of dotted names, and the views into it that the API shapes need.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Parses a form body or a query string.
    pub(crate) fn parse(form: &str) -> Self {
        Self(
            form.split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// A value; an empty one counts as given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A value that the operation cannot do without.
    pub(crate) fn required(&self, name: &str) -> Result<&str, AwsError> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| AwsError::new("MissingParameter", format!("The request must contain the parameter {name}")))
    }

    /// A number, a boolean: whatever parses.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, AwsError> {
        self.get(name)
            .map(|value| {
                value.parse().map_err(|_| {
                    AwsError::new("InvalidParameterValue", format!("Value ({value}) for parameter {name} is invalid."))
                })
            })
            .transpose()
    }

    /// The members of a list in order, each as parameters of its own. Understands `Name.1`, `Name.member.1` and
    /// `Name.Item.1` alike; a scalar member is the value under the empty name.
    pub(crate) fn members(&self, name: &str) -> Vec<Self> {
        let prefix = format!("{name}.");
        let mut members: BTreeMap<u32, Self> = BTreeMap::new();
        for (key, value) in &self.0 {
            let Some(rest) = key.strip_prefix(&prefix) else { continue };
            let Some((index, rest)) = indexed(rest) else { continue };
            members.entry(index).or_default().0.insert(rest.to_owned(), value.clone());
        }
        members.into_values().collect()
    }

    /// The scalar members of a list.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.members(name).into_iter().filter_map(|mut member| member.0.remove("")).collect()
    }

    /// Whether a list was given at all.
    pub(crate) fn has_list(&self, name: &str) -> bool {
        !self.members(name).is_empty()
    }

    /// `Tags.Tag.N` of RDS and `Tag.N` of EC2.
    pub(crate) fn tags(&self, name: &str) -> BTreeMap<String, String> {
        self.members(name)
            .iter()
            .filter_map(|tag| Some((tag.get("Key")?.to_owned(), tag.get("Value").unwrap_or_default().to_owned())))
            .collect()
    }

    /// The tags that `TagSpecification.N` gives to one type of resource.
    pub(crate) fn tag_specification(&self, resource_type: &str) -> BTreeMap<String, String> {
        ["TagSpecification", "TagSpecifications"]
            .iter()
            .flat_map(|name| self.members(name))
            .filter(|specification| specification.get("ResourceType") == Some(resource_type))
            .flat_map(|specification| {
                let mut tags = specification.tags("Tag");
                tags.extend(specification.tags("Tags"));
                tags
            })
            .collect()
    }

    /// `Filter.N` of EC2 and `Filters.Filter.N` of RDS: name and accepted values.
    pub(crate) fn filters(&self) -> Vec<(String, Vec<String>)> {
        let mut found = self.members("Filter");
        found.extend(self.members("Filters"));
        found
            .iter()
            .filter_map(|filter| {
                let mut values = filter.list("Value");
                values.extend(filter.list("Values"));
                Some((filter.get("Name")?.to_owned(), values))
            })
            .collect()
    }

    /// Everything but the named parameters: what makes two requests the same.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(key, _)| !names.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        )
    }

    /// Adds or replaces a value.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Every name and value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The form body again.
    pub(crate) fn encode(&self) -> String {
        let pairs: Vec<String> =
            self.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        pairs.join("&")
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Params {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// Splits `3.Key` or `Tag.3.Key` into the index and what follows it.
fn indexed(rest: &str) -> Option<(u32, &str)> {
    let (first, after) = rest.split_once('.').unwrap_or((rest, ""));
    if let Ok(index) = first.parse() {
        return Some((index, after));
    }
    let (second, after) = after.split_once('.').unwrap_or((after, ""));
    Some((second.parse().ok()?, after))
}

fn decode(text: &str) -> String {
    percent_decode(&text.replace('+', " "))
}

/// Decodes `%XX`; bytes that are no UTF-8 are replaced.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[at], hex.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Encodes all but RFC 3986's unreserved characters, as SigV4 wants it.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_every_spelling() {
        for form in ["G.1=a&G.2=b&G.10=c", "G.member.1=a&G.member.2=b&G.member.10=c", "G.Id.1=a&G.Id.2=b&G.Id.10=c"] {
            assert_eq!(Params::parse(form).list("G"), ["a", "b", "c"], "{form}");
        }
    }

    #[test]
    fn tags_and_filters() {
        let params = Params::parse(
            "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a%3Ab&TagSpecification.1.Tag.1.Value=x+y\
             &TagSpecification.2.ResourceType=volume&TagSpecification.2.Tag.1.Key=v&Tags.Tag.1.Key=k&Tags.Tag.1.Value=\
             &Filter.1.Name=vpc-id&Filter.1.Value.1=v1&Filter.1.Value.2=v2",
        );
        assert_eq!(params.tag_specification("instance"), BTreeMap::from([("a:b".into(), "x y".into())]));
        assert_eq!(params.tags("Tags"), BTreeMap::from([("k".into(), String::new())]));
        assert_eq!(params.filters(), [("vpc-id".to_owned(), vec!["v1".to_owned(), "v2".to_owned()])]);
    }

    #[test]
    fn encoding_comes_back() {
        let params = Params::from([("A b", "ü%/+&="), ("c", "")]);
        assert_eq!(Params::parse(&params.encode()), params);
    }
}
