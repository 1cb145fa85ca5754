//! What an expression is worth, with the three values of logic that NULL makes.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::expression::Expression;
use super::{functions, select};
use crate::sqlserver::error::SqlError;
use crate::sqlserver::value::{Table, Type, Value, moment};

/// Where tables and functions come from that are not the language's own.
pub(crate) trait Source {
    /// A table, a view, or with arguments a function that gives one.
    fn table(&self, name: &[String], arguments: Option<&[Value]>) -> Result<Table, SqlError>;
    /// `@@NAME`, in capitals.
    fn global(&self, name: &str) -> Option<Value>;
    /// A function by its name in capitals; `None` where there is none.
    fn function(&self, name: &str, arguments: &[Value]) -> Option<Value>;
}

/// A column of joined tables: alias, name, type.
pub(super) type Column = (String, String, Type);

/// What an expression can see.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) variables: &'a BTreeMap<String, Value>,
    pub(super) columns: &'a [Column],
    pub(super) row: &'a [Value],
    /// Rows that an aggregate runs over.
    pub(super) group: Option<&'a [Vec<Value>]>,
    /// The SELECT around this one.
    pub(super) outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// Outside of any SELECT. Names of variables are in lower case.
    pub(crate) fn new(source: &'a dyn Source, variables: &'a BTreeMap<String, Value>) -> Self {
        Self { source, variables, columns: &[], row: &[], group: None, outer: None }
    }

    /// The same with a row.
    pub(super) fn at(self, columns: &'a [Column], row: &'a [Value]) -> Self {
        Self { columns, row, group: None, ..self }
    }

    fn column(&self, alias: Option<&str>, name: &str) -> Result<Value, SqlError> {
        let at = self.columns.iter().position(|(of, column, _)| {
            column.eq_ignore_ascii_case(name) && alias.is_none_or(|alias| alias.eq_ignore_ascii_case(of))
        });
        match (at, self.outer) {
            (Some(at), _) => Ok(self.row.get(at).cloned().unwrap_or(Value::Null)),
            (None, Some(outer)) => outer.column(alias, name),
            (None, None) => Err(no_column(alias, name)),
        }
    }
}

pub(super) fn no_column(alias: Option<&str>, name: &str) -> SqlError {
    match alias {
        Some(alias) => {
            SqlError::new(4104, 16, format!("The multi-part identifier \"{alias}.{name}\" could not be bound."))
        }
        None => SqlError::new(207, 16, format!("Invalid column name '{name}'.")),
    }
}

/// The value of an expression.
pub(crate) fn evaluate(expression: &Expression, scope: Scope<'_>) -> Result<Value, SqlError> {
    Ok(match expression {
        Expression::Literal(value) => value.clone(),
        Expression::Variable(name) => {
            let value = scope.variables.get(&name.to_ascii_lowercase());
            let missing = || SqlError::new(137, 15, format!("Must declare the scalar variable \"@{name}\"."));
            value.cloned().ok_or_else(missing)?
        }
        Expression::Global(name) => {
            scope.source.global(&name.to_ascii_uppercase()).ok_or_else(|| SqlError::syntax(&format!("@@{name}")))?
        }
        Expression::Column(alias, name) => scope.column(alias.as_deref(), name)?,
        Expression::Convert(kind, value) => functions::of_type(*kind, &evaluate(value, scope)?)?,
        Expression::CountRows => Value::Int(scope.group.map_or(1, <[_]>::len) as i64),
        Expression::Function(name, arguments) => function(name, arguments, scope)?,
        Expression::Not(inner) => match truth(&evaluate(inner, scope)?) {
            Some(holds) => Value::Bit(!holds),
            None => Value::Null,
        },
        Expression::Negative(inner) => match evaluate(inner, scope)?.number() {
            Some(number) => whole(-number),
            None => Value::Null,
        },
        Expression::IsNull(inner) => Value::Bit(evaluate(inner, scope)?.is_null()),
        Expression::In(value, list) => within(&evaluate(value, scope)?, list, scope)?,
        Expression::Case(branches, otherwise) => {
            for (condition, result) in branches {
                if holds(condition, scope)? {
                    return evaluate(result, scope);
                }
            }
            match otherwise {
                Some(otherwise) => evaluate(otherwise, scope)?,
                None => Value::Null,
            }
        }
        Expression::Exists(select) => Value::Bit(!select::run_within(select, &scope)?.rows.is_empty()),
        Expression::Query(select) => {
            let rows = select::run_within(select, &scope)?.rows;
            rows.into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or(Value::Null)
        }
        Expression::Operation("AND", left, right) => {
            match (truth(&evaluate(left, scope)?), truth(&evaluate(right, scope)?)) {
                (Some(false), _) | (_, Some(false)) => Value::Bit(false),
                (Some(true), Some(true)) => Value::Bit(true),
                _ => Value::Null,
            }
        }
        Expression::Operation("OR", left, right) => {
            match (truth(&evaluate(left, scope)?), truth(&evaluate(right, scope)?)) {
                (Some(true), _) | (_, Some(true)) => Value::Bit(true),
                (Some(false), Some(false)) => Value::Bit(false),
                _ => Value::Null,
            }
        }
        Expression::Operation(sign, left, right) => operate(sign, &evaluate(left, scope)?, &evaluate(right, scope)?)?,
    })
}

