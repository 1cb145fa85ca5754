//! The `Condition` block of a statement.

use serde_json::Value;

use super::pattern::{matches, matches_ignoring_case};
use super::policy::PolicyError;
use super::{Context, Request};

/// How one value is compared with one of the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    EqualIgnoringCase,
    Like,
    Bool,
    Numeric(Order),
    Date(Order),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// How the values of a multi-valued key are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    Single,
    Any,
    All,
}

#[derive(Debug, Clone)]
enum Test {
    /// The key is absent (`true`) or present (`false`).
    Null(bool),
    Compare {
        comparison: Comparison,
        negated: bool,
        quantifier: Quantifier,
        if_exists: bool,
        values: Vec<String>,
    },
}

/// One operator on one key. All conditions of a statement must hold.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    key: String,
    test: Test,
}

/// Reads a `Condition` block.
pub(super) fn parse(block: &Value) -> Result<Vec<Condition>, PolicyError> {
    let operators = block.as_object().ok_or(PolicyError::Shape("Condition must be an object"))?;
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let keys = keys.as_object().ok_or(PolicyError::Shape("a condition operator must hold an object"))?;
        for (key, values) in keys {
            conditions.push(Condition { key: key.clone(), test: parse_test(operator, strings(values)?)? });
        }
    }
    Ok(conditions)
}

fn strings(value: &Value) -> Result<Vec<String>, PolicyError> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(PolicyError::Shape("a condition value must be text, a number or a boolean")),
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

fn parse_test(operator: &str, values: Vec<String>) -> Result<Test, PolicyError> {
    let (quantifier, rest) = match operator.split_once(':') {
        Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
        Some(("ForAllValues", rest)) => (Quantifier::All, rest),
        Some(_) => return Err(PolicyError::UnknownOperator(operator.to_owned())),
        None => (Quantifier::Single, operator),
    };
    if rest == "Null" {
        return Ok(Test::Null(values.iter().any(|value| value.eq_ignore_ascii_case("true"))));
    }
    let (name, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |name| (name, true));
    let (comparison, negated) = match name {
        "StringEquals" | "BinaryEquals" => (Comparison::Equal, false),
        "StringNotEquals" => (Comparison::Equal, true),
        "StringEqualsIgnoreCase" => (Comparison::EqualIgnoringCase, false),
        "StringNotEqualsIgnoreCase" => (Comparison::EqualIgnoringCase, true),
        "StringLike" | "ArnLike" | "ArnEquals" => (Comparison::Like, false),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (Comparison::Like, true),
        "Bool" => (Comparison::Bool, false),
        "NumericEquals" => (Comparison::Numeric(Order::Equal), false),
        "NumericNotEquals" => (Comparison::Numeric(Order::Equal), true),
        "NumericLessThan" => (Comparison::Numeric(Order::Less), false),
        "NumericLessThanEquals" => (Comparison::Numeric(Order::LessOrEqual), false),
        "NumericGreaterThan" => (Comparison::Numeric(Order::Greater), false),
        "NumericGreaterThanEquals" => (Comparison::Numeric(Order::GreaterOrEqual), false),
        "DateLessThan" => (Comparison::Date(Order::Less), false),
        "DateLessThanEquals" => (Comparison::Date(Order::LessOrEqual), false),
        "DateGreaterThan" => (Comparison::Date(Order::Greater), false),
        "DateGreaterThanEquals" => (Comparison::Date(Order::GreaterOrEqual), false),
        _ => return Err(PolicyError::UnknownOperator(operator.to_owned())),
    };
    Ok(Test::Compare { comparison, negated, quantifier, if_exists, values })
}

impl Condition {
    /// Whether the condition holds for the request.
    pub(super) fn holds(&self, request: Request<'_>) -> bool {
        let present = lookup(request.context, &self.key);
        match &self.test {
            Test::Null(wanted) => present.is_none() == *wanted,
            Test::Compare { comparison, negated, quantifier, if_exists, values } => {
                let Some(present) = present else {
                    // A key that is absent satisfies negated operators, `…IfExists` and `ForAllValues`.
                    return *if_exists
                        || *quantifier == Quantifier::All
                        || (*negated && *quantifier == Quantifier::Single);
                };
                let one = |value: &String| values.iter().any(|wanted| compare(*comparison, wanted, value)) != *negated;
                match quantifier {
                    Quantifier::Single if *negated => present.iter().all(one),
                    Quantifier::Single | Quantifier::Any => present.iter().any(one),
                    Quantifier::All => present.iter().all(one),
                }
            }
        }
    }
}

fn lookup<'a>(context: &'a Context, key: &str) -> Option<&'a [String]> {
    context.get(key).filter(|values| !values.is_empty())
}

fn compare(comparison: Comparison, wanted: &str, value: &str) -> bool {
    match comparison {
        Comparison::Equal => wanted == value,
        Comparison::EqualIgnoringCase => wanted.eq_ignore_ascii_case(value),
        Comparison::Like => matches(wanted, value),
        Comparison::Bool => matches_ignoring_case(wanted, value),
        Comparison::Numeric(order) => match (wanted.parse::<f64>(), value.parse::<f64>()) {
            (Ok(wanted), Ok(value)) => value.partial_cmp(&wanted).is_some_and(|found| satisfies(order, found)),
            _ => false,
        },
        Comparison::Date(order) => match (wanted.parse::<jiff::Timestamp>(), value.parse::<jiff::Timestamp>()) {
            (Ok(wanted), Ok(value)) => satisfies(order, value.cmp(&wanted)),
            _ => false,
        },
    }
}

fn satisfies(order: Order, found: std::cmp::Ordering) -> bool {
    match order {
        Order::Equal => found.is_eq(),
        Order::Less => found.is_lt(),
        Order::LessOrEqual => found.is_le(),
        Order::Greater => found.is_gt(),
        Order::GreaterOrEqual => found.is_ge(),
    }
}
