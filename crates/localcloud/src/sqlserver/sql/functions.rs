//! Types by name, conversions, and the functions that need nothing but their arguments.

use super::expression::Expression;
use crate::sqlserver::error::SqlError;
use crate::sqlserver::value::{Type, Value, moment};

/// A type by its name and size; `u16::MAX` is `max`.
pub(crate) fn type_named(name: &str, size: Option<u16>) -> Option<Type> {
    Some(match name.to_ascii_lowercase().as_str() {
        "bit" => Type::Bit,
        "tinyint" => Type::TinyInt,
        "int" | "smallint" => Type::Int,
        "bigint" => Type::BigInt,
        "decimal" | "numeric" => Type::Numeric(size.unwrap_or(18).min(38) as u8),
        "datetime" | "datetime2" | "date" | "smalldatetime" => Type::DateTime,
        "uniqueidentifier" => Type::Guid,
        "sysname" => Type::NVarChar(128),
        "nvarchar" | "varchar" | "nchar" | "char" => match size {
            Some(u16::MAX) => Type::NVarCharMax,
            size => Type::NVarChar(size.unwrap_or(30).min(4000)),
        },
        "sql_variant" => Type::Variant,
        _ => return None,
    })
}

/// CONVERT.
pub(crate) fn of_type(kind: Type, value: &Value) -> Result<Value, SqlError> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let text = value.text().unwrap_or_default();
    let converted = match kind {
        Type::Bit => value.number().map(|number| Value::Bit(number != 0)),
        Type::TinyInt => {
            value.number().and_then(|number| u8::try_from(number).ok()).map(|number| Value::Int(number.into()))
        }
        Type::Int => {
            value.number().and_then(|number| i32::try_from(number).ok()).map(|number| Value::Int(number.into()))
        }
        Type::BigInt => value.number().and_then(|number| i64::try_from(number).ok()).map(Value::Int),
        Type::Numeric(_) => value.number().map(Value::Numeric),
        Type::NVarChar(most) => Some(Value::Text(text.chars().take(most.into()).collect())),
        Type::NVarCharMax => Some(Value::Text(text.clone())),
        Type::DateTime => match value {
            Value::DateTime(_) => Some(value.clone()),
            _ => moment(&text).map(Value::DateTime),
        },
        Type::Guid => text.parse().ok().map(Value::Guid),
        Type::Variant => Some(value.clone()),
    };
    converted.ok_or_else(|| SqlError::new(245, 16, format!("Conversion failed when converting the value '{text}'.")))
}

/// Functions of the language; `None` where it has none of that name.
pub(super) fn built_in(name: &str, arguments: &[Value]) -> Option<Value> {
    let text = |index: usize| arguments.get(index).and_then(Value::text);
    Some(match (name, arguments.len()) {
        ("LEN", 1) => text(0).map_or(Value::Null, |text| Value::Int(text.trim_end_matches(' ').chars().count() as i64)),
        ("UPPER", 1) => text(0).map(|text| text.to_uppercase()).into(),
        ("LOWER", 1) => text(0).map(|text| text.to_lowercase()).into(),
        ("LTRIM", 1) => text(0).map(|text| text.trim_start_matches(' ').to_owned()).into(),
        ("RTRIM", 1) => text(0).map(|text| text.trim_end_matches(' ').to_owned()).into(),
        ("CONCAT", _) => Value::Text(arguments.iter().filter_map(Value::text).collect()),
        ("REPLACE", 3) => match (text(0), text(1), text(2)) {
            (Some(text), Some(old), Some(new)) => Value::Text(text.replace(&old, &new)),
            _ => Value::Null,
        },
        ("REPLICATE", 2) => match (text(0), arguments[1].number()) {
            (Some(text), Some(times)) if (0..=4_000_000).contains(&times) => Value::Text(text.repeat(times as usize)),
            _ => Value::Null,
        },
        ("QUOTENAME", 1) => text(0).map(|text| format!("[{}]", text.replace(']', "]]"))).into(),
        ("NULLIF", 2) => match super::evaluate::compare(&arguments[0], &arguments[1]) {
            Some(std::cmp::Ordering::Equal) => Value::Null,
            _ => arguments[0].clone(),
        },
        _ => return None,
    })
}

/// The type of a column that an expression makes; `columns` tells the types of columns.
pub(super) fn kind_of(expression: &Expression, columns: &impl Fn(Option<&str>, &str) -> Option<Type>) -> Option<Type> {
    let first = |list: &[Expression]| list.iter().find_map(|expression| kind_of(expression, columns));
    Some(match expression {
        Expression::Literal(Value::Null) | Expression::Variable(_) => return None,
        Expression::Literal(value) => value.kind(),
        Expression::Column(alias, name) => return columns(alias.as_deref(), name),
        Expression::Convert(kind, _) => *kind,
        Expression::CountRows => Type::Int,
        Expression::Function(name, arguments) => match name.as_str() {
            "COUNT" | "LEN" | "DB_ID" | "IS_SRVROLEMEMBER" | "IS_MEMBER" | "HAS_PERMS_BY_NAME" | "HAS_DBACCESS" => {
                Type::Int
            }
            "SUM" | "COUNT_BIG" => match first(arguments) {
                Some(Type::Numeric(_)) => Type::Numeric(38),
                Some(Type::BigInt) => Type::BigInt,
                _ if name == "COUNT_BIG" => Type::BigInt,
                _ => Type::Int,
            },
            "GETDATE" | "SYSDATETIME" | "SYSUTCDATETIME" | "GETUTCDATE" => Type::DateTime,
            "SERVERPROPERTY" | "DATABASEPROPERTYEX" => Type::Variant,
            "ISNULL" | "COALESCE" | "MIN" | "MAX" | "NULLIF" => return first(arguments),
            _ => Type::NVarChar(4000),
        },
        Expression::Operation("+" | "-" | "*" | "/", left, right) => {
            match (kind_of(left, columns), kind_of(right, columns)) {
                (None, None) => return None,
                (Some(Type::Numeric(_)), _) | (_, Some(Type::Numeric(_))) => Type::Numeric(38),
                (Some(Type::NVarCharMax), _) | (_, Some(Type::NVarCharMax)) => Type::NVarCharMax,
                (Some(Type::NVarChar(_)), _) | (_, Some(Type::NVarChar(_))) => Type::NVarChar(4000),
                (Some(Type::BigInt), _) | (_, Some(Type::BigInt)) => Type::BigInt,
                _ => Type::Int,
            }
        }
        Expression::Negative(inner) => return kind_of(inner, columns),
        Expression::Case(branches, otherwise) => {
            let results: Vec<Expression> =
                branches.iter().map(|(_, result)| result.clone()).chain(otherwise.as_deref().cloned()).collect();
            return first(&results);
        }
        Expression::Operation(..)
        | Expression::Not(_)
        | Expression::IsNull(_)
        | Expression::In(..)
        | Expression::Exists(_) => Type::Bit,
        Expression::Global(_) | Expression::Query(_) => return None,
    })
}