/// Whether a condition holds; NULL does not.
pub(crate) fn holds(condition: &Expression, scope: Scope<'_>) -> Result<bool, SqlError> {
    Ok(truth(&evaluate(condition, scope)?) == Some(true))
}

fn truth(value: &Value) -> Option<bool> {
    value.number().map(|number| number != 0)
}

fn within(value: &Value, list: &[Expression], scope: Scope<'_>) -> Result<Value, SqlError> {
    let mut unknown = value.is_null();
    for entry in list {
        match compare(value, &evaluate(entry, scope)?) {
            Some(Ordering::Equal) => return Ok(Value::Bit(true)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bit(false) })
}

fn operate(sign: &str, left: &Value, right: &Value) -> Result<Value, SqlError> {
    if left.is_null() || right.is_null() {
        return Ok(Value::Null);
    }
    let order = || compare(left, right);
    let found = match sign {
        "=" => order() == Some(Ordering::Equal),
        "<>" => order().is_some_and(|order| order != Ordering::Equal),
        "<" => order() == Some(Ordering::Less),
        ">" => order() == Some(Ordering::Greater),
        "<=" => order().is_some_and(|order| order != Ordering::Greater),
        ">=" => order().is_some_and(|order| order != Ordering::Less),
        "LIKE" => like(&left.text().unwrap_or_default(), &right.text().unwrap_or_default()),
        _ => return arithmetic(sign, left, right),
    };
    Ok(Value::Bit(found))
}

fn arithmetic(sign: &str, left: &Value, right: &Value) -> Result<Value, SqlError> {
    if let ("+", Value::Text(left), Value::Text(right)) = (sign, left, right) {
        return Ok(Value::Text(format!("{left}{right}")));
    }
    let number = |value: &Value| {
        let text = || {
            format!("Conversion failed when converting the value '{}' to a number.", value.text().unwrap_or_default())
        };
        value.number().ok_or_else(|| SqlError::new(245, 16, text()))
    };
    let (a, b) = (number(left)?, number(right)?);
    let result = match sign {
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        _ if b == 0 => return Err(SqlError::new(8134, 16, "Divide by zero error encountered.")),
        _ => a.checked_div(b),
    };
    let exact = matches!(left, Value::Numeric(_)) || matches!(right, Value::Numeric(_));
    let overflow = || SqlError::new(8115, 16, "Arithmetic overflow error converting expression to data type bigint.");
    let result = result.ok_or_else(overflow)?;
    Ok(if exact { Value::Numeric(result) } else { whole(result) })
}

fn whole(number: i128) -> Value {
    i64::try_from(number).map_or(Value::Numeric(number), Value::Int)
}

/// How two values stand to each other; `None` where one is NULL or they cannot be compared. Text compares without regard
/// to case, as the instance's collation says.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Text(left), Value::Text(right)) => Some(folded(left).cmp(&folded(right))),
        (Value::DateTime(left), Value::DateTime(right)) => Some(left.cmp(right)),
        (Value::DateTime(left), Value::Text(right)) => moment(right).map(|right| left.cmp(&right)),
        (Value::Text(left), Value::DateTime(right)) => moment(left).map(|left| left.cmp(right)),
        (Value::Guid(_), _) | (_, Value::Guid(_)) => Some(folded(&left.text()?).cmp(&folded(&right.text()?))),
        _ => Some(left.number()?.cmp(&right.number()?)),
    }
}

