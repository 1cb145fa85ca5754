//! Whether the role of the option group trusts RDS for one instance. AWS asks for both ARNs, the instance's and the option
//! group's, where the trust policy is bound to sources; a role that lacks one of them fails at the first task with nothing
//! but "Access Denied".

use serde_json::Value;

const SERVICE: &str = "rds.amazonaws.com";

/// Whom a role trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// RDS, for what was asked.
    Given,
    /// Not for these; in words.
    Lacks(Vec<String>),
    /// The document says it in a way that is not understood here.
    Unclear,
}

/// Reads a trust policy, JSON. `sources` are the ARNs for which RDS assumes the role.
pub fn trust(document: &str, account: &str, sources: &[&str]) -> Trust {
    let Ok(document) = serde_json::from_str::<Value>(document) else { return Trust::Unclear };
    let statements = listed(&document["Statement"]);
    if statements.iter().any(|statement| statement["Effect"] == "Deny") {
        return Trust::Unclear;
    }
    let for_rds: Vec<&&Value> = statements.iter().filter(|statement| lets_rds_assume(statement)).collect();
    if for_rds.is_empty() {
        return Trust::Lacks(vec![SERVICE.to_owned()]);
    }
    let mut lacks = Vec::new();
    for source in sources {
        let verdicts: Vec<Option<bool>> =
            for_rds.iter().map(|statement| fits(&statement["Condition"], account, source)).collect();
        if verdicts.contains(&Some(true)) {
            continue;
        }
        if verdicts.contains(&None) {
            return Trust::Unclear;
        }
        lacks.push((*source).to_owned());
    }
    if lacks.is_empty() { Trust::Given } else { Trust::Lacks(lacks) }
}

fn lets_rds_assume(statement: &Value) -> bool {
    let services = listed(&statement["Principal"]["Service"]);
    let anybody = statement["Principal"] == "*" || statement["Principal"]["Service"] == "*";
    let action =
        |action: &&Value| action.as_str().is_some_and(|action| like(&action.to_ascii_lowercase(), "sts:assumerole"));
    statement["Effect"] == "Allow"
        && (anybody || services.iter().any(|service| **service == SERVICE))
        && listed(&statement["Action"]).iter().any(action)
}

/// Whether all conditions hold for a source; `None` where one is not understood.
fn fits(conditions: &Value, account: &str, source: &str) -> Option<bool> {
    let Some(conditions) = conditions.as_object() else { return conditions.is_null().then_some(true) };
    let mut all = true;
    for (operator, keys) in conditions {
        let is_pattern = match operator.trim_end_matches("IfExists").to_ascii_lowercase().as_str() {
            "stringequals" | "stringequalsignorecase" => false,
            "stringlike" | "arnlike" | "arnequals" => true,
            _ => return None,
        };
        for (key, values) in keys.as_object()? {
            let actual = match key.to_ascii_lowercase().as_str() {
                "aws:sourcearn" => source,
                "aws:sourceaccount" => account,
                _ => return None,
            };
            let values = listed(values);
            let matches = |value: &&Value| {
                value.as_str().is_some_and(|value| if is_pattern { like(value, actual) } else { value == actual })
            };
            all &= values.iter().any(matches);
        }
    }
    Some(all)
}

/// IAM's wildcards: `*` is any text, `?` any character.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            text.char_indices().any(|(at, _)| like(rest, &text[at..])) || like(rest, "")
        }
        Some(expected) => {
            let mut characters = text.chars();
            characters.next().is_some_and(|actual| {
                (expected == '?' || expected == actual) && like(&pattern[expected.len_utf8()..], characters.as_str())
            })
        }
    }
}

/// One, or a list: IAM writes either.
fn listed(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(several) => several.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ACCOUNT: &str = "111122223333";
    const DB: &str = "arn:aws:rds:eu-central-1:111122223333:db:crm";
    const GROUP: &str = "arn:aws:rds:eu-central-1:111122223333:og:backups";

    fn read(conditions: Value) -> Trust {
        let statement = json!({
            "Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole", "Condition": conditions,
        });
        trust(&json!({"Statement": [statement]}).to_string(), ACCOUNT, &[DB, GROUP])
    }

    #[test]
    fn both_sources_must_be_named_where_sources_are() {
        let lacks = |sources: &[&str]| Trust::Lacks(sources.iter().map(|source| (*source).to_owned()).collect());
        for (conditions, expected) in [
            (json!(null), Trust::Given),
            (json!({"StringEquals": {"aws:SourceArn": [DB, GROUP], "aws:SourceAccount": ACCOUNT}}), Trust::Given),
            (json!({"StringEquals": {"AWS:SourceAccount": [ACCOUNT]}}), Trust::Given),
            (json!({"ArnLike": {"aws:SourceArn": ["arn:aws:rds:*:111122223333:db:c*", GROUP]}}), Trust::Given),
            (json!({"ArnLike": {"aws:SourceArn": "arn:aws:rds:eu-central-1:111122223333:??:*"}}), Trust::Given),
            (json!({"StringEquals": {"aws:SourceArn": DB}}), lacks(&[GROUP])),
            (json!({"StringEquals": {"aws:SourceArn": "arn:aws:rds:*:111122223333:db:*"}}), lacks(&[DB, GROUP])),
            (json!({"StringEquals": {"aws:SourceArn": [DB, GROUP], "aws:SourceAccount": "999"}}), lacks(&[DB, GROUP])),
            (json!({"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}), Trust::Unclear),
            (json!({"StringEquals": {"aws:SourceOrgID": "o-1"}}), Trust::Unclear),
        ] {
            assert_eq!(read(conditions.clone()), expected, "{conditions}");
        }
    }

    #[test]
    fn several_statements_are_read_together_and_a_denial_is_left_to_aws() {
        let one = |source: &str| {
            json!({
                "Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com", SERVICE]}, "Action": ["sts:AssumeRole"],
                "Condition": {"StringEquals": {"aws:SourceArn": source}},
            })
        };
        let both = json!({"Statement": [one(DB), one(GROUP)]});
        assert_eq!(trust(&both.to_string(), ACCOUNT, &[DB, GROUP]), Trust::Given);
        let denied = json!({"Statement": [one(DB), one(GROUP), {"Effect": "Deny", "Principal": "*"}]});
        assert_eq!(trust(&denied.to_string(), ACCOUNT, &[DB, GROUP]), Trust::Unclear);
        let of_ec2 = json!({"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}});
        assert_eq!(trust(&of_ec2.to_string(), ACCOUNT, &[DB]), Trust::Lacks(vec![SERVICE.to_owned()]));
        assert_eq!(trust("{", ACCOUNT, &[DB]), Trust::Unclear);
        for (action, expected) in [("sts:*", true), ("STS:Assume*", true), ("*", true), ("sts:TagSession", false)] {
            let statement = json!({"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": [action]});
            let found = trust(&json!({"Statement": statement}).to_string(), ACCOUNT, &[DB]);
            assert_eq!(found == Trust::Given, expected, "{action}");
        }
    }
}