fn folded(text: &str) -> String {
    text.trim_end_matches(' ').to_lowercase()
}

/// `%` is any text, `_` any letter; a letter in brackets is itself.
fn like(text: &str, pattern: &str) -> bool {
    fn matches(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|skip| matches(&text[skip..], rest)),
            ['_', rest @ ..] => !text.is_empty() && matches(&text[1..], rest),
            ['[', letter, ']', rest @ ..] | [letter, rest @ ..] => {
                text.first() == Some(letter) && matches(&text[1..], rest)
            }
        }
    }
    let letters = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    matches(&letters(text), &letters(pattern))
}

fn function(name: &str, arguments: &[Expression], scope: Scope<'_>) -> Result<Value, SqlError> {
    if let (Some(argument), true) = (arguments.first(), is_aggregate(name)) {
        return aggregate(name, argument, scope);
    }
    if matches!(name, "ISNULL" | "COALESCE") {
        for argument in arguments {
            let value = evaluate(argument, scope)?;
            if !value.is_null() {
                return Ok(value);
            }
        }
        return Ok(Value::Null);
    }
    let values = arguments.iter().map(|argument| evaluate(argument, scope)).collect::<Result<Vec<_>, _>>()?;
    if let Some(value) = functions::built_in(name, &values) {
        return Ok(value);
    }
    let text = format!("'{}' is not a recognized built-in function name.", name.to_lowercase());
    scope.source.function(name, &values).ok_or_else(|| SqlError::new(195, 15, text))
}

/// Whether a function looks at all rows of a group.
pub(super) fn is_aggregate(name: &str) -> bool {
    matches!(name, "COUNT" | "COUNT_BIG" | "SUM" | "MIN" | "MAX")
}

fn aggregate(name: &str, argument: &Expression, scope: Scope<'_>) -> Result<Value, SqlError> {
    let Some(rows) = scope.group else { return evaluate(argument, scope) };
    let mut values = Vec::new();
    for row in rows {
        let value = evaluate(argument, scope.at(scope.columns, row))?;
        if !value.is_null() {
            values.push(value);
        }
    }
    Ok(match name {
        "SUM" if values.is_empty() => Value::Null,
        "SUM" => whole(values.iter().filter_map(Value::number).sum()),
        "MIN" | "MAX" => {
            let wanted = if name == "MIN" { Ordering::Less } else { Ordering::Greater };
            let best =
                values.into_iter().reduce(|best, next| if compare(&next, &best) == Some(wanted) { next } else { best });
            best.unwrap_or(Value::Null)
        }
        _ => Value::Int(values.len() as i64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (text, pattern, expected) in [
            ("orders", "OR%", true),
            ("orders", "%der_", true),
            ("orders", "order", false),
            ("a_b", "a[_]b", true),
            ("axb", "a[_]b", false),
            ("", "%", true),
        ] {
            assert_eq!(like(text, pattern), expected, "{text} LIKE {pattern}");
        }
    }

    #[test]
    fn values_compare_as_the_collation_says() {
        let text = |text: &str| Value::from(text);
        for (left, right, expected) in [
            (text("Orders"), text("orders "), Some(Ordering::Equal)),
            (Value::Int(2), text("10"), Some(Ordering::Less)),
            (Value::Null, text("x"), None),
            (Value::Int(1), text("x"), None),
        ] {
            assert_eq!(compare(&left, &right), expected, "{left:?} {right:?}");
        }
    }
}
